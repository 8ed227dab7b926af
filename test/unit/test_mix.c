/*
 * test_mix.c
 *		The fit of a score's weights: finite differences, known answers.
 */
#include <math.h>

#include "core/score/lb_mix.h"
#include "unit.h"

#define F 3
#define GROUPS 40
#define ROWS 30

static float x[GROUPS * ROWS * F];
static float log_count[GROUPS * ROWS];
static float chosen[GROUPS * ROWS];
static int64_t offsets[GROUPS + 1];
static double prior[F] = {0.5, 0, -1};
static double precision[F] = {0.1, 0.1, 0.1};
static double lower[F] = {-INFINITY, -INFINITY, -INFINITY};

static double
uniform(void)
{
	return (double) (unit_random() >> 11) / (double) (UINT64_C(1) << 53);
}

/* Choices that follow the logit of the weights b. */
static LbChoices
make_choices(const double *b, int choices_each)
{
	for (int g = 0; g < GROUPS; g++)
	{
		double		total = 0;
		double		e[ROWS];

		offsets[g] = g * ROWS;
		for (int r = 0; r < ROWS; r++)
		{
			int			row = g * ROWS + r;
			double		s = 0;

			log_count[row] = r % 5 == 0 ? (float) log(7) : 0;
			chosen[row] = 0;
			for (int f = 0; f < F; f++)
			{
				x[row * F + f] = (float) (2 * uniform() - 1);
				s += b[f] * x[row * F + f];
			}
			e[r] = exp(s + log_count[row]);
			total += e[r];
		}
		for (int k = 0; k < choices_each; k++)
		{
			double		u = uniform() * total;
			int			r = 0;

			while (r < ROWS - 1 && u >= e[r])
				u -= e[r++];
			chosen[g * ROWS + r]++;
		}
	}
	offsets[GROUPS] = GROUPS * ROWS;
	return (LbChoices)
	{
		F, GROUPS, offsets, x, log_count, chosen, prior, precision, lower
	};
}

static void
test_differences(void)
{
	double		truth[F] = {1, -2, 0.5};
	LbChoices	c = make_choices(truth, 3);
	double		b[F] = {0.3, 0.7, -0.4};
	double		gradient[F];
	double		hessian[F * F];
	double		h = 1e-5;

	lb_mix_loss(gradient, hessian, &c, b);
	for (int f = 0; f < F; f++)
	{
		double		up[F];
		double		down[F];
		double		gradient_up[F];
		double		gradient_down[F];
		double		slope;

		memcpy(up, b, sizeof(b));
		memcpy(down, b, sizeof(b));
		up[f] += h;
		down[f] -= h;
		slope = (lb_mix_loss(NULL, NULL, &c, up) -
				 lb_mix_loss(NULL, NULL, &c, down)) / (2 * h);
		CHECK_MSG(fabs(slope - gradient[f]) < 1e-4, "%g %g", slope,
				  gradient[f]);
		lb_mix_loss(gradient_up, NULL, &c, up);
		lb_mix_loss(gradient_down, NULL, &c, down);
		for (int e = 0; e < F; e++)
		{
			slope = (gradient_up[e] - gradient_down[e]) / (2 * h);
			CHECK_MSG(fabs(slope - hessian[f * F + e]) < 1e-4, "%g %g", slope,
					  hessian[f * F + e]);
		}
	}
}

static void
test_finds_the_weights(void)
{
	double		truth[F] = {1, -2, 0.5};
	LbChoices	c = make_choices(truth, 400);
	double		b[F];
	double		gradient[F];

	CHECK(lb_mix_fit(b, &c, NULL) == LB_OK);
	for (int f = 0; f < F; f++)
		CHECK_MSG(fabs(b[f] - truth[f]) < 0.1, "%g for %g", b[f], truth[f]);
	lb_mix_loss(gradient, NULL, &c, b);
	for (int f = 0; f < F; f++)
		CHECK_MSG(fabs(gradient[f]) < 2, "%g", gradient[f]);
}

/* nothing chosen: the prior */
static void
test_prior_without_choices(void)
{
	double		truth[F] = {0};
	LbChoices	c = make_choices(truth, 0);
	double		b[F];

	CHECK(lb_mix_fit(b, &c, NULL) == LB_OK);
	for (int f = 0; f < F; f++)
		CHECK(fabs(b[f] - prior[f]) < 1e-9);
}

/* a weight that would be lower stays at the bound, the others find theirs */
static void
test_bound(void)
{
	double		truth[F] = {1, -2, 0.5};
	double		bound[F] = {-INFINITY, 0, -INFINITY};
	LbChoices	c = make_choices(truth, 200);
	double		b[F];
	double		gradient[F];

	c.lower = bound;
	CHECK(lb_mix_fit(b, &c, NULL) == LB_OK);
	CHECK(b[1] == 0);
	lb_mix_loss(gradient, NULL, &c, b);
	CHECK_MSG(fabs(gradient[0]) < 2, "%g", gradient[0]);
	CHECK(gradient[1] > 0);
	CHECK_MSG(fabs(gradient[2]) < 2, "%g", gradient[2]);
}

/* one group that chose what has the highest feature of all: no overflow */
static void
test_extreme(void)
{
	double		truth[F] = {0};
	LbChoices	c = make_choices(truth, 0);
	double		b[F];

	for (int i = 0; i < GROUPS * ROWS * F; i++)
		x[i] *= 1e6f;
	chosen[3] = 5;
	CHECK(lb_mix_fit(b, &c, NULL) == LB_OK);
	for (int f = 0; f < F; f++)
		CHECK(isfinite(b[f]));
}

static void
test_cancel(void)
{
	double		truth[F] = {0};
	LbChoices	c = make_choices(truth, 1);
	double		b[F];

	CHECK(lb_mix_fit(b, &c, unit_cancel) == LB_CANCELLED);
}

/* One play ages exactly, and many of one age; nothing passes its own log. */
static void
test_ages(void)
{
	static const double powers[] = {0.1, 0.7, 2};

	for (int p = 0; p < 3; p++)
		for (double days = 0; days < 5000; days = 3 * days + 0.1)
			for (int n = 1; n <= 100; n += 33)
			{
				double		power = powers[p];
				float		log_n = (float) log(n);
				float		then = log_n +
					(float) log(lb_mix_decay(days, power));
				double		later = log(n * lb_mix_decay(days + 40, power));

				CHECK(lb_mix_aged(then, (float) n, 0, power) == then);
				CHECK_MSG(fabs(lb_mix_aged(then, (float) n, 40, power) -
							   later) < 1e-4,
						  "%g days, %d plays", days, n);
			}
	/* what a forged model may have */
	CHECK(isfinite(lb_mix_aged(3e38f, 1, 1, 0.01)));
	CHECK(isfinite(lb_mix_aged(-1e30f, 0, 1, 0.01)));
}

UNIT_MAIN(
		  RUN(test_ages);
		  RUN(test_differences);
		  RUN(test_finds_the_weights);
		  RUN(test_prior_without_choices);
		  RUN(test_bound);
		  RUN(test_extreme);
		  RUN(test_cancel);
)
