/*
 * unit.h
 *		The whole test framework: checks that count, a random source, and a
 *		main() that reports.
 *
 * A program defines its tests as functions, and main() as
 *		UNIT_MAIN(RUN(test_a); RUN(test_b);)
 * LBREC_CPU=portable|avx2|avx512|amx caps the instruction set, which is what
 * valgrind needs (it knows no AVX-512).
 */
#ifndef UNIT_H
#define UNIT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lb_cpu.h"

static int	unit_passed;
static int	unit_failed;
static const char *unit_test = "";

/* a failed check prints itself and the run goes on; at most 20 are shown */
#define CHECK_MSG(cond, ...) \
	do { \
		if (cond) \
			unit_passed++; \
		else if (unit_failed++ < 20) \
		{ \
			printf("%s:%d: %s: not true: %s: ", __FILE__, __LINE__, \
				   unit_test, #cond); \
			printf(__VA_ARGS__); \
			printf("\n"); \
		} \
	} while (0)

#define CHECK(cond) CHECK_MSG(cond, "%s", "")

#define RUN(test) (unit_test = #test, test())

/* a fixed sequence: every run does the same */
static uint64_t unit_state = 88172645463325252u;

__attribute__((unused)) static uint64_t
unit_random(void)
{
	unit_state ^= unit_state << 13;
	unit_state ^= unit_state >> 7;
	unit_state ^= unit_state << 17;
	return unit_state * UINT64_C(2685821657736338717);
}

/* 0 .. n-1 */
__attribute__((unused)) static int
unit_below(int n)
{
	return (int) ((unit_random() >> 33) % (uint64_t) n);
}

/* roughly normal, mean 0, deviation 1 */
__attribute__((unused)) static float
unit_normal(void)
{
	double		sum = 0;

	for (int i = 0; i < 6; i++)
		sum += (double) (unit_random() >> 40) / (1 << 24) - 0.5;
	return (float) (sum * 1.4142135623730951);
}

/* memory aligned as kernels want it, exact in size so that sanitizers see */
__attribute__((unused)) static void *
unit_alloc(size_t bytes)
{
	void	   *p = NULL;

	if (posix_memalign(&p, LB_ALIGN, bytes == 0 ? 1 : bytes) != 0)
		abort();
	memset(p, 0x5a, bytes);		/* never zero by luck */
	return p;
}

/* what long work is told: to stop at once */
__attribute__((unused)) static bool
unit_cancel(void)
{
	return true;
}

/* the levels to test on this machine: 0 .. this */
__attribute__((unused)) static LbCpuLevel
unit_best_level(void)
{
	LbCpuLevel	level;
	const char *name = getenv("LBREC_CPU");

	lb_cpu_limit(LB_CPU_AMX);
	if (name != NULL)
	{
		if (!lb_cpu_parse(&level, name))
		{
			printf("LBREC_CPU=%s is no level\n", name);
			exit(2);
		}
		lb_cpu_limit(level);
	}
	return lb_cpu_level();
}

#define UNIT_MAIN(...) \
	int \
	main(int argc, char **argv) \
	{ \
		(void) argc; \
		__VA_ARGS__ \
		printf("%s: %d passed, %d failed\n", argv[0], unit_passed, \
			   unit_failed); \
		return unit_failed != 0 || unit_passed == 0; \
	}

#endif							/* UNIT_H */
