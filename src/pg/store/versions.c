/*
 * versions.c
 *		Versions of models: rows of lbrec.model.
 *
 * A training run that continues a model reads it as of its beginning, so
 * dropping that model would not hurt it.  lbrec_prune_model() leaves it alone
 * all the same, so that you can still see what the run began with: the run
 * holds a shared lock on the version until its transaction ends.
 */
#include "pg/store/versions.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lock.h"
#include "utils/builtins.h"

/* Fourth field of the lock's tag; SQL's advisory locks have 1 or 2 there. */
#define LOCK_FIELD 0x6c63		/* "lc" */

/* id, name, version, checksum, n_users, n_recordings of lbrec.model. */
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

/*
 * The active version of the named model, or of the model that was activated
 * last when name is NULL.  Called within SPI.  The plan is kept: this runs
 * before every recommendation.
 */
bool
lbrec_find_model(ModelRow *row, const char *name)
{
	static SPIPlanPtr by_name = NULL;
	static SPIPlanPtr any = NULL;
	SPIPlanPtr *plan = name ? &by_name : &any;
	Datum		values[1];

	if (*plan == NULL)
	{
		Oid			types[] = {TEXTOID};
		SPIPlanPtr	made;

		made = SPI_prepare(name ?
						   "SELECT id, name, version, checksum, n_users, n_recordings "
						   "FROM lbrec.model "
						   "WHERE name OPERATOR(pg_catalog.=) $1 AND activation OPERATOR(pg_catalog.>) 0 "
						   "ORDER BY activation DESC LIMIT 1" :
						   "SELECT id, name, version, checksum, n_users, n_recordings "
						   "FROM lbrec.model WHERE activation OPERATOR(pg_catalog.>) 0 "
						   "ORDER BY activation DESC LIMIT 1",
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
	return true;
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

void
lbrec_no_such_model(const char *name)
{
	if (name)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist, or no version of it is active", name),
				 errdetail("A model is visible to others when the transaction that trained it has committed."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no active model"),
			 errdetail("No model has been trained in this database, or none is visible yet."),
			 errhint("Train one with SELECT * FROM lbrec_train('weekly').")));
}

/* version 0: none was asked for */
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
				 errhint("Versions of a name are counted, so a short name does: 'weekly'.")));
}

static bool
lock_version(int64 model, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (model >> 32),
						 (uint32) model, LOCK_FIELD);
	return LockAcquire(&tag, mode, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

/* Until the end of the transaction lbrec_prune() leaves the version alone. */
void
lbrec_hold_version(int64 model)
{
	(void) lock_version(model, ShareLock, true);
}

/*
 * Drops the versions of a name but for the newest keep and the active one.
 * Returns how many, their ids in *pruned, or -1 when there are no versions of
 * that name.
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
		 * Whoever activates it meanwhile changes its number: the condition is
		 * looked at again when their transaction has ended.
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
