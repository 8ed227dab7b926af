/*
 * test_math.c
 *		Our elementary functions beside libm's, their special values, and a
 *		checksum that is the same on every machine.
 */
#include <math.h>

#include "core/lb_math.h"
#include "unit.h"

#define SAMPLES 200000

/* of the bits of all results, in the order of the tests */
#define CHECKSUM UINT64_C(0x41f1822cb671c640)

static uint64_t checksum = UNIT_CHECKSUM_START;

static double
tell(double x)
{
	checksum = unit_checksum(checksum, &x, sizeof(x));
	return x;
}

/* The distance of two numbers, in units of the last place of the second. */
static double
ulps(double x, double exact)
{
	if (x == exact)
		return 0;
	return fabs(x - exact) / fabs(nextafter(exact, INFINITY) - exact);
}

static double
uniform(double from, double to)
{
	return from + (to - from) * ((double) (unit_random() >> 11) * 0x1p-53);
}

/* The worst error of SAMPLES arguments, and where it was. */
#define WORST(worst, at, argument, ours, theirs) \
	for (int i = 0; i < SAMPLES; i++) \
	{ \
		double		x = argument; \
		double		u = ulps(tell(ours), theirs); \
		if (!(u <= worst)) \
		{ \
			worst = u; \
			at = x; \
		} \
	}

static void
test_exp(void)
{
	double		worst = 0;
	double		at = 0;

	WORST(worst, at, uniform(-700, 700), lb_exp(x), exp(x));
	WORST(worst, at, uniform(-1, 1), lb_exp(x), exp(x));
	CHECK_MSG(worst <= 2, "%g ulp at %a", worst, at);
	CHECK(tell(lb_exp(0)) == 1);
	CHECK(lb_exp(INFINITY) == INFINITY && lb_exp(710) == INFINITY);
	CHECK(isfinite(tell(lb_exp(709.78))));
	CHECK(lb_exp(-INFINITY) == 0 && lb_exp(-746) == 0);
	/* subnormal: rounded twice */
	CHECK(fabs(tell(lb_exp(-740)) - exp(-740)) <= 2 * 0x1p-1074);
	CHECK(isnan(lb_exp(NAN)));
}

static void
test_log(void)
{
	double		worst = 0;
	double		at = 0;

	WORST(worst, at, lb_exp(uniform(-700, 700)), lb_log(x), log(x));
	WORST(worst, at, uniform(0.5, 2), lb_log(x), log(x));
	WORST(worst, at, 1 + uniform(-1e-9, 1e-9), lb_log(x), log(x));
	CHECK_MSG(worst <= 2, "%g ulp at %a", worst, at);
	CHECK(lb_log(1) == 0 && !signbit(lb_log(1)));
	CHECK(ulps(tell(lb_log(0x1p-1074)), log(0x1p-1074)) <= 2);
	CHECK(lb_log(0) == -INFINITY && lb_log(-0.0) == -INFINITY);
	CHECK(lb_log(INFINITY) == INFINITY);
	CHECK(isnan(lb_log(-1)) && isnan(lb_log(-INFINITY)) && isnan(lb_log(NAN)));
}

static void
test_log1p(void)
{
	double		worst = 0;
	double		at = 0;

	WORST(worst, at, uniform(-0.99, 100), lb_log1p(x), log1p(x));
	WORST(worst, at, lb_exp(uniform(-700, 700)), lb_log1p(x), log1p(x));
	WORST(worst, at, uniform(-1e-3, 1e-3), lb_log1p(x), log1p(x));
	CHECK_MSG(worst <= 3, "%g ulp at %a", worst, at);
	CHECK(lb_log1p(0) == 0 && lb_log1p(1e-300) == 1e-300);
	CHECK(lb_log1p(-1) == -INFINITY && lb_log1p(INFINITY) == INFINITY);
	CHECK(isnan(lb_log1p(NAN)) && isnan(lb_log1p(-2)));
}

static void
test_pow(void)
{
	double		worst = 0;

	for (int i = 0; i < SAMPLES; i++)
	{
		double		x = lb_exp(uniform(-20, 20));
		double		y = uniform(-5, 5);
		double		u = ulps(tell(lb_pow(x, y)), pow(x, y)) /
			(3 + fabs(y * log(x)));

		worst = u > worst ? u : worst;
	}
	CHECK_MSG(worst <= 1, "%g of what is allowed", worst);
	CHECK(lb_pow(0, 0) == 1 && lb_pow(5, 0) == 1 && lb_pow(1, -0.5) == 1);
	CHECK(lb_pow(0, 2) == 0 && lb_pow(0, -1) == INFINITY);
	CHECK(lb_pow(INFINITY, -0.5) == 0);
}

static void
test_turns(void)
{
	double		worst = 0;

	for (int i = 0; i < SAMPLES; i++)
	{
		double		x = uniform(-3, 3);
		double		s = fabs(tell(lb_sin_turns(x)) - sin(2 * M_PI * x));
		double		c = fabs(tell(lb_cos_turns(x)) - cos(2 * M_PI * x));

		worst = fmax(worst, fmax(s, c));
	}
	/* the argument of the other is rounded, up to 19 */
	CHECK_MSG(worst <= 4e-15, "%g", worst);
	for (int quarter = -8; quarter <= 8; quarter++)
	{
		static const double sines[] = {0, 1, 0, -1};

		CHECK(lb_sin_turns(quarter / 4.0) == sines[quarter & 3]);
		CHECK(lb_cos_turns(quarter / 4.0) == sines[(quarter + 1) & 3]);
	}
	/* the seconds of a day, as the towers' inputs take them */
	worst = 0;
	for (int s = 0; s < 86400; s++)
	{
		double		turns = s / 86400.0;

		worst = fmax(worst, fabs(tell(lb_sin_turns(turns)) -
								 sin(2 * M_PI * turns)));
	}
	CHECK_MSG(worst <= 1e-15, "%g", worst);
}

static void
test_everywhere(void)
{
	CHECK_MSG(checksum == CHECKSUM, "0x%016llx",
			  (unsigned long long) checksum);
}

UNIT_MAIN(RUN(test_exp);
		  RUN(test_log);
		  RUN(test_log1p);
		  RUN(test_pow);
		  RUN(test_turns);
		  RUN(test_everywhere);)
