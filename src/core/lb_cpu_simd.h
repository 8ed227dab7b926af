/*
 * lb_cpu_simd.h
 *		One vocabulary of float vectors for three instruction sets.
 *
 * A kernel file defines LB_SIMD (512, 256 or 128), turns the instruction set
 * on by pragma, and includes this; kernels written in these words are then
 * compiled once for each.  128 is GCC's generic vectors: any CPU.
 *
 * Rule: vec_fma() is fused at 512 and 256 and is not at 128.  What must have
 * the same bits everywhere (lb_scan) does not use the 128 version.
 */
#ifndef LB_CPU_SIMD_H
#define LB_CPU_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LB_INLINE static inline __attribute__((always_inline, unused))

#if LB_SIMD == 512

#include <immintrin.h>

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

#ifdef LB_EXP2_C0
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
#endif

#elif LB_SIMD == 256

#include <immintrin.h>

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

#ifdef LB_EXP2_C0
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
#endif

#else							/* LB_SIMD == 128 */

#define LB_VL 4
#define LB_MR 6
typedef float LbVec __attribute__((vector_size(16)));
typedef int32_t LbVecInt __attribute__((vector_size(16)));
typedef uint32_t LbVecBits __attribute__((vector_size(16)));

#define vec_zero() ((LbVec) {0, 0, 0, 0})
#define vec_set1(x) ((LbVec) {(x), (x), (x), (x)})
#define vec_load(p) (*(const LbVec *) (p))
#define vec_store(p, v) (*(LbVec *) (p) = (v))
#define vec_add(a, b) ((a) + (b))
#define vec_sub(a, b) ((a) - (b))
#define vec_mul(a, b) ((a) * (b))
#define vec_fma(a, b, c) ((a) * (b) + (c))

LB_INLINE LbVec
vec_rsqrt(LbVec x)
{
	for (int l = 0; l < LB_VL; l++)
		x[l] = 1 / __builtin_sqrtf(x[l]);
	return x;
}


/* a where the mask is all ones, b where it is zero */
LB_INLINE LbVec
vec_select(LbVecInt mask, LbVec a, LbVec b)
{
	return (LbVec) ((mask & (LbVecInt) a) | (~mask & (LbVecInt) b));
}

LB_INLINE LbVec
vec_max(LbVec a, LbVec b)
{
	return vec_select((LbVecInt) (a > b), a, b);
}

LB_INLINE LbVec
vec_mask_equal(LbVec v, const int32_t *lane_ids, int32_t id, LbVec other)
{
	LbVecInt	wanted = {id, id, id, id};

	return vec_select(*(const LbVecInt *) lane_ids == wanted, other, v);
}

LB_INLINE LbVec
vec_exp2(LbVec x)
{
	LbVec		magic = vec_set1(12582912.0f);
	LbVec		shifted = x + magic;
	LbVec		r = x - (shifted - magic);
	LbVec		p = vec_set1(LB_EXP2_C5);

	p = vec_fma(p, r, vec_set1(LB_EXP2_C4));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C3));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C2));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C1));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C0));
	p = (LbVec) ((LbVecBits) p + ((LbVecBits) shifted << 23));
	p = vec_select((LbVecInt) (x == x), p, x);
	return vec_select((LbVecInt) (x < vec_set1(LB_SM_EXP_MIN)), vec_zero(),
					  p);
}

#endif

#define LB_UNROLL _Pragma("GCC unroll 16")

/*
 * The one product of all kernels: acc[r][v] += sum over k < n of
 * a[r * a_row + k * a_step] * b[k * b_step + v * LB_VL + lane], each lane one
 * chain in ascending k.  r runs over LB_MR broadcasts, v over nv (1 or 2)
 * vectors; the strides are constants where it is inlined, as far as can be.
 */
LB_INLINE void
lb_block_product(LbVec acc[LB_MR][2], const float *a, size_t a_row,
				 size_t a_step, const float *b, size_t b_step, int n, int nv)
{
	for (int k = 0; k < n; k++)
	{
		LbVec		b0 = vec_load(b);
		LbVec		b1 = nv > 1 ? vec_load(b + LB_VL) : b0;

		LB_UNROLL
		for (int r = 0; r < LB_MR; r++)
		{
			LbVec		x = vec_set1(a[r * a_row]);

			acc[r][0] = vec_fma(x, b0, acc[r][0]);
			if (nv > 1)
				acc[r][1] = vec_fma(x, b1, acc[r][1]);
		}
		a += a_step;
		b += b_step;
	}
}

#endif							/* LB_CPU_SIMD_H */
