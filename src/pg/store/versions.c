/*
 * versions.c
 *		Versions of models: rows of lbrec.model.
 *
 * A training run that continues a model reads it at the start, so dropping
 * that model would not disturb the run. lbrec_prune_model() keeps it all the
 * same, so that you can see what the run continued: the run holds a shared
 * lock on the version until its transaction ends.
 */
#include "pg/store/versions.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/* Fourth field of the lock's tag; SQL's advisory locks have 1 or 2 there. */
#define LOCK_FIELD 0x6c63		/* "lc" */

/* Second key of the advisory lock for sessions that find no default model. */
#define DEFAULT_LOCK 1

/* Reads id, name, version, checksum, n_users, n_recordings of lbrec.model. */
void
lbrec_read_model_row(ModelRow *row, SPITupleTable *table, uint64 place)
{
	HeapTuple	tuple = table->vals[place];
	TupleDesc	desc = table->tupdesc;
	bool		isnull;

	memset(row, 0, sizeof(ModelRow));
	row->id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	strlcpy(row->name, SPI_getvalue(tuple, desc, 2), sizeof(row->name));
	row->version = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
	row->checksum = DatumGetInt64(SPI_getbinval(tuple, desc, 4, &isnull));
	row->n_users = DatumGetInt64(SPI_getbinval(tuple, desc, 5, &isnull));
	row->n_recordings = DatumGetInt64(SPI_getbinval(tuple, desc, 6, &isnull));
}

/* Selects the names with an active version, sorted. Called within SPI. */
static uint64
find_active_names(void)
{
	if (SPI_execute("SELECT DISTINCT name FROM lbrec.model "
					"WHERE activation OPERATOR(pg_catalog.>) 0 ORDER BY name",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up active models");
	return SPI_processed;
}

/*
 * Finds the active version of the named model, or of the default if name is
 * NULL: the active name with the highest precedence, or the only active name.
 * False if there is none, or no default among several.  Called within SPI.
 * The plan is kept, because this runs before every recommendation.
 */
bool
lbrec_find_model(ModelRow *row, const char *name)
{
	static SPIPlanPtr by_name = NULL;
	static SPIPlanPtr any = NULL;
	SPIPlanPtr *plan = name ? &by_name : &any;
	Datum		values[1];
	bool		no_precedence;

	if (*plan == NULL)
	{
		Oid			types[] = {TEXTOID};
		SPIPlanPtr	made;

		made = SPI_prepare(name ?
						   "SELECT id, name, version, checksum, n_users, n_recordings, precedence "
						   "FROM lbrec.model "
						   "WHERE name OPERATOR(pg_catalog.=) $1 AND activation OPERATOR(pg_catalog.>) 0 "
						   "ORDER BY activation DESC LIMIT 1" :
						   "SELECT id, name, version, checksum, n_users, n_recordings, precedence "
						   "FROM lbrec.model WHERE activation OPERATOR(pg_catalog.>) 0 "
						   "ORDER BY precedence DESC NULLS LAST, activation DESC LIMIT 1",
						   name ? 1 : 0, types);
		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the look-up of a model");
		*plan = made;
	}
	values[0] = name ? CStringGetTextDatum(name) : (Datum) 0;
	if (SPI_execute_plan(*plan, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up a model");
	if (SPI_processed == 0)
		return false;
	lbrec_read_model_row(row, SPI_tuptable, 0);
	(void) SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 7,
						 &no_precedence);
	return name || !no_precedence || find_active_names() == 1;
}

/*
 * Finds a version of the named model, or of the default if name is NULL;
 * version 0 means the active one.  False if there is none.  Called within SPI.
 */
bool
lbrec_look_for_version(ModelRow *row, const char *name, int32 version)
{
	static SPIPlanPtr plan = NULL;
	Datum		values[2];

	if (version == 0 || name == NULL)
	{
		if (!lbrec_find_model(row, name))
			return false;
		if (version == 0 || version == row->version)
			return true;
		name = pstrdup(row->name);
	}
	if (plan == NULL)
	{
		Oid			types[] = {TEXTOID, INT4OID};
		SPIPlanPtr	made;

		made = SPI_prepare("SELECT id, name, version, checksum, n_users, n_recordings "
						   "FROM lbrec.model WHERE name OPERATOR(pg_catalog.=) $1 "
						   "AND version OPERATOR(pg_catalog.=) $2",
						   2, types);
		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the look-up of a version");
		plan = made;
	}
	values[0] = CStringGetTextDatum(name);
	values[1] = Int32GetDatum(version);
	if (SPI_execute_plan(plan, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up a version of a model");
	if (SPI_processed == 0)
		return false;
	lbrec_read_model_row(row, SPI_tuptable, 0);
	return true;
}

/* The same; raises an error if there is none. */
void
lbrec_find_version(ModelRow *row, const char *name, int32 version)
{
	row->name[0] = '\0';
	if (lbrec_look_for_version(row, name, version))
		return;
	if (version != 0 && (name != NULL || row->name[0] != '\0'))
		lbrec_no_such_version(name ? name : row->name, version);
	lbrec_no_such_model(name);
}

/*
 * Gives a name precedence, by an SQL expression, and takes it from all others.
 * Called within SPI.
 */
static void
set_precedence(const char *name, const char *precedence)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	char	   *sql = psprintf("UPDATE lbrec.model SET precedence = "
							   "CASE WHEN name OPERATOR(pg_catalog.=) $1 THEN %s END "
							   "WHERE name OPERATOR(pg_catalog.=) $1 "
							   "OR precedence IS NOT NULL",
							   precedence);

	if (SPI_execute_with_args(sql, 1, types, values, NULL, false,
							  0) != SPI_OK_UPDATE)
		elog(ERROR, "could not change lbrec.model");
	pfree(sql);
}

/* True if an active version has precedence. Called within SPI. */
static bool
has_default(void)
{
	if (SPI_execute("SELECT FROM lbrec.model "
					"WHERE activation OPERATOR(pg_catalog.>) 0 "
					"AND precedence IS NOT NULL LIMIT 1",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the default model");
	return SPI_processed > 0;
}

/*
 * Call this after a version of that name became active.  The name becomes the
 * default if the caller wants that, or if no other name is active.  If exactly
 * one other name was active, and so the default, it stays the default.
 *
 * A precedence set automatically counts down from -1, so that the first name
 * stays ahead of names from transactions that could not see it.  One set on
 * demand counts up from 1.  All active versions of a name have the same.
 * Called within SPI.
 */
void
lbrec_settle_default(const char *name, bool make_default)
{
	Oid			lock_types[] = {INT4OID};
	Datum		lock[] = {Int32GetDatum(DEFAULT_LOCK)};
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	bool		isnull;

	if (make_default)
	{
		set_precedence(name, "(SELECT pg_catalog.nextval('lbrec.activation_seq'))");
		return;
	}
	if (SPI_execute_with_args("UPDATE lbrec.model AS m SET precedence = o.precedence "
							  "FROM (SELECT pg_catalog.max(precedence) AS precedence "
							  "FROM lbrec.model WHERE name OPERATOR(pg_catalog.=) $1) AS o "
							  "WHERE m.name OPERATOR(pg_catalog.=) $1 "
							  "AND m.activation OPERATOR(pg_catalog.>) 0 "
							  "AND COALESCE(m.precedence OPERATOR(pg_catalog.<>) o.precedence, "
							  "m.precedence IS NULL AND o.precedence IS NOT NULL)",
							  1, types, values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not change lbrec.model");
	if (has_default())
		return;

	/*
	 * of two concurrent first trainings the second waits here, and then sees
	 * the first
	 */
	if (SPI_execute_with_args("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('lbrec default'), $1)",
							  1, lock_types, lock, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock the default model");
	if (has_default())
		return;
	if (SPI_execute_with_args("SELECT pg_catalog.min(name), "
							  "pg_catalog.count(DISTINCT name) FROM lbrec.model "
							  "WHERE activation OPERATOR(pg_catalog.>) 0 "
							  "AND name OPERATOR(pg_catalog.<>) $1",
							  1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up active models");
	switch (DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 2, &isnull)))
	{
		case 0:
			break;
		case 1:
			name = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
			break;
		default:
			return;				/* a call without a name raises the error */
	}
	set_precedence(name, "(SELECT OPERATOR(pg_catalog.-) pg_catalog.nextval('lbrec.activation_seq'))");
}

/*
 * Tells the user if the version just saved does not answer calls that name no
 * model.
 */
void
lbrec_tell_default(const char *name, int32 version)
{
	ModelRow	row;
	bool		found;
	bool		several;

	SPI_connect();
	/* make the rows of this very command visible */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	found = lbrec_find_model(&row, NULL);
	several = !found && find_active_names() > 0;
	PopActiveSnapshot();
	SPI_finish();
	if (found && strcmp(row.name, name) == 0)
		return;
	if (found)
		ereport(NOTICE,
				(errmsg("the default model is still \"%s\"", row.name),
				 errhint("Calls that name no model ask it. Change that with SELECT lbrec_activate(%s, %d, make_default => true).",
						 quote_literal_cstr(name), version)));
	else if (several)
		ereport(NOTICE,
				(errmsg("no model is the default"),
				 errhint("Calls that name no model fail. Set a default with SELECT lbrec_activate(%s, %d, make_default => true).",
						 quote_literal_cstr(name), version)));
}

void
lbrec_damaged(const ModelRow *model, const char *tensor, int chunk,
			  const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("version %d of model \"%s\" is damaged in tensor \"%s\", chunk %d",
					model->version, model->name, tensor, chunk),
			 errdetail("%s", detail),
			 errhint("Activate another version with lbrec_activate, restore the model from a backup, or train it again.")));
}

/* Called within SPI. */
void
lbrec_no_such_model(const char *name)
{
	if (name)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist, or no version of it is active", name),
				 errdetail("A model is visible to others when the transaction that trained it has committed."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	if (find_active_names() > 0)
	{
		StringInfoData names;

		initStringInfo(&names);
		for (uint64 i = 0; i < SPI_processed; i++)
			appendStringInfo(&names, "%s\"%s\"", i == 0 ? "" : ", ",
							 SPI_getvalue(SPI_tuptable->vals[i],
										  SPI_tuptable->tupdesc, 1));
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no model is the default"),
				 errdetail("Active models: %s.", names.data),
				 errhint("Name the model, or choose the default with lbrec_activate(model, make_default => true).")));
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no active model"),
			 errdetail("No model has been trained in this database, or none is visible yet."),
			 errhint("Train one with SELECT * FROM lbrec_train('weekly').")));
}

/* version 0: the caller named none */
void
lbrec_no_such_version(const char *name, int32 version)
{
	if (version == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist", name),
				 errdetail("No version of that name is visible to this transaction."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("model \"%s\" has no version %d", name, version),
			 errdetail("Versions count up from 1 with each training of the name."),
			 errhint("List models with SELECT * FROM lbrec_models.")));
}

void
lbrec_check_name(const char *name)
{
	Size		most = sizeof(((ModelRow *) NULL)->name) - 1;

	if (name[0] == '\0' || strlen(name) > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("a model's name must have 1 to %d bytes", (int) most),
				 errdetail("This one has %zu.", strlen(name)),
				 errhint("Use a short name, such as 'weekly'; its versions are counted.")));
}

static bool
lock_version(int64 model, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (model >> 32),
						 (uint32) model, LOCK_FIELD);
	return LockAcquire(&tag, mode, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Keeps lbrec_prune() from dropping the version until this transaction ends.
 */
void
lbrec_hold_version(int64 model)
{
	(void) lock_version(model, ShareLock, true);
}

/*
 * Drops the versions of a name except the newest keep and the active one.
 * Returns their number, and their ids in *pruned; -1 if the name has no
 * versions.
 */
int
lbrec_prune_model(const char *name, int keep, int64 **pruned)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[] = {CStringGetTextDatum(name), Int32GetDatum(keep)};
	Oid			drop_types[] = {INT8OID, INT8OID};
	SPITupleTable *old;
	uint64		n;
	int			dropped = 0;

	SPI_connect();
	if (SPI_execute_with_args("SELECT o.id, o.activation, "
							  "o.place OPERATOR(pg_catalog.>) $2 "
							  "AND (o.activation OPERATOR(pg_catalog.=) 0 "
							  "OR o.activation OPERATOR(pg_catalog.<>) o.last) FROM ("
							  "SELECT m.id, m.activation, "
							  "pg_catalog.row_number() OVER (ORDER BY m.version DESC) AS place, "
							  "pg_catalog.max(m.activation) OVER () AS last "
							  "FROM lbrec.model AS m "
							  "WHERE m.name OPERATOR(pg_catalog.=) $1) AS o",
							  2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the versions of a model");
	old = SPI_tuptable;
	n = SPI_processed;
	*pruned = MemoryContextAlloc(context, Max(n, 1) * sizeof(int64));
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		drop[2];
		int64		id;

		drop[0] = SPI_getbinval(old->vals[i], old->tupdesc, 1, &isnull);
		drop[1] = SPI_getbinval(old->vals[i], old->tupdesc, 2, &isnull);
		id = DatumGetInt64(drop[0]);
		if (!DatumGetBool(SPI_getbinval(old->vals[i], old->tupdesc, 3,
										&isnull)))
			continue;
		if (!lock_version(id, ExclusiveLock, false))
			continue;

		/*
		 * A concurrent activation changes the row: the condition is then
		 * checked again after that transaction.
		 */
		if (SPI_execute_with_args("DELETE FROM lbrec.model "
								  "WHERE id OPERATOR(pg_catalog.=) $1 "
								  "AND activation OPERATOR(pg_catalog.=) $2",
								  2, drop_types, drop, NULL, false,
								  0) != SPI_OK_DELETE)
			elog(ERROR, "could not drop a version of a model");
		if (SPI_processed == 0)
			continue;
		(*pruned)[dropped++] = id;
	}
	SPI_finish();
	return n == 0 ? -1 : dropped;
}
