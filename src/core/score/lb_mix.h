/*
 * lb_mix.h
 *		The weights of a score's parts, and their fit.
 *
 * src/pg/model/score.c has the table of the parts.
 */
#ifndef LB_MIX_H
#define LB_MIX_H

#include "core/lb_math.h"

/* The parts of a score beside the dot product, in the order of summation. */
typedef enum LbPart
{
	LB_PART_NEIGHBOUR,
	LB_PART_OWN,
	LB_PART_RECENCY,
	LB_PART_PLAYS,
	LB_PART_OWN_SHARE,
	LB_N_PARTS
} LbPart;

/* Their weights; 0 leaves a part out. */
typedef struct LbMix
{
	double		weight[LB_N_PARTS];
} LbMix;

/*
 * The weight of a play after this number of days: (1 + days)^-power, the
 * power law by which memory fades (Anderson and Schooler, 1991).
 */
static inline double
lb_mix_decay(double days, double power)
{
	return lb_pow(1 + (days > 0 ? days : 0), -power);
}

/*
 * Returns the log of the plays' weight, `days` later, from that log now.
 * Single times are not kept: all plays get the same age, the one that explains
 * the weight, so for a single play the result is exact.
 */
static inline float
lb_mix_aged(float log_weight, float plays, double days, double power)
{
	/* log of (1 + age)^-power of each play */
	double		each = log_weight - (plays > 1 ? lb_log(plays) : 0);
	double		inverse_age = lb_exp((each < 0 ? each : 0) / power);

	return (float) (log_weight -
					power * lb_log(1 + (days > 0 ? days : 0) * inverse_age));
}

/* Maximum number of features in a row of choices. */
#define LB_MAX_CHOICE_FEATURES 24

/* Choices: group g chose from rows offsets[g] to offsets[g + 1] - 1. */
typedef struct LbChoices
{
	int			F;
	int64_t		n_groups;
	const int64_t *offsets;		/* (n_groups + 1) */
	const float *x;				/* (rows, F) */
	const float *log_count;		/* (rows) log of the number of rows that it
								 * represents */
	const float *chosen;		/* (rows) number of times chosen, weighted */
	const double *prior;		/* (F) */
	const double *precision;	/* (F) precision of the prior, above 0 */
	const double *lower;		/* (F) */
} LbChoices;

/*
 * Fits the weights b (F) of a conditional logit: the probability of a row in
 * its group is proportional to count * exp(<x, b>).
 */
extern LbStatus lb_mix_fit(double *b, const LbChoices *c, LbCancel cancel);

/*
 * Returns the loss at b, and its gradient (F) and Hessian (F, F) unless NULL.
 */
extern double lb_mix_loss(double *gradient, double *hessian,
						  const LbChoices *c, const double *b);

#endif							/* LB_MIX_H */
