/*
 * avx512.c
 *		The sets for x86-64 with AVX-512 F, BW, DQ and VL, and with VNNI as well.
 *
 * The pragma stands before every include that defines functions, so that no
 * make rule is needed; only what usable() allows may be called.
 */
#include "core/kernels/lb_kernels.h"

#if defined(__x86_64__)

static bool
usable(void)
{
	/* this looks at XCR0 too, so that an old operating system shows */
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
		__builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512vl");
}

static bool
usable_vnni(void)
{
	return usable() && __builtin_cpu_supports("avx512vnni");
}


#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include <immintrin.h>

#include "core/kernels/simd.h"

#define LB_VL 16				/* floats of a vector */
#define LB_MR 12				/* register block: LB_MR x (2 vectors) */
typedef __m512 LbVec;

#define vec_zero() _mm512_setzero_ps()
#define vec_set1(x) _mm512_set1_ps(x)
#define vec_load(p) _mm512_load_ps(p)
#define vec_store(p, v) _mm512_store_ps(p, v)
#define vec_add(a, b) _mm512_add_ps(a, b)
#define vec_sub(a, b) _mm512_sub_ps(a, b)
#define vec_max(a, b) _mm512_max_ps(a, b)
#define vec_mul(a, b) _mm512_mul_ps(a, b)
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_fused(a, b, c) _mm512_fmadd_ps(a, b, c)

/*
 * 1 / sqrt(x) for x > 0, within 2 ulp: an approximation and a step of Newton's,
 * for square root and division take ten times as long.  An infinite x would
 * give NaN there.
 */
LB_INLINE LbVec
vec_rsqrt(LbVec x)
{
	LbVec		y;
	LbVec		half;

	x = _mm512_min_ps(vec_set1(3.0e38f), x);	/* a NaN stays one */
	y = _mm512_rsqrt14_ps(x);
	half = vec_mul(vec_mul(vec_set1(-0.5f), x), y);
	return vec_fma(y, vec_fma(half, y, vec_set1(0.5f)), y);
}

typedef __m512i LbVecInt;

#define vec_int_load(p) _mm512_load_si512(p)
#define vec_int_store(p, v) _mm512_store_si512(p, v)

/* n + 1 in the lanes where a > b */
LB_INLINE LbVecInt
vec_count_above(LbVecInt n, LbVec a, LbVec b)
{
	return _mm512_mask_add_epi32(n, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), n,
								 _mm512_set1_epi32(1));
}

/* a bit for each lane where not a < b */
LB_INLINE unsigned
vec_not_below(LbVec a, LbVec b)
{
	return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ);
}

/* other where the lane's id is id, else v */
LB_INLINE LbVec
vec_mask_equal(LbVec v, const int32_t *lane_ids, int32_t id, LbVec other)
{
	__mmask16	same = _mm512_cmpeq_epi32_mask(_mm512_load_si512(lane_ids),
											   _mm512_set1_epi32(id));

	return _mm512_mask_mov_ps(v, same, other);
}

/* 2^x for x <= 0; 0 below LB_SM_EXP_MIN */
LB_INLINE LbVec
vec_exp2(LbVec x)
{
	LbVec		n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT |
										 _MM_FROUND_NO_EXC);
	LbVec		r = vec_sub(x, n);
	LbVec		p = vec_set1(LB_EXP2_C5);

	/* not less: a NaN must stay one */
	__mmask16	keep = _mm512_cmp_ps_mask(x, vec_set1(LB_SM_EXP_MIN),
										  _CMP_NLT_UQ);

	p = vec_fma(p, r, vec_set1(LB_EXP2_C4));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C3));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C2));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C1));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C0));
	return _mm512_maskz_scalef_ps(keep, p, n);
}

#define vec_loadu(p) _mm512_loadu_ps(p)
#define vec_storeu(p, v) _mm512_storeu_ps(p, v)

LB_INLINE void
vec_transpose(LbVec x[16])
{
	LbVec		y[16];

	LB_UNROLL
	for (int i = 0; i < 16; i += 2)
	{
		y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
		y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
	}
	LB_UNROLL
	for (int i = 0; i < 16; i += 4)
	{
		x[i] = _mm512_shuffle_ps(y[i], y[i + 2], 0x44);
		x[i + 1] = _mm512_shuffle_ps(y[i], y[i + 2], 0xee);
		x[i + 2] = _mm512_shuffle_ps(y[i + 1], y[i + 3], 0x44);
		x[i + 3] = _mm512_shuffle_ps(y[i + 1], y[i + 3], 0xee);
	}

	/*
	 * x[4 g + k] has dimensions k, k + 4, k + 8, k + 12 of rows 4 g .. 4 g +
	 * 3
	 */
	LB_UNROLL
	for (int k = 0; k < 4; k++)
	{
		y[k] = _mm512_shuffle_f32x4(x[k], x[k + 4], 0x88);
		y[k + 4] = _mm512_shuffle_f32x4(x[k], x[k + 4], 0xdd);
		y[k + 8] = _mm512_shuffle_f32x4(x[k + 8], x[k + 12], 0x88);
		y[k + 12] = _mm512_shuffle_f32x4(x[k + 8], x[k + 12], 0xdd);
	}
	LB_UNROLL
	for (int k = 0; k < 4; k++)
	{
		x[k] = _mm512_shuffle_f32x4(y[k], y[k + 8], 0x88);
		x[k + 8] = _mm512_shuffle_f32x4(y[k], y[k + 8], 0xdd);
		x[k + 4] = _mm512_shuffle_f32x4(y[k + 4], y[k + 12], 0x88);
		x[k + 12] = _mm512_shuffle_f32x4(y[k + 4], y[k + 12], 0xdd);
	}
}

#define vec_load_part(p, n) \
	_mm512_maskz_loadu_ps((__mmask16) ((1u << (n)) - 1), p)

#include "core/kernels/dense_tile.h"
#include "core/kernels/rows_tile.h"
#include "core/kernels/softmax_tile.h"
#include "core/kernels/scan_tile.h"

#include "core/kernels/codes_avx2.h"

/* The set vnni is avx512 with other dot products of the int8 index. */
#define VNNI \
	__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

LB_INLINE int
note(int32_t *places, int32_t *dots, __m512i acc, int32_t floor, int place)
{
	__mmask16	hit = _mm512_cmpge_epi32_mask(acc, _mm512_set1_epi32(floor));
	__m512i		lane;

	if (hit == 0)
		return 0;
	lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
							 15);
	_mm512_mask_compressstoreu_epi32(dots, hit, acc);
	_mm512_mask_compressstoreu_epi32(places, hit,
									 _mm512_add_epi32(lane,
													  _mm512_set1_epi32(place)));
	return __builtin_popcount(hit);
}

/* four groups at a time: one product takes five cycles to come out */
VNNI static int
scan_codes_vnni(int32_t *places, int32_t *dots, const uint8_t *codes,
				int n_groups, int n_quads, const int8_t *qcodes,
				int32_t start, const int32_t *floors)
{
	size_t		stride = (size_t) n_quads * LB_GROUP * 4;
	int			n = 0;
	int			g = 0;

	for (; g + 4 <= n_groups; g += 4, codes += 4 * stride)
	{
		__m512i		acc[4];

		for (int i = 0; i < 4; i++)
			acc[i] = _mm512_set1_epi32(start);
		for (int k = 0; k < n_quads; k++)
		{
			const uint8_t *c = codes + (size_t) k * LB_GROUP * 4;
			int32_t		quad;
			__m512i		q;

			memcpy(&quad, qcodes + k * 4, sizeof(quad));
			q = _mm512_set1_epi32(quad);
			for (int i = 0; i < 4; i++)
				acc[i] = _mm512_dpbusd_epi32(
											 acc[i], _mm512_load_si512(c + i * stride), q);
		}
		for (int i = 0; i < 4; i++)
			n += note(places + n, dots + n, acc[i], floors[g + i],
					  (g + i) * LB_GROUP);
	}
	for (; g < n_groups; g++, codes += stride)
	{
		__m512i		acc = _mm512_set1_epi32(start);

		for (int k = 0; k < n_quads; k++)
		{
			int32_t		quad;

			memcpy(&quad, qcodes + k * 4, sizeof(quad));
			acc = _mm512_dpbusd_epi32(
									  acc, _mm512_load_si512(codes + (size_t) k * LB_GROUP * 4),
									  _mm512_set1_epi32(quad));
		}
		n += note(places + n, dots + n, acc, floors[g], g * LB_GROUP);
	}
	return n;
}

const LbKernels lb_kernels_avx512 = {
	.name = "avx512",
	.usable = usable,
	.dense = dense_kernel,
	.dense_exact = dense_kernel,
	.rows = {LB_ROWS_KERNEL},
	.softmax = {LB_SOFTMAX_KERNEL},
	.scan = {LB_SCAN_KERNEL, .scan_codes = scan_codes},
};

const LbKernels lb_kernels_vnni = {
	.name = "vnni",
	.usable = usable_vnni,
	.dense = dense_kernel,
	.dense_exact = dense_kernel,
	.rows = {LB_ROWS_KERNEL},
	.softmax = {LB_SOFTMAX_KERNEL},
	.scan = {LB_SCAN_KERNEL, .scan_codes = scan_codes_vnni,
		.fast_codes = true},
	};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif							/* __x86_64__ */
