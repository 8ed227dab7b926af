/*
 * test_dense.c
 *		Dense products of every instruction set against sums in double.
 */
#include <math.h>

#include "core/model/lb_dense.h"
#include "unit.h"

static float *
random_matrix(int rows, int cols)
{
	/* kernels may read a vector past the end, and what is there is junk */
	size_t		n = (size_t) rows * cols;
	float	   *x = unit_alloc(n * sizeof(float) + LB_ALIGN);

	for (size_t i = 0; i < n; i++)
		x[i] = unit_normal();
	for (size_t i = n; i < n + LB_ALIGN / sizeof(float); i++)
		x[i] = NAN;
	return x;
}

static void
check_shape(int m, int n, int k, bool exact)
{
	float	   *x = random_matrix(m, k);
	float	   *w = random_matrix(k, n);
	float	   *wt = random_matrix(n, k);
	float	   *dy = random_matrix(m, n);
	float	   *bias = random_matrix(1, n);
	float	   *y = unit_alloc((size_t) m * n * sizeof(float));
	float	   *dw = random_matrix(k, n);
	float	   *dw_before = unit_alloc((size_t) k * n * sizeof(float));
	float	   *dx = unit_alloc((size_t) m * k * sizeof(float));
	double		tolerance = 1e-5 * (sqrt(m + n + k) + 1);

	lb_dense_forward(y, x, w, bias, true, m, n, k, exact);
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++)
		{
			double		sum = bias[j];

			for (int s = 0; s < k; s++)
				sum += (double) x[i * k + s] * w[s * n + j];
			CHECK_MSG(fabs(y[i * n + j] - fmax(sum, 0)) < tolerance,
					  "forward %dx%dx%d", m, n, k);
			if (exact)
			{
				float		chain = 0;

				for (int s = 0; s < k; s++)
					chain = fmaf(x[i * k + s], w[s * n + j], chain);
				CHECK_MSG(y[i * n + j] == fmaxf(chain + bias[j], 0),
						  "exact %dx%dx%d", m, n, k);
			}
		}
	lb_dense_forward(y, x, w, NULL, false, m, n, k, exact);
	for (int j = 0; j < n; j++)
	{
		double		sum = 0;

		for (int s = 0; s < k; s++)
			sum += (double) x[(m - 1) * k + s] * w[s * n + j];
		CHECK_MSG(fabs(y[(m - 1) * n + j] - sum) < tolerance,
				  "no bias %dx%dx%d", m, n, k);
	}
	memcpy(dw_before, dw, (size_t) k * n * sizeof(float));
	lb_dense_add_weights(dw, x, dy, m, n, k);
	for (int s = 0; s < k; s++)
		for (int j = 0; j < n; j++)
		{
			double		sum = dw_before[s * n + j];

			for (int i = 0; i < m; i++)
				sum += (double) x[i * k + s] * dy[i * n + j];
			CHECK_MSG(fabs(dw[s * n + j] - sum) < tolerance,
					  "weights %dx%dx%d", m, n, k);
		}
	lb_dense_transpose(wt, w, k, n);
	lb_dense_inputs(dx, dy, wt, m, n, k, k);
	for (int i = 0; i < m; i++)
		for (int s = 0; s < k; s++)
		{
			double		sum = 0;

			for (int j = 0; j < n; j++)
				sum += (double) dy[i * n + j] * w[s * n + j];
			CHECK_MSG(fabs(dx[i * k + s] - sum) < tolerance,
					  "inputs %dx%dx%d", m, n, k);
		}
	free(x);
	free(w);
	free(wt);
	free(dy);
	free(bias);
	free(y);
	free(dw);
	free(dw_before);
	free(dx);
}

static void
test_shapes(void)
{
	static const int sizes[] = {1, 2, 3, 7, 8, 12, 15, 16, 17, 31, 33, 65};
	int			n_sizes = (int) (sizeof(sizes) / sizeof(sizes[0]));

	for (UNIT_EACH_SET(set))
	{
		for (int i = 0; i < 300; i++)
			check_shape(sizes[unit_below(n_sizes)],
						sizes[unit_below(n_sizes)],
						sizes[unit_below(n_sizes)], i % 2 == 0);
		check_shape(200, 32, 65, true);
		check_shape(200, 128, 64, false);
	}
}

UNIT_MAIN(RUN(test_shapes);)
