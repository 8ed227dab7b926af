/*
 * bound_tile.h
 *		The kernels of scan.h, but for the index, for sets that have no fused
 *		multiply-add of vectors: dot products as they are fastest, and the
 *		chain that is the score only where rounding could matter.
 *
 * Let u = 2^-24 and A >= sum over d of |q_d c_d|.  Any way to sum D products
 * in float32, fused or not, in any order, lets each product pass through at
 * most D + 8 roundings (a product, D - 1 sums, and some for blocks of sums),
 * so it is off from <q,c> by at most g(D + 8) A, g(n) = n u / (1 - n u), and D
 * 2^-149 where products underflow.  The chain is off by at most g(D) A and D
 * 2^-150.  So chain and fast product differ by at most
 *		E = (2 D + 40) 1.004 u A + 2^-120,
 * whose surplus covers the roundings of E itself and 1 / (1 - n u), D being at
 * most 1024.  A = |q|_1 times the largest component of the candidates.  From
 * A = 2^120 on a sum could overflow: then E is infinite.
 *
 * A fast product below floor - E, or above floor + E, decides; all between,
 * and all that are NaN, are decided by their chain.
 *
 * The includer defines BOUND_LANES, a multiple of LB_VL, BOUND_MR and
 *
 *	bound_dots(out, q, c, D, n)		out[i] = <q, row i of c>
 *	bound_block(s, qt, cpack, D)	s (BOUND_MR, BOUND_LANES), aligned: all
 *									candidates of a packed block and queries
 */
#include <math.h>

static float
chain(const float *q, const float *c, int D)
{
	float		acc = 0;

	for (int d = 0; d < D; d++)
		acc = lb_fused(q[d], c[d], acc);
	return acc;
}

/* The largest |component| of n, all finite. */
static float
largest_of(const float *x, size_t n)
{
	LbVec		most0 = vec_zero();
	LbVec		most1 = vec_zero();
	float		lanes[LB_VL];
	float		largest = 0;
	size_t		i = 0;

	for (; i + 2 * LB_VL <= n; i += 2 * LB_VL)
	{
		most0 = vec_max(vec_abs(vec_loadu(x + i)), most0);
		most1 = vec_max(vec_abs(vec_loadu(x + i + LB_VL)), most1);
	}
	vec_storeu(lanes, vec_max(most0, most1));
	for (int l = 0; l < LB_VL; l++)
		largest = lanes[l] > largest ? lanes[l] : largest;
	for (; i < n; i++)
		largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
	return largest;
}

#define BOUND_UNIT (1.004 * 0x1p-24)
#define BOUND_LEAST 0x1p-120
#define BOUND_MOST 0x1p120

/* E; sum_q is |q|_1 */
static double
bound_error(double sum_q, float largest_c, int D)
{
	double		all = sum_q * largest_c;

	if (!(all < BOUND_MOST))
		return INFINITY;
	return (2.0 * D + 40) * BOUND_UNIT * all + BOUND_LEAST;
}

/* floor - error, rounded down */
static float
bound_low(float floor, double error)
{
	double		x = (double) floor - error;
	float		low = (float) x;

	if (isinf(error))
		return -INFINITY;
	return low > x ? nextafterf(low, -INFINITY) : low;
}

/* floor + error, rounded up */
static float
bound_high(float floor, double error)
{
	return -bound_low(-floor, error);
}

static void
score_range(float *out, const float *q, const float *c, int D, int n,
			float floor)
{
	float		low = -INFINITY;

	if (floor > -INFINITY)
	{
		double		sum_q = 0;

		for (int d = 0; d < D; d++)
			sum_q += fabsf(q[d]);
		low = bound_low(floor, bound_error(sum_q,
										   largest_of(c, (size_t) n * D), D));
		bound_dots(out, q, c, D, n);
	}
	for (int i = 0; i < n; i++)
		out[i] = low > -INFINITY && out[i] < low ? -INFINITY :
			chain(q, c + (size_t) i * D, D);
}

static void
score_rows(float *out, const float *q, const float *c, int D,
		   const int32_t *rows, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = chain(q, c + (size_t) rows[i] * D, D);
}

/* The errors of the lanes for any of n_blocks blocks. */
static void
bound_errors(double *errors, const float *qt, const float *cpack, int D,
			 int n_blocks)
{
	float		largest = largest_of(cpack, (size_t) n_blocks * BOUND_MR * D);
	double		sums[BOUND_LANES] = {0};

	for (int d = 0; d < D; d++)
		for (int l = 0; l < BOUND_LANES; l++)
			sums[l] += fabsf(qt[d * BOUND_LANES + l]);
	for (int l = 0; l < BOUND_LANES; l++)
		errors[l] = bound_error(sums[l], largest, D);
}

/* The chain of a query of the tile and a candidate of a packed block. */
static float
tile_chain(const float *qt, const float *block, int lane, int candidate,
		   int D)
{
	float		acc = 0;

	for (int d = 0; d < D; d++)
		acc = lb_fused(qt[d * BOUND_LANES + lane],
					   block[d * BOUND_MR + candidate], acc);
	return acc;
}

static void
tile_counts(int32_t *counts, const float *floor, const float *qt,
			const float *cpack, int D, int n_blocks)
{
	float		s[BOUND_MR * BOUND_LANES] __attribute__((aligned(64)));
	float		low[BOUND_LANES] __attribute__((aligned(64)));
	float		high[BOUND_LANES] __attribute__((aligned(64)));
	double		errors[BOUND_LANES];

	bound_errors(errors, qt, cpack, D, n_blocks);
	for (int l = 0; l < BOUND_LANES; l++)
	{
		low[l] = bound_low(floor[l], errors[l]);
		high[l] = bound_high(floor[l], errors[l]);
	}
	for (int b = 0; b < n_blocks; b++, cpack += (size_t) BOUND_MR * D)
	{
		bound_block(s, qt, cpack, D);
		for (int l = 0; l < BOUND_LANES; l += LB_VL)
		{
			LbVec		above = vec_load(high + l);
			LbVec		below = vec_load(low + l);
			LbVecInt	count = vec_int_load(counts + l);

			for (int r = 0; r < BOUND_MR; r++)
			{
				LbVec		x = vec_load(s + r * BOUND_LANES + l);
				unsigned	unsure = vec_not_below(x, below) &
				vec_not_below(above, x);

				count = vec_count_above(count, x, above);
				if (unsure == 0)
					continue;
				vec_int_store(counts + l, count);
				for (; unsure != 0; unsure &= unsure - 1)
				{
					int			lane = l + __builtin_ctz(unsure);

					counts[lane] += tile_chain(qt, cpack, lane, r, D) >
						floor[lane];
				}
				count = vec_int_load(counts + l);
			}
			vec_int_store(counts + l, count);
		}
	}
}

static void
tile_scores(float *scores, const float *qt, const float *cpack, int D,
			int n_blocks)
{
	for (int b = 0; b < n_blocks; b++, cpack += (size_t) BOUND_MR * D)
		for (int r = 0; r < BOUND_MR; r++)
			for (int l = 0; l < BOUND_LANES; l++)
				*scores++ = tile_chain(qt, cpack, l, r, D);
}

static int
tile_hits(LbHit *hits, int max_hits, const float *floor, const float *qt,
		  const float *cpack, int D, int *n_blocks)
{
	float		s[BOUND_MR * BOUND_LANES] __attribute__((aligned(64)));
	float		low[BOUND_LANES] __attribute__((aligned(64)));
	double		errors[BOUND_LANES];
	int			n = 0;
	int			b;

	bound_errors(errors, qt, cpack, D, *n_blocks);
	for (int l = 0; l < BOUND_LANES; l++)
		low[l] = bound_low(floor[l], errors[l]);
	for (b = 0; b < *n_blocks && n + BOUND_LANES * BOUND_MR <= max_hits; b++)
	{
		const float *block = cpack + (size_t) b * BOUND_MR * D;

		bound_block(s, qt, block, D);
		for (int r = 0; r < BOUND_MR; r++)
			for (int l = 0; l < BOUND_LANES; l += LB_VL)
			{
				unsigned	near = vec_not_below(vec_load(s + r * BOUND_LANES +
														  l),
												 vec_load(low + l));

				for (; near != 0; near &= near - 1)
				{
					int			lane = l + __builtin_ctz(near);
					float		score = tile_chain(qt, block, lane, r, D);

					if (score < floor[lane])
						continue;
					hits[n].lane = (uint32_t) lane;
					hits[n].candidate = (uint32_t) (b * BOUND_MR + r);
					hits[n++].score = score;
				}
			}
	}
	*n_blocks = b;
	return n;
}

#define LB_SCAN_KERNEL \
	.lanes = BOUND_LANES, .mr = BOUND_MR, .score_range = score_range, \
	.score_rows = score_rows, .tile_counts = tile_counts, \
	.tile_scores = tile_scores, .tile_hits = tile_hits
