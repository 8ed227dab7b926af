/*
 * fused.h
 *		The fused multiply-add of a score, on any machine.
 *
 * A set's file includes this after it has turned its instruction set on.
 */
#ifndef LB_KERNELS_FUSED_H
#define LB_KERNELS_FUSED_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* acc + q * c, rounded once */
static inline float
lb_fused(float q, float c, float acc)
{
#if defined(FP_FAST_FMAF) || defined(__FMA__)
	return __builtin_fmaf(q, c, acc);
#else
	/*
	 * No instruction for it: the product is exact in double.  The sum is
	 * rounded to odd (the neighbour with the odd last bit when inexact), and
	 * rounding that to float is then rounding the exact sum (Boldo and
	 * Melquiond, 2008).
	 */
	double		product = (double) q * c;
	double		sum = product + acc;
	double		part = sum - product;
	double		error = (product - (sum - part)) + (acc - part);
	uint64_t	bits;

	memcpy(&bits, &sum, sizeof(bits));
	if (error != 0 && (bits & 1) == 0 && isfinite(sum))
	{
		bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX;
		memcpy(&sum, &bits, sizeof(bits));
	}
	return (float) sum;
#endif
}

#endif							/* LB_KERNELS_FUSED_H */
