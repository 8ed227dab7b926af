/*
 * srf.c
 *		Set-returning functions in materialise mode.
 *
 * The whole result is computed in the first call, so a LIMIT or a portal that
 * is closed early cannot leave a training run half done.  PostgreSQL 15 has
 * InitMaterializedSRF(); 14 does not.
 *
 * The SQL declaration is checked first (declaration.c): call lbrec_begin_rows()
 * before any argument is read.
 */
#include "pg/server/srf.h"

#include "utils/tuplestore.h"

#include "pg/server/declaration.h"
#include "pg/server/fault.h"

PG_FUNCTION_INFO_V1(lbrec_figure);

RowSink
lbrec_begin_rows(FunctionCallInfo fcinfo, int n_args, int most_columns)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	RowSink		sink;

	lbrec_check_declaration(fcinfo, n_args, most_columns);
	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (!(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("materialize mode required, but it is not allowed in this context")));

	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &sink.desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	sink.desc = CreateTupleDescCopy(sink.desc);
	sink.store = tuplestore_begin_heap((rsinfo->allowedModes &
										SFRM_Materialize_Random) != 0,
									   false, work_mem);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = sink.store;
	rsinfo->setDesc = sink.desc;
	MemoryContextSwitchTo(old);
	return sink;
}

void
lbrec_put_row(RowSink *sink, Datum *values, bool *nulls)
{
	lbrec_check_maps();
	CHECK_FOR_INTERRUPTS();
	tuplestore_putvalues(sink->store, sink->desc, values, nulls);
}

/*
 * Rounds a measured figure to a real of four significant digits for rows.
 * More digits are noise, and make tables too wide to read; lbrec.epoch has
 * all.
 */
Datum
lbrec_figure_datum(double value)
{
	char		text[32];

	snprintf(text, sizeof(text), "%.3e", value);
	return Float4GetDatum(strtof(text, NULL));
}

/* lbrec.figure(value): does the same for views */
Datum
lbrec_figure(PG_FUNCTION_ARGS)
{
	lbrec_check_declaration(fcinfo, 1, 0);
	return lbrec_figure_datum(PG_GETARG_FLOAT8(0));
}
