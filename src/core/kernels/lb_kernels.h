/*
 * lb_kernels.h
 *		The kernels of an instruction set, and the choice among the sets.
 *
 * A set is one struct of functions.  A file has the sets of one instruction
 * set; portable.c is for any machine, blas.c for a library.  Sets are not
 * ordered: a machine can run some of them, and lb_kernels() returns the one in
 * use.
 *
 * To add a set: write kernels/NAME.c, and add its line to the list in
 * lb_kernels.c, the best set first.  The setting lbrec.cpu, the unit tests and
 * the benchmark go through that list.
 */
#ifndef LB_KERNELS_H
#define LB_KERNELS_H

#include "core/kernels/dense.h"
#include "core/kernels/rows.h"
#include "core/kernels/scan.h"
#include "core/kernels/softmax.h"

typedef struct LbKernels
{
	const char *name;			/* its name in lbrec.cpu */
	bool		(*usable) (void);	/* True if this machine can run the set. */
	void		(*dense) (const LbDense *p);
	/* Gives the same bits in every set: products are fused. a_step is 1. */
	void		(*dense_exact) (const LbDense *p);
	LbRowsKernel rows;
	LbSoftmaxKernel softmax;
	LbScanKernel scan;
} LbKernels;

/* The sets in this build, the best first; NULL ends the list. */
extern const LbKernels *const lb_kernel_sets[];

/*
 * Returns the set in use: the first of the list that this machine can run,
 * unless lb_kernels_use() has chosen another.
 */
extern const LbKernels *lb_kernels(void);

/*
 * Selects this set; NULL selects the best.  The machine must be able to run
 * it.  Must not be called while a kernel runs.
 */
extern void lb_kernels_use(const LbKernels *set);

/* Returns the set of that name, or NULL if this build has none. */
extern const LbKernels *lb_kernels_named(const char *name);

#endif							/* LB_KERNELS_H */
