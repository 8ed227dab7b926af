/*
 * moment_ranks.h
 *		Computes exact ranks of the recording played, at many moments.
 */
#ifndef LBREC_SERVE_MOMENT_RANKS_H
#define LBREC_SERVE_MOMENT_RANKS_H

#include "pg/image/image.h"
#include "pg/serve/baselines.h"

#include "core/score/lb_moment.h"

/* Rankings to compare; src/pg/sql/evaluate_next.c describes the baselines. */
typedef enum MomentRanker
{
	RANKED_BY_MODEL,
	RANKED_BY_POPULARITY,
	RANKED_BY_OWN_PLAYS,
	RANKED_BY_LAST,
	RANKED_BY_BLEND,
	N_MOMENT_RANKERS
} MomentRanker;

/* After the first n plays, the candidate truth was played at time. */
typedef struct RankedMoment
{
	int32		user;			/* 0: unknown to the model */
	int32		truth;
	const LbPlay *plays;		/* (n) in the order of time */
	int64		n;
	int64		time;			/* microseconds since 1970 */
	/* Output: */
	bool		is_new;			/* truth was not among the plays */
	int64		ranks[N_MOMENT_RANKERS];	/* among all, from 1; ties count
											 * in favour of truth */
	int64		new_ranks[N_MOMENT_RANKERS];	/* if is_new: among recordings
												 * that were not played */
} RankedMoment;

typedef struct MomentRanks MomentRanks;

extern MomentRanks *lbrec_make_moment_ranks(const ServingModel *serving,
											const Baselines *baselines,
											LbThreads *pool,
											MemoryContext context);
extern void lbrec_rank_moments(MomentRanks *ranks, RankedMoment *moments,
							   int64 n);

#endif							/* LBREC_SERVE_MOMENT_RANKS_H */
