/*
 * since.c
 *		lbrec.listens_since(): returns the share of listens after a training,
 *		for the view lbrec_models.
 *
 * The view must not read billions of rows: of a table with many pages it reads
 * a sample, the same one each time.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "pg/listens/default.h"
#include "pg/server/declaration.h"
#include "pg/server/time.h"

PG_FUNCTION_INFO_V1(lbrec_listens_since);

/*
 * Pages to sample: a share of 1 % is then estimated to within 0.3 %, if each
 * page has listens of one day.
 */
#define SAMPLED_PAGES 1000

/*
 * Returns the pages of a table with its partitions; 0 if it cannot be sampled.
 */
static double
count_pages(Oid table)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(table)};
	bool		isnull;
	Datum		pages;

	if (SPI_execute_with_args("SELECT pg_catalog.sum(pg_catalog.pg_relation_size(c.oid))::pg_catalog.float8 "
							  "OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.float8 "
							  "FROM (SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1) "
							  "UNION SELECT $1) AS t (relid) "
							  "JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.relid "
							  "HAVING pg_catalog.bool_and(c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m}'::\"char\"[]))",
							  1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the size of a table");
	if (SPI_processed == 0)
		return 0;
	pages = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	return isnull ? 0 : Max(DatumGetFloat8(pages), 1);
}

/*
 * lbrec.listens_since(since): returns the share, or NULL.  Reads with the
 * caller's rights.
 */
Datum
lbrec_listens_since(PG_FUNCTION_ARGS)
{
	TimestampTz since;
	Oid			table;
	Oid			types[1];
	Datum		values[1];
	double		pages;
	bool		isnull;
	Datum		share;

	lbrec_check_declaration(fcinfo, 1, 0);
	since = PG_GETARG_TIMESTAMPTZ(0);
	if (!lbrec_default_is_readable())
		PG_RETURN_NULL();
	table = lbrec_default_relation();
	types[0] = getBaseType(get_atttype(table, get_attnum(table, "listened_at")));
	if (types[0] == TIMESTAMPTZOID || types[0] == TIMESTAMPOID)
		values[0] = TimestampTzGetDatum(since);
	else
	{
		types[0] = INT8OID;
		values[0] = Int64GetDatum(lbrec_unix_time(since) / USECS_PER_SEC);
	}
	SPI_connect();
	pages = count_pages(table);
	if (pages == 0)
	{
		SPI_finish();
		PG_RETURN_NULL();
	}
	if (SPI_execute_with_args(psprintf("SELECT pg_catalog.avg(CASE WHEN l.listened_at OPERATOR(pg_catalog.>) $1 "
									   "THEN 1 ELSE 0 END)::pg_catalog.float4 "
									   "FROM %s AS l TABLESAMPLE pg_catalog.system (%.9g) REPEATABLE (0)",
									   lbrec_default_listens(),
									   Min(100.0 * SAMPLED_PAGES / pages, 100)),
							  1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not sample a table of listens");
	share = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	SPI_finish();
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(share);
}
