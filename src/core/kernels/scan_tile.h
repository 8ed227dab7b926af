/*
 * scan_tile.h
 *		The kernels of scan.h, but for the index, in the vocabulary of simd.h,
 *		for sets whose vec_fma() is vec_fused(): every product is the chain.
 *
 * Rows arrive row-major, chains run along d, lanes are rows: so LB_VL rows by
 * LB_VL dimensions are transposed in registers on the way.  For one query the
 * shuffles hide behind memory; batches pack candidates once per tile instead.
 */
#include "core/kernels/product_tile.h"

static float
chain(const float *q, const float *c, int D)
{
	float		acc = 0;

	for (int d = 0; d < D; d++)
		acc = lb_fused(q[d], c[d], acc);
	return acc;
}

/* chains of LB_VL rows at any places */
LB_INLINE LbVec
chains_of(const float *q, const float *const rows[LB_VL], int D)
{
	LbVec		acc = vec_zero();
	LbVec		x[LB_VL];
	int			d = 0;

	for (; d + LB_VL <= D; d += LB_VL)
	{
		LB_UNROLL
		for (int l = 0; l < LB_VL; l++)
			x[l] = vec_loadu(rows[l] + d);
		vec_transpose(x);
		LB_UNROLL
		for (int k = 0; k < LB_VL; k++)
			acc = vec_fma(vec_set1(q[d + k]), x[k], acc);
	}
	if (d < D)
	{
		LB_UNROLL
		for (int l = 0; l < LB_VL; l++)
			x[l] = vec_load_part(rows[l] + d, D - d);
		vec_transpose(x);
		LB_UNROLL
		for (int k = 0; k < LB_VL; k++)
		{
			if (k < D - d)
				acc = vec_fma(vec_set1(q[d + k]), x[k], acc);
		}
	}
	return acc;
}

static void
score_range(float *out, const float *q, const float *c, int D, int n,
			float floor)
{
	int			i = 0;

	for (; i + LB_VL <= n; i += LB_VL)
	{
		const float *rows[LB_VL];

		for (int l = 0; l < LB_VL; l++)
			rows[l] = c + (size_t) (i + l) * D;
		vec_storeu(out + i, chains_of(q, rows, D));
	}
	for (; i < n; i++)
		out[i] = chain(q, c + (size_t) i * D, D);
}

static void
score_rows(float *out, const float *q, const float *c, int D,
		   const int32_t *numbers, int n)
{
	int			i = 0;

	for (; i + LB_VL <= n; i += LB_VL)
	{
		const float *rows[LB_VL];

		for (int l = 0; l < LB_VL; l++)
			rows[l] = c + (size_t) numbers[i + l] * D;
		vec_storeu(out + i, chains_of(q, rows, D));
	}
	for (; i < n; i++)
		out[i] = chain(q, c + (size_t) numbers[i] * D, D);
}

#define LANES (2 * LB_VL)

static void
tile_counts(int32_t *counts, const float *floor, const float *qt,
			const float *cpack, int D, int n_blocks)
{
	LbVecInt	count0 = vec_int_load(counts);
	LbVecInt	count1 = vec_int_load(counts + LB_VL);
	LbVec		floor0 = vec_load(floor);
	LbVec		floor1 = vec_load(floor + LB_VL);

	for (int b = 0; b < n_blocks; b++, cpack += (size_t) LB_MR * D)
	{
		LbVec		acc[LB_MR][2];

		LB_UNROLL
		for (int r = 0; r < LB_MR; r++)
			acc[r][0] = acc[r][1] = vec_zero();
		lb_block_product(acc, cpack, 1, LB_MR, qt, LANES, D, 2);
		LB_UNROLL
		for (int r = 0; r < LB_MR; r++)
		{
			count0 = vec_count_above(count0, acc[r][0], floor0);
			count1 = vec_count_above(count1, acc[r][1], floor1);
		}
	}
	vec_int_store(counts, count0);
	vec_int_store(counts + LB_VL, count1);
}

static void
tile_scores(float *scores, const float *qt, const float *cpack, int D,
			int n_blocks)
{
	for (int b = 0; b < n_blocks; b++, cpack += (size_t) LB_MR * D)
	{
		LbVec		acc[LB_MR][2];

		LB_UNROLL
		for (int r = 0; r < LB_MR; r++)
			acc[r][0] = acc[r][1] = vec_zero();
		lb_block_product(acc, cpack, 1, LB_MR, qt, LANES, D, 2);
		LB_UNROLL
		for (int r = 0; r < LB_MR; r++, scores += LANES)
		{
			vec_store(scores, acc[r][0]);
			vec_store(scores + LB_VL, acc[r][1]);
		}
	}
}

/* lanes of one vector that are not below their floor */
LB_INLINE int
note_hits(LbHit *hits, LbVec acc, LbVec floor, int lane0, int candidate)
{
	unsigned	bits = vec_not_below(acc, floor);
	float		scores[LB_VL] __attribute__((aligned(64)));
	int			n = 0;

	if (bits == 0)
		return 0;
	vec_store(scores, acc);
	for (; bits != 0; bits &= bits - 1)
	{
		int			lane = __builtin_ctz(bits);

		hits[n].lane = (uint32_t) (lane0 + lane);
		hits[n].candidate = (uint32_t) candidate;
		hits[n].score = scores[lane];
		n++;
	}
	return n;
}

static int
tile_hits(LbHit *hits, int max_hits, const float *floor, const float *qt,
		  const float *cpack, int D, int *n_blocks)
{
	LbVec		floor0 = vec_load(floor);
	LbVec		floor1 = vec_load(floor + LB_VL);
	int			n_hits = 0;
	int			b;

	for (b = 0; b < *n_blocks && n_hits + LANES * LB_MR <= max_hits; b++)
	{
		LbVec		acc[LB_MR][2];
		LbVec		best0;
		LbVec		best1;

		LB_UNROLL
		for (int r = 0; r < LB_MR; r++)
			acc[r][0] = acc[r][1] = vec_zero();
		lb_block_product(acc, cpack + (size_t) b * LB_MR * D, 1, LB_MR, qt,
						 LANES, D, 2);

		/*
		 * The best of the block first.  A NaN may get lost in it, which is
		 * right: it counts as minus infinity, and passes where all pass.
		 */
		best0 = acc[0][0];
		best1 = acc[0][1];
		LB_UNROLL
		for (int r = 1; r < LB_MR; r++)
		{
			best0 = vec_max(acc[r][0], best0);
			best1 = vec_max(acc[r][1], best1);
		}
		if ((vec_not_below(best0, floor0) | vec_not_below(best1, floor1)) == 0)
			continue;
		LB_UNROLL
		for (int r = 0; r < LB_MR; r++)
		{
			n_hits += note_hits(hits + n_hits, acc[r][0], floor0, 0,
								b * LB_MR + r);
			n_hits += note_hits(hits + n_hits, acc[r][1], floor1, LB_VL,
								b * LB_MR + r);
		}
	}
	*n_blocks = b;
	return n_hits;
}

#define LB_SCAN_KERNEL \
	.lanes = LANES, .mr = LB_MR, .score_range = score_range, \
	.score_rows = score_rows, .tile_counts = tile_counts, \
	.tile_scores = tile_scores, .tile_hits = tile_hits
