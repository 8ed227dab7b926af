/*
 * lb_rows_tile.h
 *		lb_rows.h in the vectors of lb_cpu_simd.h, after lb_dense_tile.h.
 *
 * What is left over of a row beyond whole vectors is done in plain C.
 */
#include <math.h>

#define ROWS_LOAD(p) LB_DENSE_LOAD(p)
#define ROWS_STORE(p, v) (*(LbVecAnywhere *) (p) = (v))

/* nv vectors of the sum stay in registers; nv is a constant */
LB_INLINE void
rows_add_part(float *row, const float *table, int cols, const int32_t *codes,
			  int64_t n, float scale, int nv)
{
	LbVec		acc[8];
	LbVec		factor = vec_set1(scale);

	LB_UNROLL
	for (int v = 0; v < nv; v++)
		acc[v] = ROWS_LOAD(row + v * LB_VL);
	for (int64_t j = 0; j < n; j++)
	{
		const float *e = table + (size_t) codes[j] * cols;

		if (j + LB_ROWS_AHEAD < n)
			lb_rows_prefetch(table +
							 (size_t) codes[j + LB_ROWS_AHEAD] * cols,
							 nv * LB_VL);
		LB_UNROLL
		for (int v = 0; v < nv; v++)
			acc[v] = vec_fma(factor, ROWS_LOAD(e + v * LB_VL), acc[v]);
	}
	LB_UNROLL
	for (int v = 0; v < nv; v++)
		ROWS_STORE(row + v * LB_VL, acc[v]);
}

static void
rows_add(float *row, const float *table, int cols, const int32_t *codes,
		 int64_t n, float scale)
{
	int			d = 0;

	for (; d + 8 * LB_VL <= cols; d += 8 * LB_VL)
		rows_add_part(row + d, table + d, cols, codes, n, scale, 8);
	for (; d + 2 * LB_VL <= cols; d += 2 * LB_VL)
		rows_add_part(row + d, table + d, cols, codes, n, scale, 2);
	for (; d + LB_VL <= cols; d += LB_VL)
		rows_add_part(row + d, table + d, cols, codes, n, scale, 1);
	if (d == cols)
		return;
	for (int64_t j = 0; j < n; j++)
		for (int e = d; e < cols; e++)
			row[e] += scale * table[(size_t) codes[j] * cols + e];
}

static void
rows_add_scaled(float *to, const float *from, float scale, int64_t n)
{
	LbVec		factor = vec_set1(scale);
	int64_t		i = 0;

	for (; i + LB_VL <= n; i += LB_VL)
		ROWS_STORE(to + i, vec_fma(factor, ROWS_LOAD(from + i),
								   ROWS_LOAD(to + i)));
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
		LbVec		x = ROWS_LOAD(g + i);
		LbVec		sum = vec_fma(x, x, ROWS_LOAD(a + i));
		LbVec		step = vec_mul(minus_rate, x);

		ROWS_STORE(a + i, sum);
		ROWS_STORE(w + i, vec_fma(step, vec_rsqrt(vec_add(sum, eps)),
								  ROWS_LOAD(w + i)));
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
		LbVec		x0 = ROWS_LOAD(g + i);
		LbVec		x1 = ROWS_LOAD(g + i + LB_VL);

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

const LbRows LB_ROWS_KERNEL = {
	.add = rows_add,
	.add_scaled = rows_add_scaled,
	.adagrad = rows_adagrad,
	.rowwise = rows_rowwise,
};
