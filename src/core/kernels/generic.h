/*
 * generic.h
 *		The vocabulary of simd.h in GCC's generic vectors, without an
 *		instruction set, and the index's dot products in plain C.
 */
#ifndef LB_KERNELS_GENERIC_H
#define LB_KERNELS_GENERIC_H

#include "core/kernels/simd.h"

#define LB_VL 4
#define LB_MR 6
typedef float LbVec __attribute__((vector_size(16)));
typedef LbVec LbVecAnywhere __attribute__((aligned(4), may_alias));
typedef int32_t LbVecInt __attribute__((vector_size(16)));
typedef uint32_t LbVecBits __attribute__((vector_size(16)));

#define vec_zero() ((LbVec) {0, 0, 0, 0})
#define vec_set1(x) ((LbVec) {(x), (x), (x), (x)})
#define vec_load(p) (*(const LbVec *) (p))
#define vec_store(p, v) (*(LbVec *) (p) = (v))
#define vec_loadu(p) ((LbVec) *(const LbVecAnywhere *) (p))
#define vec_storeu(p, v) (*(LbVecAnywhere *) (p) = (v))
#define vec_add(a, b) ((a) + (b))
#define vec_sub(a, b) ((a) - (b))
#define vec_mul(a, b) ((a) * (b))
#define vec_fma(a, b, c) ((a) * (b) + (c))

typedef double LbWide __attribute__((vector_size(32)));
typedef int64_t LbWideInt __attribute__((vector_size(32)));

/*
 * Does what lb_fused() does, four at a time.  If a sum overflows, its error is
 * NaN, which is neither above nor below zero, so the sum stays.
 */
LB_INLINE LbVec
vec_fused(LbVec a, LbVec b, LbVec c)
{
	LbWide		product = __builtin_convertvector(a, LbWide) *
		__builtin_convertvector(b, LbWide);
	LbWide		addend = __builtin_convertvector(c, LbWide);
	LbWide		sum = product + addend;
	LbWide		part = sum - product;
	LbWide		error = (product - (sum - part)) + (addend - part);
	LbWide		zero = {0, 0, 0, 0};
	LbWideInt	bits = (LbWideInt) sum;
	LbWideInt	above = (LbWideInt) (error > zero);
	LbWideInt	inexact = above | (LbWideInt) (error < zero);
	LbWideInt	even = (bits & 1) - 1;	/* all ones, or zero */
	LbWideInt	towards = above ^ (LbWideInt) (sum > zero);

	bits += (1 + 2 * towards) & inexact & even;
	return __builtin_convertvector((LbWide) bits, LbVec);
}

LB_INLINE LbVec
vec_abs(LbVec x)
{
	return (LbVec) ((LbVecInt) x & INT32_MAX);
}

#define vec_int_load(p) (*(const LbVecInt *) (p))
#define vec_int_store(p, v) (*(LbVecInt *) (p) = (v))
#define vec_count_above(n, a, b) ((n) - (LbVecInt) ((a) > (b)))

LB_INLINE unsigned
vec_not_below(LbVec a, LbVec b)
{
	LbVecInt	below = (LbVecInt) (a < b);

	return (unsigned) ((~below[0] & 1) | (~below[1] & 2) | (~below[2] & 4) |
					   (~below[3] & 8));
}

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

static int
scan_codes(int32_t *places, int32_t *dots, const uint8_t *codes, int n_groups,
		   int n_quads, const int8_t *qcodes, int32_t start,
		   const int32_t *floors)
{
	int			n = 0;

	for (int g = 0; g < n_groups; g++)
	{
		int32_t		acc[LB_GROUP];

		for (int l = 0; l < LB_GROUP; l++)
			acc[l] = start;
		for (int k = 0; k < n_quads; k++, codes += LB_GROUP * 4)
		{
			for (int l = 0; l < LB_GROUP; l++)
			{
				for (int d = 0; d < 4; d++)
					acc[l] += codes[l * 4 + d] * qcodes[k * 4 + d];
			}
		}
		for (int l = 0; l < LB_GROUP; l++)
		{
			if (acc[l] < floors[g])
				continue;
			places[n] = g * LB_GROUP + l;
			dots[n] = acc[l];
			n++;
		}
	}
	return n;
}

#endif							/* LB_KERNELS_GENERIC_H */
