/*
 * lb_dense.c
 *		The matrix products of dense layers, by the kernels in use.
 */
#include "core/model/lb_dense.h"

#include "core/kernels/lb_kernels.h"

void
lb_dense_forward(float *y, const float *x, const float *w, const float *bias,
				 bool relu, int m, int n, int k, bool exact)
{
	LbDense		p = {.out = y, .a = x, .a_row = k, .a_step = 1, .b = w,
		.bias = bias, .relu = relu, .m = m, .n = n, .k = k, .columns = n};

	if (exact)
		lb_kernels()->dense_exact(&p);
	else
		lb_kernels()->dense(&p);
}

/*
 * Blocks of rows are summed separately: the error of a float32 sum grows with
 * its length, and rows of a batch nearly cancel.
 */
#define ROWS_OF_SUM 64

void
lb_dense_add_weights(float *dw, const float *x, const float *dy,
					 int m, int n, int k)
{
	for (int row = 0; row < m; row += ROWS_OF_SUM)
	{
		LbDense		p = {.out = dw, .a = x + (size_t) row * k, .a_row = 1,
			.a_step = k, .b = dy + (size_t) row * n, .add = true, .m = k, .n = n,
			.columns = n,
		.k = m - row < ROWS_OF_SUM ? m - row : ROWS_OF_SUM};

		lb_kernels()->dense(&p);
	}
}

void
lb_dense_inputs(float *dx, const float *dy, const float *wt,
				int m, int n, int k, int used)
{
	LbDense		p = {.out = dx, .a = dy, .a_row = n, .a_step = 1, .b = wt,
		.m = m, .n = k, .k = n, .columns = used};

	lb_kernels()->dense(&p);
}

void
lb_dense_transpose(float *wt, const float *w, int k, int n)
{
	for (int i = 0; i < k; i++)
		for (int j = 0; j < n; j++)
			wt[(size_t) j * k + i] = w[(size_t) i * n + j];
}
