/*
 * lb_math.c
 *		Elementary functions whose results have the same bits on every machine.
 *
 * Each argument is reduced to a short interval, where a power series is cut
 * off below half an ulp: Taylor's of exp, sin and cos, and that of atanh for
 * log (log(m) = 2 atanh((m - 1) / (m + 1))).  The Makefile forbids the
 * compiler to fuse operations, which would round otherwise.
 */
#include "core/lb_math.h"

#include <math.h>
#include <string.h>

/* log(2) in two parts; products of the first with |k| < 2048 are exact */
#define LN2_HIGH 0x1.62e42fefa38p-1
#define LN2_LOW 0x1.ef35793c7673p-45
#define LOG2_E 0x1.71547652b82fep+0
#define SQRT2 0x1.6a09e667f3bcdp+0
#define TWO_PI 0x1.921fb54442d18p+2

#define LEAST_NORMAL 0x1p-1022
#define TWO_TO_54 0x1p54
#define EXPONENT_BIAS 1023

/* 2^k for -1022 <= k <= 1023 */
static double
power_of_two(int k)
{
	uint64_t	bits = (uint64_t) (k + EXPONENT_BIAS) << 52;
	double		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

double
lb_exp(double x)
{
	/* 1 / n!, n from 13 down to 0 */
	static const double series[] = {
		1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
		1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
		1.0 / 24, 1.0 / 6, 0.5, 1, 1
	};
	double		k;
	double		r;
	double		sum = 0;
	int			half;

	if (isnan(x))
		return x;
	if (x > 710)
		return INFINITY;
	if (x < -746)
		return 0;
	k = floor(x * LOG2_E + 0.5);
	r = (x - k * LN2_HIGH) - k * LN2_LOW;
	for (size_t n = 0; n < sizeof(series) / sizeof(series[0]); n++)
		sum = sum * r + series[n];
	/* in two steps, as the result may be subnormal, and 2^1024 too large */
	half = (int) k / 2;
	return sum * power_of_two(half) * power_of_two((int) k - half);
}

double
lb_log(double x)
{
	/* 1 / n, n from 23 down to 3 by 2 */
	static const double series[] = {
		1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11,
		1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3
	};
	int			k = 0;
	uint64_t	bits;
	double		m;
	double		f;
	double		s;
	double		square;
	double		sum = 0;

	if (isnan(x) || x < 0)
		return NAN;
	if (x == 0)
		return -INFINITY;
	if (isinf(x))
		return x;
	if (x < LEAST_NORMAL)
	{
		x *= TWO_TO_54;
		k = -54;
	}
	memcpy(&bits, &x, sizeof(bits));
	k += (int) (bits >> 52) - EXPONENT_BIAS;
	bits = (bits & ((UINT64_C(1) << 52) - 1)) |
		(uint64_t) EXPONENT_BIAS << 52;
	memcpy(&m, &bits, sizeof(m));
	if (m > SQRT2)
	{
		m /= 2;
		k++;
	}

	/*
	 * log(1 + f) = f - f s + 2 (s^3/3 + s^5/5 ...), as 2 s = f - f s: f is
	 * exact, so the rounded terms are small beside it.
	 */
	f = m - 1;
	s = f / (2 + f);
	square = s * s;
	for (size_t n = 0; n < sizeof(series) / sizeof(series[0]); n++)
		sum = (sum + series[n]) * square;
	return k * LN2_HIGH + (f - (s * (f - 2 * sum) - k * LN2_LOW));
}

/*
 * Divides the rounding error of 1 + x out: log(u) / (u - 1) changes slowly
 * (Kahan's method, from HP's calculators).
 */
double
lb_log1p(double x)
{
	double		u = 1 + x;

	if (u == 1 || isinf(u))
		return x;
	return lb_log(u) * (x / (u - 1));
}

double
lb_pow(double x, double y)
{
	return y == 0 ? 1 : lb_exp(y * lb_log(x));
}

/* sin(x) for |x| <= pi / 4 */
static double
sine(double x)
{
	/* (-1)^n / (2 n + 1)!, n from 8 down to 1 */
	static const double series[] = {
		1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800,
		-1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6
	};
	double		square = x * x;
	double		sum = 0;

	for (size_t n = 0; n < sizeof(series) / sizeof(series[0]); n++)
		sum = (sum + series[n]) * square;
	return x + x * sum;
}

/* cos(x) for |x| <= pi / 4 */
static double
cosine(double x)
{
	/* (-1)^n / (2 n)!, n from 8 down to 1 */
	static const double series[] = {
		1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600,
		-1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5
	};
	double		square = x * x;
	double		sum = 0;

	for (size_t n = 0; n < sizeof(series) / sizeof(series[0]); n++)
		sum = (sum + series[n]) * square;
	return 1 + sum;
}

/*
 * The sine of turns plus a number of quarter turns; quarter turns are exact.
 */
static double
sine_from(double turns, int quarters)
{
	double		nearest = floor(4 * turns + 0.5);
	double		x = TWO_PI * (turns - nearest / 4);

	switch (((int) nearest + quarters) & 3)
	{
		case 0:
			return sine(x);
		case 1:
			return cosine(x);
		case 2:
			return -sine(x);
		default:
			return -cosine(x);
	}
}

double
lb_sin_turns(double turns)
{
	return sine_from(turns, 0);
}

double
lb_cos_turns(double turns)
{
	return sine_from(turns, 1);
}
