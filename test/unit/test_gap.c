/*
 * test_gap.c
 *		Streaming estimates of how often candidates are drawn: known
 *		probabilities are found, and found again when they change.
 */
#include <math.h>

#include "core/model/lb_gap.h"
#include "unit.h"

#define ITEMS 400
#define STEPS 20000
#define RATE 0.01

static LbGap gaps[ITEMS];
static double probability[ITEMS];

static double
uniform(void)
{
	return (double) (unit_random() >> 11) / (double) (UINT64_C(1) << 53);
}

static void
check_near(double value, double expected, double margin)
{
	CHECK_MSG(fabs(value - expected) <= margin, "%g, expected %g",
			  value, expected);
}

/* Steps that have each item with its probability, in no order, some twice. */
static void
run(uint32_t from, uint32_t to)
{
	for (uint32_t step = from; step <= to; step++)
	{
		int32_t		ids[2 * ITEMS];
		int			n = 0;

		for (int32_t i = ITEMS - 1; i >= 0; i--)
			if (uniform() < probability[i])
			{
				ids[n++] = i;
				if (i % 3 == 0)
					ids[n++] = i;
			}
		lb_gaps_see(gaps, ids, n, step, RATE);
	}
}

/*
 * An estimate is the mean of some 2 / RATE gaps, which are geometric: its
 * relative error is about sqrt(RATE / 2), 0.07.
 */
static void
check_estimates(void)
{
	double		bias = 0;
	double		worst = 0;

	for (int i = 0; i < ITEMS; i++)
	{
		double		error = exp(lb_gap_log_q(&gaps[i])) * (1 / probability[i]) - 1;

		bias += error / ITEMS;
		worst = fmax(worst, fabs(error));
	}
	CHECK(fabs(bias) < 0.03);
	CHECK(worst < 0.45);
}

static void
test_probabilities_are_found(void)
{
	for (int i = 0; i < ITEMS; i++)
		probability[i] = 0.05 + 0.95 * i / (ITEMS - 1);
	/* from far too rare and from far too often */
	lb_gaps_init(gaps, ITEMS, 5000);
	run(1, STEPS);
	check_estimates();
	lb_gaps_init(gaps, ITEMS, 0);
	run(1, STEPS);
	check_estimates();
}

static void
test_change_is_followed(void)
{
	lb_gaps_init(gaps, ITEMS, 10);
	for (int i = 0; i < ITEMS; i++)
		probability[i] = 0.9;
	run(1, STEPS);
	check_estimates();
	for (int i = 0; i < ITEMS; i++)
		probability[i] = 0.06;
	run(STEPS + 1, 3 * STEPS);
	check_estimates();
}

/* Each observation, computed by hand. */
static void
test_first_observations(void)
{
	int32_t		id = 1;

	lb_gaps_init(gaps, 3, 8);
	lb_gaps_see(gaps, &id, 1, 4, RATE);
	check_near(gaps[1].steps, (8 + 4) / 2.0, 1e-6);
	lb_gaps_see(gaps, &id, 1, 4, RATE);
	check_near(gaps[1].steps, (8 + 4) / 2.0, 1e-6);
	lb_gaps_see(gaps, &id, 1, 7, RATE);
	check_near(gaps[1].steps, (8 + 4 + 3) / 3.0, 1e-6);
	check_near(lb_gap_log_q(&gaps[1]), -log(5), 1e-6);
	/* others stay, also the one that was never seen */
	check_near(gaps[0].steps, 8, 0);
	check_near(gaps[2].steps, 8, 0);
	/* seen at every step: certain */
	for (uint32_t step = 8; step < 5000; step++)
		lb_gaps_see(gaps, &id, 1, step, RATE);
	check_near(lb_gap_log_q(&gaps[1]), 0, 1e-4);
}

UNIT_MAIN(
		  RUN(test_first_observations);
		  RUN(test_probabilities_are_found);
		  RUN(test_change_is_followed);
)
