/*
 * lb_dense.h
 *		The matrix products of dense layers.
 *
 * Kernels load whole vectors, so up to LB_ALIGN bytes past the end of w, wt
 * and dy must be readable; their content does not matter.
 */
#ifndef LB_DENSE_H
#define LB_DENSE_H

#include "core/lb_core.h"

/*
 * y (m,n) = x (m,k) w (k,n) + bias (n), with relu negative values become 0.
 * exact: the same bits with every set of kernels, each sum a chain of fused
 * multiply-adds in ascending k; slower if the set has no such instruction.
 */
extern void lb_dense_forward(float *y, const float *x, const float *w,
							 const float *bias, bool relu,
							 int m, int n, int k, bool exact);

/* dw (k,n) += x (m,k)' dy (m,n) */
extern void lb_dense_add_weights(float *dw, const float *x, const float *dy,
								 int m, int n, int k);

/* the first used columns of dx (m,k) = dy (m,n) wt (n,k) */
extern void lb_dense_inputs(float *dx, const float *dy, const float *wt,
							int m, int n, int k, int used);

/* wt (n,k) = w (k,n)' */
extern void lb_dense_transpose(float *wt, const float *w, int k, int n);

#endif							/* LB_DENSE_H */
