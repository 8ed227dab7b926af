/*
 * srf.h
 *		Set-returning functions in materialise mode.
 */
#ifndef LBREC_SERVER_SRF_H
#define LBREC_SERVER_SRF_H

#include "pg/server/lbrec.h"

typedef struct RowSink
{
	Tuplestorestate *store;
	TupleDesc	desc;
} RowSink;

extern RowSink lbrec_begin_rows(FunctionCallInfo fcinfo, int n_args,
								int most_columns);
extern Datum lbrec_figure_datum(double value);
extern void lbrec_put_row(RowSink *sink, Datum *values, bool *nulls);

#endif							/* LBREC_SERVER_SRF_H */
