/*
 * cpu.c
 *		lbrec_cpu(): lists the sets of kernels, and which one this session
 *		uses.
 */
#include "pg/server/lbrec.h"

#include "utils/builtins.h"

#include "core/kernels/lb_kernels.h"

#include "pg/server/cpu.h"
#include "pg/server/srf.h"

PG_FUNCTION_INFO_V1(lbrec_cpu);

enum
{
	KERNELS, USABLE, IN_USE, LIBRARY, LIBRARY_VERSION, CORE, PROBLEM, N_COLUMNS
};

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL || text[0] == '\0';
	if (!nulls[column])
		values[column] = CStringGetTextDatum(text);
}

/* lbrec_cpu(): a row for each set of this build, the best first */
Datum
lbrec_cpu(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, 0, N_COLUMNS);

	for (int i = 0; lb_kernel_sets[i] != NULL; i++)
	{
		const LbKernels *set = lb_kernel_sets[i];
		Datum		values[N_COLUMNS] = {0};
		bool		nulls[N_COLUMNS] = {0};
		bool		is_blas = strcmp(set->name, "blas") == 0;
		const LbOpenblas *blas = is_blas ? lb_openblas_load() : NULL;

		put_text(values, nulls, KERNELS, set->name);
		values[USABLE] = BoolGetDatum(set->usable());
		values[IN_USE] = BoolGetDatum(set == lb_kernels());
		put_text(values, nulls, LIBRARY, blas ? blas->file : NULL);
		put_text(values, nulls, LIBRARY_VERSION, blas ? blas->version : NULL);
		put_text(values, nulls, CORE, blas ? blas->core : NULL);
		if (is_blas)
			put_text(values, nulls, PROBLEM, lbrec_blas_problem(blas));
		else
			put_text(values, nulls, PROBLEM, set->usable() ? NULL :
					 "the CPU lacks the instruction set");
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
