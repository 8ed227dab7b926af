/*
 * lb_math.h
 *		Elementary functions whose results have the same bits on every machine.
 *
 * The C standard does not require exact results of libm, and glibc chooses
 * among versions by the CPU.  Serving code uses these functions instead:
 * additions, products and divisions in double in a fixed order, whose rounding
 * IEEE 754 defines.  Training may use libm.
 */
#ifndef LB_MATH_H
#define LB_MATH_H

#include "core/lb_core.h"

/* e^x and the natural logarithm, within 2 ulp; NaN and infinities as libm's. */
extern double lb_exp(double x);
extern double lb_log(double x);

/* log(1 + x), within 3 ulp also where x is tiny; x is not below -1. */
extern double lb_log1p(double x);

/* x^y for x >= 0, within 2 + |y log x| ulp. */
extern double lb_pow(double x, double y);

/* Sine and cosine of an angle in turns, |turns| < 2^29; within 2^-52. */
extern double lb_sin_turns(double turns);
extern double lb_cos_turns(double turns);

#endif							/* LB_MATH_H */
