/*
 * blas.h
 *		The functions of a BLAS that the set blas needs.
 *
 * core/openblas/lb_openblas.c loads the library and passes its functions to
 * lb_blas_use(); only then is the set usable.  The functions must be safe to
 * call from several threads at once.
 */
#ifndef LB_KERNELS_BLAS_H
#define LB_KERNELS_BLAS_H

#include "core/lb_core.h"

/* The functions of cblas.h; enumerations are passed as int. */
typedef struct LbBlas
{
	void		(*sgemm) (int order, int trans_a, int trans_b, int m, int n,
						  int k, float alpha, const float *a, int lda,
						  const float *b, int ldb, float beta, float *c,
						  int ldc);
	void		(*sgemv) (int order, int trans, int m, int n, float alpha,
						  const float *a, int lda, const float *x, int incx,
						  float beta, float *y, int incy);
} LbBlas;

#define LB_ROW_MAJOR 101
#define LB_NO_TRANS 111
#define LB_TRANS 112

/* Must not be called while a kernel runs. */
extern void lb_blas_use(const LbBlas *blas);

#endif							/* LB_KERNELS_BLAS_H */
