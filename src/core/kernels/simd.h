/*
 * simd.h
 *		The vocabulary of float vectors that the tiles are written in.
 *
 * A set's file turns its instruction set on, includes this, defines the words
 * below for its vectors, and includes the tiles it wants: dense_tile.h,
 * rows_tile.h, softmax_tile.h, scan_tile.h.  So each tile is one source for
 * all instruction sets.
 *
 *	LB_VL				floats of a vector: 4, 8 or 16
 *	LB_MR				rows of a register block, LB_MR x 2 vectors: 6 or 12
 *	LbVec, LbVecInt		vectors of LB_VL floats or int32
 *	vec_zero() vec_set1(x)
 *	vec_load(p) vec_store(p, v)			p is aligned to the vector
 *	vec_loadu(p) vec_storeu(p, v)		p is anywhere
 *	vec_add(a, b) vec_sub(a, b) vec_mul(a, b)
 *	vec_max(a, b)		b if a is NaN
 *	vec_fma(a, b, c)	a * b + c, as it is fastest
 *	vec_fused(a, b, c)	a * b + c, rounded once
 *	vec_rsqrt(x)		1 / sqrt(x) for x > 0, within 2 ulp
 *	vec_exp2(x)			2^x for x <= 0; 0 below LB_SM_EXP_MIN; NaN of NaN
 *	vec_mask_equal(v, ids, id, other)	other in lanes whose id is id, else v
 *
 * for scan_tile.h and bound_tile.h
 *
 *	vec_int_load(p) vec_int_store(p, v)
 *	vec_count_above(n, a, b)	n + 1 in lanes where a > b
 *	vec_not_below(a, b)			a bit for each lane where not a < b
 *
 * for bound_tile.h
 *
 *	vec_abs(x)
 *
 * and for scan_tile.h
 *
 *	vec_load_part(p, n)			the first n floats, 0 < n < LB_VL; memory
 *								behind them is not touched
 *	vec_transpose(x)			LB_VL vectors, columns for rows
 */
#ifndef LB_KERNELS_SIMD_H
#define LB_KERNELS_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels/fused.h"
#include "core/kernels/lb_kernels.h"

#define LB_INLINE static inline __attribute__((always_inline, unused))
/* A kernel of a tile; a set may do without it. */
#define LB_KERNEL static __attribute__((unused))

#define LB_UNROLL _Pragma("GCC unroll 16")

/* 2^x on [-0.5, 0.5], relative error 7.5e-8 (Remez) */
#define LB_EXP2_C0 0x1.000002p+0f
#define LB_EXP2_C1 0x1.62e428p-1f
#define LB_EXP2_C2 0x1.ebf918p-3f
#define LB_EXP2_C3 0x1.c6b6e4p-5f
#define LB_EXP2_C4 0x1.3d0c52p-7f
#define LB_EXP2_C5 0x1.5c08e6p-10f

#endif							/* LB_KERNELS_SIMD_H */
