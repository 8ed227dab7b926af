/*
 * lb_dense.h
 *		The matrix products of dense layers.
 *
 * No BLAS: we split rows over threads of our own, and Debian's serial OpenBLAS
 * keeps its buffers in unlocked static tables (of 200,000 small products on
 * four threads some 4,000 were wrong), while its pthread build starts
 * threads, with the server's signals unblocked, when a backend loads it.
 * These shapes are small; the kernels below are as fast on them.
 *
 * Kernels load whole vectors, so up to LB_ALIGN bytes past the end of w, wt
 * and dy must be readable; what is there does not matter.
 */
#ifndef LB_DENSE_H
#define LB_DENSE_H

#include "core/lb_core.h"

/* y (m,n) = x (m,k) w (k,n) + bias (n), negative values cut off with relu */
extern void lb_dense_forward(float *y, const float *x, const float *w,
							 const float *bias, bool relu,
							 int m, int n, int k);

/* dw (k,n) += x (m,k)' dy (m,n) */
extern void lb_dense_add_weights(float *dw, const float *x, const float *dy,
								 int m, int n, int k);

/* the first used columns of dx (m,k) = dy (m,n) wt (n,k) */
extern void lb_dense_inputs(float *dx, const float *dy, const float *wt,
							int m, int n, int k, int used);

/* wt (n,k) = w (k,n)' */
extern void lb_dense_transpose(float *wt, const float *w, int k, int n);

/*
 * What all of them are: the first columns of out (m,n) become the sum over
 * s < k of a[r * a_row + s * a_step] * b[s * n + column], a chain in ascending
 * s; added to what is there if add.  bias, if not NULL, is added last.  Either
 * a_row or a_step is 1.
 */
typedef struct LbDense
{
	float	   *out;
	const float *a;
	size_t		a_row;
	size_t		a_step;
	const float *b;
	const float *bias;
	bool		add;
	bool		relu;
	int			m;
	int			n;
	int			k;
	int			columns;
} LbDense;

extern void lb_dense_portable(const LbDense *p);
extern void lb_dense_avx2(const LbDense *p);
extern void lb_dense_avx512(const LbDense *p);

#endif							/* LB_DENSE_H */
