/*
 * lb_scan_rank.h
 *		Ranks of true candidates, by counting.
 */
#ifndef LB_SCAN_RANK_H
#define LB_SCAN_RANK_H

#include "core/scan/lb_candidates.h"
#include "core/lb_threads.h"

/*
 * Ranks for evaluation, as TFRS's FactorizedTopK has them: counts[i] is the
 * number of candidates whose score is strictly above that of query i's true
 * candidate, so counts[i] < K is a hit in the top K.  A true candidate that is
 * not in c (an unknown item's own vector): use lb_rank_counts_above() with
 * the score that it has.
 */
extern size_t lb_rank_counts_bytes(int64_t n_queries, int64_t n, int D,
								   int n_threads);
extern LbStatus lb_rank_counts(int64_t *counts, const float *q,
							   int64_t n_queries,
							   const int32_t *true_candidate, const float *c,
							   int64_t n, int D, void *scratch,
							   LbThreads *pool, LbCancel cancel);

/*
 * The same up to a limit: counts[i] = min(count, most); most = 0 sets no
 * limit.  Queries that have reached it cost nothing more, so for
 * hits in the top 100 alone, most = 100 saves most of the work.
 */
extern LbStatus lb_rank_counts_within(int64_t *counts, const float *q,
									  int64_t n_queries,
									  const int32_t *true_candidate,
									  int64_t most, const float *c, int64_t n,
									  int D, void *scratch, LbThreads *pool,
									  LbCancel cancel);

/* The same with floor[i] in the place of the true candidate's score. */
extern LbStatus lb_rank_counts_above(int64_t *counts, const float *q,
									 int64_t n_queries, const float *floor,
									 int64_t most, const float *c, int64_t n,
									 int D, void *scratch, LbThreads *pool,
									 LbCancel cancel);

#endif							/* LB_SCAN_RANK_H */
