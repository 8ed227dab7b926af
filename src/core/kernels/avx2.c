/*
 * avx2.c
 *		The set for x86-64 with AVX2 and FMA.
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
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#include <immintrin.h>

#include "core/kernels/simd.h"

#define LB_VL 8
#define LB_MR 6
typedef __m256 LbVec;

#define vec_zero() _mm256_setzero_ps()
#define vec_set1(x) _mm256_set1_ps(x)
#define vec_load(p) _mm256_load_ps(p)
#define vec_store(p, v) _mm256_store_ps(p, v)
#define vec_add(a, b) _mm256_add_ps(a, b)
#define vec_sub(a, b) _mm256_sub_ps(a, b)
#define vec_max(a, b) _mm256_max_ps(a, b)
#define vec_mul(a, b) _mm256_mul_ps(a, b)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_fused(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_rsqrt(x) _mm256_div_ps(vec_set1(1), _mm256_sqrt_ps(x))
typedef __m256i LbVecInt;

#define vec_int_load(p) _mm256_load_si256((const __m256i *) (p))
#define vec_int_store(p, v) _mm256_store_si256((__m256i *) (p), v)

LB_INLINE LbVecInt
vec_count_above(LbVecInt n, LbVec a, LbVec b)
{
	return _mm256_sub_epi32(n, _mm256_castps_si256(
												   _mm256_cmp_ps(a, b, _CMP_GT_OQ)));
}

LB_INLINE unsigned
vec_not_below(LbVec a, LbVec b)
{
	return (unsigned) _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLT_UQ));
}

LB_INLINE LbVec
vec_mask_equal(LbVec v, const int32_t *lane_ids, int32_t id, LbVec other)
{
	__m256i		same =
		_mm256_cmpeq_epi32(_mm256_load_si256((const __m256i *) lane_ids),
						   _mm256_set1_epi32(id));

	return _mm256_blendv_ps(v, other, _mm256_castsi256_ps(same));
}

LB_INLINE LbVec
vec_exp2(LbVec x)
{
	/* 1.5 * 2^23: adding it leaves the rounded integer in the low bits */
	LbVec		magic = vec_set1(12582912.0f);
	LbVec		shifted = vec_add(x, magic);
	LbVec		r = vec_sub(x, vec_sub(shifted, magic));
	LbVec		p = vec_set1(LB_EXP2_C5);
	LbVec		keep = _mm256_cmp_ps(x, vec_set1(LB_SM_EXP_MIN), _CMP_NLT_UQ);
	__m256i		power = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);

	p = vec_fma(p, r, vec_set1(LB_EXP2_C4));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C3));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C2));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C1));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C0));
	/* p is in [0.7, 1.5): adding to its exponent is multiplying by 2^n */
	p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
	/* that addition spoils a NaN, so a NaN x is put back */
	p = _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
	return _mm256_and_ps(p, keep);
}

#define vec_loadu(p) _mm256_loadu_ps(p)
#define vec_storeu(p, v) _mm256_storeu_ps(p, v)

LB_INLINE void
vec_transpose(LbVec x[8])
{
	LbVec		y[8];

	LB_UNROLL
	for (int i = 0; i < 8; i += 2)
	{
		y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
		y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
	}
	LB_UNROLL
	for (int i = 0; i < 8; i += 4)
	{
		x[i] = _mm256_shuffle_ps(y[i], y[i + 2], 0x44);
		x[i + 1] = _mm256_shuffle_ps(y[i], y[i + 2], 0xee);
		x[i + 2] = _mm256_shuffle_ps(y[i + 1], y[i + 3], 0x44);
		x[i + 3] = _mm256_shuffle_ps(y[i + 1], y[i + 3], 0xee);
	}
	LB_UNROLL
	for (int i = 0; i < 4; i++)
	{
		y[i] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x20);
		y[i + 4] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x31);
	}
	LB_UNROLL
	for (int i = 0; i < 8; i++)
		x[i] = y[i];
}

/* the first n floats, 0 < n < 8; memory behind them is not touched */
LB_INLINE __m256
vec_load_part(const float *p, int n)
{
	__m256i		lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n),
													lane));
}

#include "core/kernels/dense_tile.h"
#include "core/kernels/rows_tile.h"
#include "core/kernels/softmax_tile.h"
#include "core/kernels/scan_tile.h"

#include "core/kernels/codes_avx2.h"

const LbKernels lb_kernels_avx2 = {
	.name = "avx2",
	.usable = usable,
	.dense = dense_kernel,
	.dense_exact = dense_kernel,
	.rows = {LB_ROWS_KERNEL},
	.softmax = {LB_SOFTMAX_KERNEL},
	.scan = {LB_SCAN_KERNEL, .scan_codes = scan_codes},
};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif							/* __x86_64__ */
