/*
 * ranks.h
 *		Exact ranks of listens' own recordings among all candidates.
 */
#ifndef LBREC_EVALUATE_RANKS_H
#define LBREC_EVALUATE_RANKS_H

#include "pg/model/twotower.h"

typedef struct RankRequest
{
	const TwoTower *model;
	const float *candidates;	/* (n_recordings, D), or NULL: computed from
								 * the model */
	int64		n;
	const int32 *users;			/* (n) */
	const int64 *times;			/* (n) */
	const int32 *truth;			/* (n) candidates, -1: none */
	int64		most;			/* ranks from here on count as equal; 0: no
								 * limit */
	int64	   *ranks;			/* (n), out */
	int64	   *new_ranks;		/* (n), out, or NULL: ranks among recordings
								 * outside the user's list; -1 for those in it */
} RankRequest;

extern void lbrec_rank_listens(const RankRequest *request, LbThreads *pool,
							   MemoryContext context);

#endif							/* LBREC_EVALUATE_RANKS_H */
