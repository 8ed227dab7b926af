/*
 * declaration.c
 *		Checks that a function's SQL declaration is of this library's version.
 *
 * A new package replaces the library at once, while a database keeps the SQL
 * of the older version until ALTER EXTENSION ...  UPDATE.  A call through a
 * declaration with fewer arguments would read arguments that were never
 * passed.
 *
 * So each entry point first states its numbers of arguments and result
 * columns.  Only changed functions refuse calls: after an upgrade of the
 * package alone, the others go on serving.  New columns go last.  A changed
 * type or position of an argument needs a new C name.
 */
#include "pg/server/declaration.h"

#include "executor/spi.h"
#include "utils/lsyscache.h"

/* Returns the version of the extension's SQL in this database, or NULL. */
static char *
installed_version(void)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *version = NULL;

	SPI_connect();
	if (SPI_execute("SELECT extversion FROM pg_catalog.pg_extension "
					"WHERE extname OPERATOR(pg_catalog.=) 'lbrec'",
					true, 1) == SPI_OK_SELECT && SPI_processed == 1)
	{
		version = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
							   1);
		version = MemoryContextStrdup(caller, version);
	}
	SPI_finish();
	return version;
}

static void
refuse(FunctionCallInfo fcinfo, const char *what, int declared)
{
	char	   *name = get_func_name(fcinfo->flinfo->fn_oid);
	char	   *version = installed_version();

	if (version != NULL && strcmp(version, LBREC_VERSION) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the library is of lbrec %s but the extension's SQL is of %s",
						LBREC_VERSION, version),
				 errdetail("Function %s is declared with %d %s, which is not what the library has.",
						   name, declared, what),
				 errhint("Run ALTER EXTENSION lbrec UPDATE. If it was run, begin a new session, which loads the new library.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
			 errmsg("function %s is not declared as lbrec %s declares it",
					name, LBREC_VERSION),
			 errdetail("It has %d %s.", declared, what),
			 errhint("Use the function that CREATE EXTENSION lbrec makes; if that is what you do, begin a new session, which loads the new library.")));
}

/* Each SQL function calls this first. most_columns 0: it returns no rows. */
void
lbrec_check_declaration(FunctionCallInfo fcinfo, int n_args,
						int most_columns)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	if (PG_NARGS() != n_args)
		refuse(fcinfo, "arguments", PG_NARGS());

	/* without an expected descriptor, lbrec_begin_rows() reports the error */
	if (most_columns > 0 && rsinfo != NULL && IsA(rsinfo, ReturnSetInfo) &&
		rsinfo->expectedDesc != NULL &&
		rsinfo->expectedDesc->natts > most_columns)
		refuse(fcinfo, "columns", rsinfo->expectedDesc->natts);
}
