/*
 * dense.h
 *		The kernel of dense layers.
 */
#ifndef LB_KERNELS_DENSE_H
#define LB_KERNELS_DENSE_H

#include "core/lb_core.h"

/*
 * The first columns of out (m,n) become the sum over s < k of
 * a[r * a_row + s * a_step] * b[s * n + column], a chain in ascending s; with
 * add, that is added to what is there.  bias, if not NULL, is added last.
 * Either a_row or a_step is 1.
 *
 * Kernels load whole vectors: up to LB_ALIGN bytes past the end of b must be
 * readable; what is there does not matter.
 */
typedef struct LbDense
{
	float	   *out;
	const float *a;
	size_t		a_row;
	size_t		a_step;
	const float *b;
	const float *bias;			/* (n) or NULL */
	bool		add;
	bool		relu;			/* turn negative values into zero */
	int			m;
	int			n;
	int			k;
	int			columns;		/* number of columns to compute, of n */
} LbDense;

#endif							/* LB_KERNELS_DENSE_H */
