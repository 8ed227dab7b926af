/*
 * sql_model.c
 *		lbrec_activate(), lbrec_drop_model(): versions of models.
 *
 * Both are single statements on lbrec.model, so they belong to the caller's
 * transaction, and a ROLLBACK takes them back.
 */
#include "lbrec.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "imagefile.h"

PG_FUNCTION_INFO_V1(lbrec_activate);
PG_FUNCTION_INFO_V1(lbrec_drop_model);

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

		lbrec_forget_images_at_commit(DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
																  SPI_tuptable->tupdesc,
																  1, &isnull)));
	}
	SPI_finish();
	return changed;
}

static void
no_such_version(FunctionCallInfo fcinfo)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist", name),
				 errdetail("No version of that name is visible to this transaction."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("model \"%s\" has no version %d", name,
					PG_GETARG_INT32(1)),
			 errdetail("Versions count up from 1 with each training of the name."),
			 errhint("List models with SELECT * FROM lbrec_models.")));
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
