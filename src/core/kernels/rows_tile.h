/*
 * rows_tile.h
 *		The kernels of rows.h in the vocabulary of simd.h.
 *
 * The rest of a row beyond whole vectors is done in plain C.
 */
#include <math.h>

/* nv vectors of the sum stay in registers; nv is a constant */
LB_INLINE void
rows_add_part(float *row, const float *table, int cols, const int32_t *codes,
			  int64_t n, float scale, int nv, bool fused)
{
	LbVec		acc[8];
	LbVec		factor = vec_set1(scale);

	LB_UNROLL
	for (int v = 0; v < nv; v++)
		acc[v] = vec_loadu(row + v * LB_VL);
	for (int64_t j = 0; j < n; j++)
	{
		const float *e = table + (size_t) codes[j] * cols;

		if (j + LB_ROWS_AHEAD < n)
			lb_rows_prefetch(table +
							 (size_t) codes[j + LB_ROWS_AHEAD] * cols,
							 nv * LB_VL);
		LB_UNROLL
		for (int v = 0; v < nv; v++)
			acc[v] = fused ?
				vec_fused(factor, vec_loadu(e + v * LB_VL), acc[v]) :
				vec_fma(factor, vec_loadu(e + v * LB_VL), acc[v]);
	}
	LB_UNROLL
	for (int v = 0; v < nv; v++)
		vec_storeu(row + v * LB_VL, acc[v]);
}

LB_INLINE void
rows_add_all(float *row, const float *table, int cols, const int32_t *codes,
			 int64_t n, float scale, bool fused)
{
	int			d = 0;

	for (; d + 8 * LB_VL <= cols; d += 8 * LB_VL)
		rows_add_part(row + d, table + d, cols, codes, n, scale, 8,
					  fused);
	for (; d + 2 * LB_VL <= cols; d += 2 * LB_VL)
		rows_add_part(row + d, table + d, cols, codes, n, scale, 2,
					  fused);
	for (; d + LB_VL <= cols; d += LB_VL)
		rows_add_part(row + d, table + d, cols, codes, n, scale, 1,
					  fused);
	if (d == cols)
		return;
	for (int64_t j = 0; j < n; j++)
		for (int e = d; e < cols; e++)
		{
			float		x = table[(size_t) codes[j] * cols + e];

			row[e] = fused ? lb_fused(scale, x, row[e]) :
				row[e] + scale * x;
		}
}

static void
rows_add(float *row, const float *table, int cols, const int32_t *codes,
		 int64_t n, float scale)
{
	rows_add_all(row, table, cols, codes, n, scale, false);
}

static void
rows_add_exact(float *row, const float *table, int cols, const int32_t *codes,
			   int64_t n, float scale)
{
	rows_add_all(row, table, cols, codes, n, scale, true);
}

static void
rows_add_scaled(float *to, const float *from, float scale, int64_t n)
{
	LbVec		factor = vec_set1(scale);
	int64_t		i = 0;

	for (; i + LB_VL <= n; i += LB_VL)
		vec_storeu(to + i, vec_fma(factor, vec_loadu(from + i),
								   vec_loadu(to + i)));
	for (; i < n; i++)
		to[i] += scale * from[i];
}

static void
rows_adagrad(float *w, float *a, const float *g, int64_t n, float rate,
			 float epsilon)
{
	LbVec		minus_rate = vec_set1(-rate);
	LbVec		eps = vec_set1(epsilon);
	int64_t		i = 0;

	for (; i + LB_VL <= n; i += LB_VL)
	{
		LbVec		x = vec_loadu(g + i);
		LbVec		sum = vec_fma(x, x, vec_loadu(a + i));
		LbVec		step = vec_mul(minus_rate, x);

		vec_storeu(a + i, sum);
		vec_storeu(w + i, vec_fma(step, vec_rsqrt(vec_add(sum, eps)),
								  vec_loadu(w + i)));
	}
	for (; i < n; i++)
	{
		a[i] += g[i] * g[i];
		w[i] -= rate * g[i] / sqrtf(a[i] + epsilon);
	}
}

static void
rows_rowwise(float *w, float *a, const float *g, int64_t n, float rate,
			 float epsilon)
{
	LbVec		part0 = vec_zero();
	LbVec		part1 = vec_zero();
	float		lanes[LB_VL];
	double		squares = 0;
	int64_t		i = 0;

	for (; i + 2 * LB_VL <= n; i += 2 * LB_VL)
	{
		LbVec		x0 = vec_loadu(g + i);
		LbVec		x1 = vec_loadu(g + i + LB_VL);

		part0 = vec_fma(x0, x0, part0);
		part1 = vec_fma(x1, x1, part1);
	}
	part0 = vec_add(part0, part1);
	memcpy(lanes, &part0, sizeof(lanes));
	for (int l = 0; l < LB_VL; l++)
		squares += lanes[l];
	for (; i < n; i++)
		squares += (double) g[i] * g[i];
	*a += (float) (squares / n);
	rows_add_scaled(w, g, -rate / sqrtf(*a + epsilon), n);
}

#define LB_ROWS_KERNEL \
	.add = rows_add, .add_exact = rows_add_exact, \
	.add_scaled = rows_add_scaled, \
	.adagrad = rows_adagrad, .rowwise = rows_rowwise
