/*
 * rows.h
 *		The kernels for rows of embedding tables: sums of rows in the forward
 *		pass, Adagrad in the backward pass.
 *
 * These loops wait for memory: a table has hundreds of megabytes, and a step
 * reads some thousand of its rows.  So each row is prefetched some rows ahead
 * (lb_rows_prefetch), and read and written once.
 */
#ifndef LB_KERNELS_ROWS_H
#define LB_KERNELS_ROWS_H

#include "core/lb_core.h"

/* Number of rows to prefetch ahead. */
#define LB_ROWS_AHEAD 12

typedef struct LbRowsKernel
{
	/* row (cols) += scale * each of the n rows of table (., cols) */
	void		(*add) (float *row, const float *table, int cols,
						const int32_t *codes, int64_t n, float scale);
	/* the same, each product and sum rounded once: the bits of every set */
	void		(*add_exact) (float *row, const float *table, int cols,
							  const int32_t *codes, int64_t n, float scale);
	/* to (n) += scale * from (n) */
	void		(*add_scaled) (float *to, const float *from, float scale,
							   int64_t n);
	/* a += g * g;  w -= rate * g / sqrt(a + epsilon); all (n) */
	void		(*adagrad) (float *w, float *a, const float *g, int64_t n,
							float rate, float epsilon);
	/* the same with one a, of the mean of g * g */
	void		(*rowwise) (float *w, float *a, const float *g, int64_t n,
							float rate, float epsilon);
} LbRowsKernel;

/* Prefetches into L2: rows ahead would fill L1. */
static inline void
lb_rows_prefetch(const float *row, int cols)
{
	for (int d = 0; d < cols; d += LB_ALIGN / (int) sizeof(float))
		__builtin_prefetch(row + d, 0, 2);
}

#endif							/* LB_KERNELS_ROWS_H */
