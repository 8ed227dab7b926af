/*
 * sql_model.c
 *		lbrec_activate(), lbrec_drop_model(), lbrec_prune(), lbrec_comment():
 *		versions of models.
 *
 * All are statements on lbrec.model with the caller's rights, so they belong
 * to the caller's transaction, and a ROLLBACK takes them back.
 *
 * A training run that continues a model reads it as of its beginning, so
 * dropping that model would not hurt it.  lbrec_prune() leaves it alone all
 * the same, for who looks at the run wants to see what it came from: the run
 * holds a shared lock on the version until its transaction ends.
 */
#include "lbrec.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#include "imagefile.h"

PG_FUNCTION_INFO_V1(lbrec_activate);
PG_FUNCTION_INFO_V1(lbrec_comment);
PG_FUNCTION_INFO_V1(lbrec_drop_model);
PG_FUNCTION_INFO_V1(lbrec_prune);

/* Fourth field of the lock's tag; SQL's advisory locks have 1 or 2 there. */
#define LOCK_FIELD 0x6c63		/* "lc" */

/*
 * Runs sql with ($1 name, $2 version); the number of rows it changed.  It
 * returns the ids of the models whose images are not needed any more.
 */
static uint64
change_models(FunctionCallInfo fcinfo, const char *sql)
{
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[2];
	char		nulls[2];
	uint64		changed;

	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	nulls[0] = ' ';
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';
	SPI_connect();
	if (SPI_execute_with_args(sql, 2, types, values, nulls, false, 0) < 0)
		elog(ERROR, "could not change lbrec.model");
	changed = SPI_processed;
	for (uint64 i = 0; SPI_tuptable != NULL && i < changed; i++)
	{
		bool		isnull;

		lbrec_forget_images(DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
														SPI_tuptable->tupdesc,
														1, &isnull)),
							XACT_EVENT_COMMIT);
	}
	SPI_finish();
	return changed;
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

static void
no_such_version(FunctionCallInfo fcinfo)
{
	lbrec_no_such_version(text_to_cstring(PG_GETARG_TEXT_PP(0)),
						  PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1));
}

static void
need_name(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null"),
				 errhint("List models with SELECT * FROM lbrec_models.")));
}

/*
 * lbrec_activate(model, version): that version, or the newest for NULL,
 * answers from now on.
 */
Datum
lbrec_activate(PG_FUNCTION_ARGS)
{
	lbrec_check_declaration(fcinfo, 2, 2, 0);
	need_name(fcinfo);
	if (change_models(fcinfo,
					  "UPDATE lbrec.model SET activation = pg_catalog.nextval('lbrec.activation_seq') "
					  "WHERE name OPERATOR(pg_catalog.=) $1 AND version OPERATOR(pg_catalog.=) "
					  "COALESCE($2, (SELECT pg_catalog.max(m.version) FROM lbrec.model AS m "
					  "WHERE m.name OPERATOR(pg_catalog.=) $1))") == 0)
		no_such_version(fcinfo);
	lbrec_prepare_image(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/*
 * lbrec_drop_model(model, version): that version, or all for NULL, with its
 * tensors.  Returns how many were dropped.
 */
Datum
lbrec_drop_model(PG_FUNCTION_ARGS)
{
	uint64		dropped;

	lbrec_check_declaration(fcinfo, 2, 2, 0);
	need_name(fcinfo);
	dropped = change_models(fcinfo,
							"DELETE FROM lbrec.model "
							"WHERE name OPERATOR(pg_catalog.=) $1 "
							"AND ($2 IS NULL OR version OPERATOR(pg_catalog.=) $2) "
							"RETURNING id");
	if (dropped == 0)
		no_such_version(fcinfo);
	PG_RETURN_INT32((int32) dropped);
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
 * Returns how many, or -1 when there are no versions of that name.
 */
int
lbrec_prune_model(const char *name, int keep)
{
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
		lbrec_forget_images(id, XACT_EVENT_COMMIT);
		dropped++;
	}
	SPI_finish();
	return n == 0 ? -1 : dropped;
}

/* lbrec_prune(model, keep): returns how many versions were dropped */
Datum
lbrec_prune(PG_FUNCTION_ARGS)
{
	int32		keep;
	char	   *name;
	int			dropped;

	lbrec_check_declaration(fcinfo, 2, 2, 0);
	need_name(fcinfo);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "keep"),
				 errhint("Say how many of the newest versions are to stay.")));
	keep = PG_GETARG_INT32(1);
	if (keep < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep is %d, but must be at least 1", keep),
				 errdetail("It is the number of newest versions that stay; the active one stays in any case."),
				 errhint("Drop all versions with lbrec_drop_model.")));
	dropped = lbrec_prune_model(name, keep);
	if (dropped < 0)
		lbrec_no_such_version(name, 0);
	PG_RETURN_INT32(dropped);
}

/*
 * lbrec_comment(model, comment, version): a text of the user's about a
 * version, by default the newest; NULL takes it away.
 */
Datum
lbrec_comment(PG_FUNCTION_ARGS)
{
	Oid			types[] = {TEXTOID, TEXTOID, INT4OID};
	Datum		values[3];
	char		nulls[3];

	lbrec_check_declaration(fcinfo, 3, 3, 0);
	need_name(fcinfo);
	for (int i = 0; i < 3; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	SPI_connect();
	if (SPI_execute_with_args("UPDATE lbrec.model SET comment = $2 "
							  "WHERE name OPERATOR(pg_catalog.=) $1 AND version OPERATOR(pg_catalog.=) "
							  "COALESCE($3, (SELECT pg_catalog.max(m.version) FROM lbrec.model AS m "
							  "WHERE m.name OPERATOR(pg_catalog.=) $1))",
							  3, types, values, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not change lbrec.model");
	if (SPI_processed == 0)
		lbrec_no_such_version(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							  PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2));
	SPI_finish();
	PG_RETURN_VOID();
}
