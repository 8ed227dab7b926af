/*
 * unit.h
 *		The whole test framework: checks that count, a random source, and a
 *		main() that reports.
 *
 * A program defines its tests as functions, and main() as
 *		UNIT_MAIN(RUN(test_a); RUN(test_b);)
 * Tests of kernels run every set that this machine can, or with
 * LBREC_CPU=portable (or another name) that set alone: valgrind knows no
 * AVX-512.
 */
#ifndef UNIT_H
#define UNIT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels/lb_kernels.h"
#include "core/openblas/lb_openblas.h"

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

/*
 * A checksum of bytes, to compare with what another machine gave: FNV-1a.
 * Begins with UNIT_CHECKSUM_START, goes on with what it returned.
 */
#define UNIT_CHECKSUM_START UINT64_C(0xcbf29ce484222325)

__attribute__((unused)) static uint64_t
unit_checksum(uint64_t sum, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ ((const unsigned char *) bytes)[i]) *
			UINT64_C(0x100000001b3);
	return sum;
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

/* a cancel function that stops at once */
__attribute__((unused)) static bool
unit_cancel(void)
{
	return true;
}

/*
 * Selects the set after this one, NULL before the first, and returns it; after
 * the last it selects the best again and returns NULL.
 */
__attribute__((unused)) static const LbKernels *
unit_next_set(const LbKernels *after)
{
	const char *only = getenv("LBREC_CPU");
	bool		found = after == NULL;

	if (only != NULL && lb_kernels_named(only) == NULL)
	{
		printf("LBREC_CPU=%s is no set of kernels\n", only);
		exit(2);
	}
	for (int i = 0; lb_kernel_sets[i] != NULL; i++)
	{
		const LbKernels *set = lb_kernel_sets[i];

		if (found && set->usable() &&
			(only == NULL || strcmp(only, set->name) == 0))
		{
			lb_kernels_use(set);
			return set;
		}
		found = found || set == after;
	}
	lb_kernels_use(only != NULL ? lb_kernels_named(only) : NULL);
	return NULL;
}

/* for (each set of kernels that this machine can run) */
#define UNIT_EACH_SET(set) \
	const LbKernels *set = unit_next_set(NULL); \
		 set != NULL; set = unit_next_set(set)

#define UNIT_MAIN(...) \
	int \
	main(int argc, char **argv) \
	{ \
		(void) argc; \
		lb_openblas_load(); \
		if (getenv("LBREC_CPU") != NULL) \
			unit_next_set(NULL); \
		__VA_ARGS__ \
		printf("%s: %d passed, %d failed\n", argv[0], unit_passed, \
			   unit_failed); \
		return unit_failed != 0 || unit_passed == 0; \
	}

#endif							/* UNIT_H */
