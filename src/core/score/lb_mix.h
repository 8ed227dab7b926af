/*
 * lb_mix.h
 *		The parts of a score and their weights.
 *
 *		explore = <q,c> + neighbour * sqrt(sum)
 *		score   = explore					of a recording new to the user
 *				= explore + own + recency * log(w) + own_share * explore
 *										of one that the user has played
 *
 * sum is that of lb_touched_gather(); w counts plays, each by a power of its
 * age (lb_mix_decay).
 */
#ifndef LB_MIX_H
#define LB_MIX_H

#include <math.h>

#include "core/lb_core.h"

typedef struct LbMix
{
	double		neighbour;		/* not negative */
	double		own;
	double		recency;
	double		own_share;		/* at least -1 */
} LbMix;

/* What a play still counts after so many days. */
static inline double
lb_mix_decay(double days, double power)
{
	return pow(1 + (days > 0 ? days : 0), -power);
}

static inline double
lb_mix_explore(const LbMix *mix, double dot, double sum)
{
	return dot + mix->neighbour * sqrt(sum);
}

static inline double
lb_mix_own(const LbMix *mix, double explore, double log_w)
{
	return explore + mix->own + mix->recency * log_w +
		mix->own_share * explore;
}

/* Features of a row of choices, at most. */
#define LB_MAX_CHOICE_FEATURES 4

/*
 * Who chose what: rows offsets[g] up to offsets[g + 1] are what group g chose
 * from.
 */
typedef struct LbChoices
{
	int			F;
	int64_t		n_groups;
	const int64_t *offsets;		/* (n_groups + 1) */
	const float *x;				/* (rows, F) */
	const float *log_count;		/* (rows) log of how many it stands for */
	const float *chosen;		/* (rows) how often, weighted */
	const double *prior;		/* (F) */
	const double *precision;	/* (F) of the prior, above 0 */
	const double *lower;		/* (F) */
} LbChoices;

/*
 * The weights b (F) of a conditional logit: the probability of a row in its
 * group is proportional to count * exp(<x, b>).
 */
extern LbStatus lb_mix_fit(double *b, const LbChoices *c, LbCancel cancel);

/* The loss at b, and its gradient (F) and Hessian (F, F) unless NULL. */
extern double lb_mix_loss(double *gradient, double *hessian,
						  const LbChoices *c, const double *b);

#endif							/* LB_MIX_H */
