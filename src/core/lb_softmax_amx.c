/*
 * lb_softmax_amx.c
 *		The softmax tile for AMX: products of bf16 tiles, the rest in AVX-512.
 *
 * A float x is split into hi, x rounded to bf16, and lo = x - hi rounded to
 * bf16; together they carry 17 bits of mantissa.  A product is then three:
 * hi hi + hi lo + lo hi, summed in float32 by the tile unit (lo lo is below
 * what lo has lost; with hi cut off instead of rounded, all lo have the sign
 * of their x and lo lo is a bias: ten times the error in the loss).  Gradients
 * get the same three products: one alone is faster by a third, but then
 * gradients carry 8 bits, and small ones near the end of training are lost.
 *
 *		logits	s[j][i]  = sum over d	a: c (j, d),	b: q pairs (d/2, i)
 *		dq		dq[d][i] = sum over j	a: c^T (d, j),	b: p pairs (j/2, i)
 *		dc		dc[j][d] = sum over i	a: p (j, i),	b: q' pairs (i/2, d)
 *
 * So p is needed in two forms.  Row-major it takes the place of s, hi and lo
 * halves of a row one after the other; in pairs it lives for one panel.  dq is
 * kept transposed (dq_transposed).
 *
 * The test compiles this file again with LB_TILE_EMULATED.  Only
 * lb_softmax.c's dispatch may call it, when lb_cpu_level() is LB_CPU_AMX.
 */
#if defined(__x86_64__)

#ifdef LB_TILE_EMULATED
#define AMX_TARGET "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"
#else
#define AMX_TARGET \
	"avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16"
#endif
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target(AMX_TARGET))), \
							 apply_to = function)
#elif defined(LB_TILE_EMULATED)
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#else
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16")
#endif

#define LB_SIMD 512
#include "core/lb_softmax_int.h"
#include "core/lb_cpu_simd.h"
#include "core/lb_cpu_tile.h"

#define ROWS LB_SM_ROWS
#define BLOCK 32				/* two tiles a side: four accumulators */

/* bytes of a row of s; hi is its first half, lo its second */
#define S_STRIDE (ROWS * sizeof(float))
#define S_LO (ROWS * sizeof(uint16_t))

/* tile registers of a block */
#define C00 0
#define C01 1
#define C10 2
#define C11 3
#define A0 4
#define A1 5
#define B0 6
#define B1 7

/* hi and lo of x, each in the upper half of its lane */
LB_INLINE void
split(__m512i *hi, __m512i *lo, __m512 x)
{
	__m512i		upper = _mm512_set1_epi32((int) 0xffff0000u);
	__m512i		half = _mm512_set1_epi32(0x8000);
	__m512		rest;

	*hi = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), half),
						   upper);
	rest = _mm512_sub_ps(x, _mm512_castsi512_ps(*hi));
	*lo = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(rest), half),
						   upper);
}

static void
split_one(uint16_t *hi, uint16_t *lo, float x)
{
	uint32_t	bits;
	float		upper;
	float		rest;

	memcpy(&bits, &x, sizeof(bits));
	bits = (bits + 0x8000u) & 0xffff0000u;
	*hi = (uint16_t) (bits >> 16);
	memcpy(&upper, &bits, sizeof(bits));
	rest = x - upper;
	memcpy(&bits, &rest, sizeof(bits));
	*lo = (uint16_t) ((bits + 0x8000u) >> 16);
}

/* lanes of first and second as pairs */
LB_INLINE __m512i
pair(__m512i first, __m512i second)
{
	return _mm512_or_si512(_mm512_srli_epi32(first, 16), second);
}

/*
 * c in both forms, columns j0 to j1: t->cpack as (N, Dp) bf16, all hi and then
 * all lo; t->crow as (Dp, N) the same way.
 */
static void
pack_columns(const LbSoftmaxTile *t, int j0, int j1)
{
	size_t		half = (size_t) t->Np * t->Dp;
	uint16_t   *rows = (uint16_t *) t->cpack;
	uint16_t   *columns = (uint16_t *) t->crow;

	for (int j = j0; j < j1; j++)
	{
		for (int d = 0; d < t->Dp; d++)
		{
			float		x = t->c[(size_t) j * t->Dp + d];
			uint16_t	hi;
			uint16_t	lo;

			split_one(&hi, &lo, x);
			rows[(size_t) j * t->Dp + d] = hi;
			rows[half + (size_t) j * t->Dp + d] = lo;
			columns[(size_t) d * t->Np + j] = hi;
			columns[half + (size_t) d * t->Np + j] = lo;
		}
	}
}

/* a worker's own pairs, hi and then lo of each */
typedef struct Pairs
{
	uint32_t   *q;				/* (Dp / 2, ROWS) */
	uint32_t   *qg;				/* (ROWS / 2, Dp) */
	uint32_t   *p;				/* (PANEL / 2, ROWS) */
	size_t		q_half;
	size_t		p_half;
} Pairs;

static Pairs
pairs_of(const LbSoftmaxTile *t)
{
	Pairs		x;

	x.q_half = (size_t) t->Dp / 2 * ROWS;
	x.p_half = (size_t) LB_SM_PANEL / 2 * ROWS;
	x.q = t->extra;
	x.qg = x.q + 2 * x.q_half;
	x.p = x.qg + 2 * x.q_half;
	return x;
}

/* all three products of one step over k, into the block's accumulators */
LB_INLINE void
block_step(const void *a_hi, const void *a_lo, size_t a_stride,
		   const void *b_hi, const void *b_lo, size_t b_stride)
{
	size_t		a_next = LB_TILE_ROWS * a_stride;

	tile_load(A0, a_hi, a_stride);
	tile_load(A1, (const char *) a_hi + a_next, a_stride);
	tile_load(B0, b_lo, b_stride);
	tile_load(B1, (const char *) b_lo + LB_TILE_BYTES, b_stride);
	tile_dp(C00, A0, B0);
	tile_dp(C01, A0, B1);
	tile_dp(C10, A1, B0);
	tile_dp(C11, A1, B1);
	tile_load(B0, b_hi, b_stride);
	tile_load(B1, (const char *) b_hi + LB_TILE_BYTES, b_stride);
	tile_dp(C00, A0, B0);
	tile_dp(C01, A0, B1);
	tile_dp(C10, A1, B0);
	tile_dp(C11, A1, B1);
	tile_load(A0, a_lo, a_stride);
	tile_load(A1, (const char *) a_lo + a_next, a_stride);
	tile_dp(C00, A0, B0);
	tile_dp(C01, A0, B1);
	tile_dp(C10, A1, B0);
	tile_dp(C11, A1, B1);
}

/* the block of 32 x 32 floats at p: from there, or zero; and back */
LB_INLINE void
block_begin(const float *p, size_t stride, bool zero)
{
	if (zero)
	{
		tile_zero(C00);
		tile_zero(C01);
		tile_zero(C10);
		tile_zero(C11);
		return;
	}
	tile_load(C00, p, stride * sizeof(float));
	tile_load(C01, p + 16, stride * sizeof(float));
	tile_load(C10, p + 16 * stride, stride * sizeof(float));
	tile_load(C11, p + 16 * stride + 16, stride * sizeof(float));
}

LB_INLINE void
block_end(float *p, size_t stride)
{
	tile_store(C00, p, stride * sizeof(float));
	tile_store(C01, p + 16, stride * sizeof(float));
	tile_store(C10, p + 16 * stride, stride * sizeof(float));
	tile_store(C11, p + 16 * stride + 16, stride * sizeof(float));
}

/* bias, mask and maximum for columns that the tiles have left in s */
static void
finish_logits(LbSoftmaxTile *t, int j0, int j1)
{
	for (int l = 0; l < ROWS; l += LB_VL)
	{
		LbVec		max = vec_load(t->row_max + l);

		for (int j = j0; j < j1; j++)
		{
			float	   *s = t->s + (size_t) j * ROWS + l;
			int			lane = j - t->row0 - l;
			LbVec		x = vec_add(vec_load(s), vec_set1(t->bias[j]));

			if (t->ids != NULL)
			{
				LbVec		kept = x;

				x = vec_mask_equal(x, t->row_ids + l, t->ids[j],
								   vec_set1(LB_SM_MASKED));
				/* a row's own column carries the row's own id */
				if (lane >= 0 && lane < LB_VL)
					x = _mm512_mask_mov_ps(x, (__mmask16) (1u << lane), kept);
			}
			vec_store(s, x);
			max = vec_max(x, max);
		}
		vec_store(t->row_max + l, max);
	}
}

static void
tile_logits(LbSoftmaxTile *t, int j0, int j1)
{
	Pairs		pairs = pairs_of(t);
	const uint16_t *c_hi = (const uint16_t *) t->cpack;
	const uint16_t *c_lo = c_hi + (size_t) t->Np * t->Dp;

	if (j0 == 0)
	{
		for (int d = 0; d < t->Dp; d += 2)
		{
			for (int l = 0; l < ROWS; l += LB_VL)
			{
				const float *q = t->qt + (size_t) d * ROWS + l;
				uint32_t   *to = pairs.q + (size_t) d / 2 * ROWS + l;
				__m512i		hi[2];
				__m512i		lo[2];

				split(&hi[0], &lo[0], d < t->D ? vec_load(q) : vec_zero());
				split(&hi[1], &lo[1],
					  d + 1 < t->D ? vec_load(q + ROWS) : vec_zero());
				_mm512_store_si512(to, pair(hi[0], hi[1]));
				_mm512_store_si512(to + pairs.q_half, pair(lo[0], lo[1]));
			}
		}
	}
	tile_begin();
	for (int j = j0; j < j1; j += BLOCK)
	{
		for (int i = 0; i < ROWS; i += BLOCK)
		{
			float	   *s = t->s + (size_t) j * ROWS + i;

			block_begin(s, ROWS, true);
			for (int d = 0; d < t->Dp; d += 32)
			{
				size_t		a = (size_t) j * t->Dp + d;
				size_t		b = (size_t) d / 2 * ROWS + i;

				block_step(c_hi + a, c_lo + a, t->Dp * sizeof(uint16_t),
						   pairs.q + b, pairs.q + pairs.q_half + b,
						   ROWS * sizeof(uint32_t));
			}
			block_end(s, ROWS);
		}
	}
	tile_end();
	finish_logits(t, j0, j1);
}

/* p takes the place of s as bf16, and fills the panel's pairs */
static void
tile_exps(LbSoftmaxTile *t, int j0, int j1)
{
	Pairs		pairs = pairs_of(t);

	for (int j = j0; j < j1; j += 2)
	{
		for (int l = 0; l < ROWS; l += LB_VL)
		{
			LbVec		max = vec_load(t->row_max + l);
			LbVec		sum = vec_load(t->row_sum + l);
			uint32_t   *to = pairs.p + (size_t) (j - j0) / 2 * ROWS + l;
			__m512i		hi[2];
			__m512i		lo[2];

			for (int k = 0; k < 2; k++)
			{
				LbVec		p = vec_exp2(vec_sub(
												 vec_load(t->s + (size_t) (j + k) * ROWS + l), max));

				sum = vec_add(sum, p);
				split(&hi[k], &lo[k], p);
				/* halves wait in their own lanes until the row is read */
				_mm512_store_si512(t->s + (size_t) (j + k) * ROWS + l,
								   _mm512_or_si512(hi[k],
												   _mm512_srli_epi32(lo[k],
																	 16)));
			}
			vec_store(t->row_sum + l, sum);
			_mm512_store_si512(to, pair(hi[0], hi[1]));
			_mm512_store_si512(to + pairs.p_half, pair(lo[0], lo[1]));
		}
		for (int k = 0; k < 2; k++)
		{
			char	   *row = (char *) (t->s + (size_t) (j + k) * ROWS);
			__m512i		x[ROWS / LB_VL];

			LB_UNROLL
			for (int l = 0; l < ROWS / LB_VL; l++)
				x[l] = _mm512_load_si512(row + l * 64);
			LB_UNROLL
			for (int l = 0; l < ROWS / LB_VL; l++)
			{
				_mm256_store_si256(
								   (__m256i *) (row + l * 32),
								   _mm512_cvtepi32_epi16(_mm512_srli_epi32(x[l], 16)));
				_mm256_store_si256((__m256i *) (row + S_LO + l * 32),
								   _mm512_cvtepi32_epi16(x[l]));
			}
		}
	}
}

static void
tile_dq(LbSoftmaxTile *t, int j0, int j1)
{
	Pairs		pairs = pairs_of(t);
	const uint16_t *c_hi = (const uint16_t *) t->crow;
	const uint16_t *c_lo = c_hi + (size_t) t->Np * t->Dp;

	tile_begin();
	for (int d = 0; d < t->Dp; d += BLOCK)
	{
		for (int i = 0; i < ROWS; i += BLOCK)
		{
			float	   *dq = t->dq + (size_t) d * ROWS + i;

			block_begin(dq, ROWS, false);
			for (int j = j0; j < j1; j += 32)
			{
				size_t		a = (size_t) d * t->Np + j;
				size_t		b = (size_t) (j - j0) / 2 * ROWS + i;

				block_step(c_hi + a, c_lo + a, t->Np * sizeof(uint16_t),
						   pairs.p + b, pairs.p + pairs.p_half + b,
						   ROWS * sizeof(uint32_t));
			}
			block_end(dq, ROWS);
		}
	}
	tile_end();
}

static void
tile_dc(LbSoftmaxTile *t, int j0, int j1, bool first)
{
	Pairs		pairs = pairs_of(t);

	if (j0 == 0)
	{
		for (int i = 0; i < ROWS; i += 2)
		{
			for (int d = 0; d < t->Dp; d += LB_VL)
			{
				const float *q = t->qg + (size_t) i * t->Dp + d;
				uint32_t   *to = pairs.qg + (size_t) i / 2 * t->Dp + d;
				__m512i		hi[2];
				__m512i		lo[2];

				split(&hi[0], &lo[0],
					  i < t->n_rows ? vec_load(q) : vec_zero());
				split(&hi[1], &lo[1],
					  i + 1 < t->n_rows ? vec_load(q + t->Dp) : vec_zero());
				_mm512_store_si512(to, pair(hi[0], hi[1]));
				_mm512_store_si512(to + pairs.q_half, pair(lo[0], lo[1]));
			}
		}
	}
	tile_begin();
	for (int d = 0; d < t->Dp; d += BLOCK)
	{
		for (int j = j0; j < j1; j += BLOCK)
		{
			float	   *dc = t->dc + (size_t) j * t->Dp + d;
			const char *p = (const char *) (t->s + (size_t) j * ROWS);

			block_begin(dc, t->Dp, first);
			for (int i = 0; i < ROWS; i += 32)
			{
				size_t		b = (size_t) i / 2 * t->Dp + d;

				block_step(p + i * sizeof(uint16_t),
						   p + S_LO + i * sizeof(uint16_t), S_STRIDE,
						   pairs.qg + b, pairs.qg + pairs.q_half + b,
						   t->Dp * sizeof(uint32_t));
			}
			block_end(dc, t->Dp);
		}
	}
	tile_end();
}

#ifndef LB_SM_KERNEL
#define LB_SM_KERNEL lb_softmax_amx
#endif

const LbSoftmaxKernel LB_SM_KERNEL = {
	.column_unit = 32,
	.width_unit = 32,
	.dq_transposed = true,
	.pack_columns = pack_columns,
	.logits = tile_logits,
	.exps = tile_exps,
	.dq = tile_dq,
	.dc = tile_dc,
};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int lb_softmax_amx_not_for_this_machine;
#endif
