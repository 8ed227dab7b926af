/*
 * lb_cpu.h
 *		Which instruction set the kernels may use: asked once, at run time.
 *
 * Levels are ordered: a CPU that has one has those before it.  Every kernel
 * exists at LB_CPU_PORTABLE; where a level adds nothing, the one below runs.
 * lb_cpu_limit() lowers the level for tests and for the setting LBREC_CPU
 * (core itself reads no environment).
 */
#ifndef LB_CPU_H
#define LB_CPU_H

#include "core/lb_core.h"

typedef enum LbCpuLevel
{
	LB_CPU_PORTABLE = 0,		/* plain C, any machine */
	LB_CPU_AVX2,				/* AVX2 and FMA */
	LB_CPU_AVX512,				/* AVX-512 F, BW, DQ, VL */
	LB_CPU_AMX					/* AMX tiles with bf16, and all of the above */
} LbCpuLevel;

/* The level in use: what the CPU and the kernel allow, or the limit. */
extern LbCpuLevel lb_cpu_level(void);

/* AVX-512 VNNI (8-bit dot products) may be used; false below LB_CPU_AVX512. */
extern bool lb_cpu_vnni(void);

/*
 * Never use more than this level from now on: LB_CPU_AVX512 until it is
 * called; LB_CPU_AMX lifts the limit.  Not to be called while a kernel runs.
 */
extern void lb_cpu_limit(LbCpuLevel level);

/* "portable", "avx2", "avx512", "amx" */
extern const char *lb_cpu_name(LbCpuLevel level);

/* The level of that name into *level; false when there is none. */
extern bool lb_cpu_parse(LbCpuLevel *level, const char *name);

#endif							/* LB_CPU_H */
