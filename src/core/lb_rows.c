/*
 * lb_rows.c
 *		Chooses the loops over rows for the CPU; they are compiled with the
 *		dense products of each instruction set.
 */
#include "core/lb_rows.h"

#include "core/lb_cpu.h"

const LbRows *
lb_rows(void)
{
#if defined(__x86_64__)
	if (lb_cpu_level() >= LB_CPU_AVX512)
		return &lb_rows_avx512;
	if (lb_cpu_level() >= LB_CPU_AVX2)
		return &lb_rows_avx2;
#endif
	return &lb_rows_portable;
}
