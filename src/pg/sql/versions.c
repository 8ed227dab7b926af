/*
 * versions.c
 *		lbrec_activate(), lbrec_drop_model(), lbrec_prune(), lbrec_comment():
 *		manage versions of models.
 *
 * All run statements on lbrec.model with the caller's rights and in the
 * caller's transaction, so a ROLLBACK undoes them.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#include "pg/image/ready.h"
#include "pg/image/sweep.h"
#include "pg/server/declaration.h"
#include "pg/store/evaluations.h"
#include "pg/store/versions.h"

PG_FUNCTION_INFO_V1(lbrec_activate);
PG_FUNCTION_INFO_V1(lbrec_comment);
PG_FUNCTION_INFO_V1(lbrec_drop_model);
PG_FUNCTION_INFO_V1(lbrec_prune);

/*
 * Runs sql with ($1 name, $2 version); returns the number of rows that it
 * changed.  It must return the ids of models that no longer need an image.
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
 * lbrec_activate(model, version, make_default): that version, or the newest
 * for NULL, answers from now on; with make_default, also calls that name no
 * model.
 */
Datum
lbrec_activate(PG_FUNCTION_ARGS)
{
	char	   *name;

	lbrec_check_declaration(fcinfo, 3, 0);
	need_name(fcinfo);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (change_models(fcinfo,
					  "UPDATE lbrec.model SET activation = " NEXT_ACTIVATION " "
					  "WHERE name OPERATOR(pg_catalog.=) $1 AND version OPERATOR(pg_catalog.=) "
					  "COALESCE($2, (SELECT pg_catalog.max(m.version) FROM lbrec.model AS m "
					  "WHERE m.name OPERATOR(pg_catalog.=) $1))") == 0)
		no_such_version(fcinfo);
	SPI_connect();
	lbrec_settle_default(name, !PG_ARGISNULL(2) && PG_GETARG_BOOL(2));
	SPI_finish();
	lbrec_prepare_image(name);
	PG_RETURN_VOID();
}

/*
 * lbrec_drop_model(model, version): drops that version, or all for NULL, with
 * its tensors; stored measures go with the last version only.  Returns the
 * number of dropped versions.
 */
Datum
lbrec_drop_model(PG_FUNCTION_ARGS)
{
	uint64		dropped;

	lbrec_check_declaration(fcinfo, 2, 0);
	need_name(fcinfo);
	dropped = change_models(fcinfo,
							"DELETE FROM lbrec.model "
							"WHERE name OPERATOR(pg_catalog.=) $1 "
							"AND ($2 IS NULL OR version OPERATOR(pg_catalog.=) $2) "
							"RETURNING id");
	if (dropped == 0)
		no_such_version(fcinfo);
	if (PG_ARGISNULL(1))
	{
		SPI_connect();
		lbrec_drop_evaluations(text_to_cstring(PG_GETARG_TEXT_PP(0)));
		SPI_finish();
	}
	PG_RETURN_INT32((int32) dropped);
}

/* lbrec_prune(model, keep): returns the number of dropped versions */
Datum
lbrec_prune(PG_FUNCTION_ARGS)
{
	int32		keep;
	char	   *name;
	int64	   *pruned;
	int			dropped;

	lbrec_check_declaration(fcinfo, 2, 0);
	need_name(fcinfo);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "keep"),
				 errhint("Give the number of newest versions to keep.")));
	keep = PG_GETARG_INT32(1);
	if (keep < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep is %d, but must be at least 1", keep),
				 errdetail("It is the number of newest versions that stay; the active one stays in any case."),
				 errhint("Drop all versions with lbrec_drop_model.")));
	dropped = lbrec_prune_model(name, keep, &pruned);
	if (dropped < 0)
		lbrec_no_such_version(name, 0);
	lbrec_forget_all_images(pruned, dropped);
	PG_RETURN_INT32(dropped);
}

/*
 * lbrec_comment(model, comment, version): sets the user's note on a version,
 * by default the newest; NULL removes it.
 */
Datum
lbrec_comment(PG_FUNCTION_ARGS)
{
	Oid			types[] = {TEXTOID, TEXTOID, INT4OID};
	Datum		values[3];
	char		nulls[3];

	lbrec_check_declaration(fcinfo, 3, 0);
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
