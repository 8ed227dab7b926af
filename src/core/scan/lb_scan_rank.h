/*
 * lb_scan_rank.h
 *		Ranks of true candidates, by counting.
 */
#ifndef LB_SCAN_RANK_H
#define LB_SCAN_RANK_H

#include "core/scan/lb_candidates.h"
#include "core/lb_threads.h"

/*
 * Queries, each with a true candidate or, if its recording is not in c, with
 * the score of its vector as a floor.
 */
typedef struct LbRanking
{
	const float *q;				/* (n_queries, D) */
	int64_t		n_queries;
	const int32_t *true_candidate;	/* (n_queries) or NULL */
	const float *floor;			/* (n_queries) or NULL */
	int64_t		most;			/* limit of counting; 0: none */
	const float *c;				/* (n, D) */
	int64_t		n;
	int			D;
} LbRanking;

/*
 * Counts ranks for evaluation, as TFRS's FactorizedTopK defines them:
 * counts[i] is the number of candidates whose score is strictly above that of
 * query i's true candidate, so counts[i] < K is a hit in the top K.  Queries
 * that reach the limit are dropped, so for hits in the top 100 alone, most =
 * 100 saves most of the work.
 */
extern size_t lb_rank_counts_bytes(int64_t n_queries, int64_t n, int D,
								   int n_threads);
extern LbStatus lb_rank_counts(int64_t *counts, const LbRanking *ranking,
							   void *scratch, LbThreads *pool,
							   LbCancel cancel);

#endif							/* LB_SCAN_RANK_H */
