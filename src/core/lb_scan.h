/*
 * lb_scan.h
 *		Exact scores: the k best candidates of a query, and ranks by counting.
 *
 * A score is defined as the chain
 *		acc = 0;  for d = 0 .. D-1:  acc = fmaf(q[d], c[d], acc)
 * in float32, with a NaN (overflow to both infinities) counted as minus
 * infinity and minus zero as zero: the same bits in every kernel and layout
 * and on every CPU.  Ranking order: score descending, then candidate index
 * ascending.  So every function here has one right answer, and the fast
 * ones are tested for that answer, not for a tolerance.
 *
 * Query and candidate values must be finite (checked where a model is saved).
 */
#ifndef LB_SCAN_H
#define LB_SCAN_H

#include "core/lb_core.h"
#include "core/lb_threads.h"

#define LB_SCAN_MAX_D 1024
#define LB_SCAN_MAX_N INT32_MAX

/* Whom to rank. */
typedef struct LbCandidates
{
	const float *c;				/* (n,D), row-major */
	int64_t		n;				/* up to LB_SCAN_MAX_N */
	int			D;				/* 1 to LB_SCAN_MAX_D */
	const void *index;			/* from lb_index_build() of the same c, or
								 * NULL: faster, same result */
	const uint64_t *allow;		/* bitmap of n bits: only those set; or NULL */
	const int32_t *list;		/* only these, ascending and distinct; or
								 * NULL. Not together with allow */
	int64_t		n_list;
} LbCandidates;

extern float lb_score(const float *q, const float *c, int D);

/* The same of n rows of c at once: much faster than one by one. */
extern void lb_score_rows(float *out, const float *q, const float *c, int D,
						  const int32_t *rows, int n);

/*
 * The min(k, candidates allowed) best of one query: ids and scores in ranking
 * order, *found their number.  ids and scores have room for k, k > 0; scratch
 * is lb_topk_bytes(set, k) bytes, aligned to LB_ALIGN.
 */
extern size_t lb_topk_bytes(const LbCandidates *set, int64_t k);
extern LbStatus lb_topk(int64_t *found, int64_t *ids, float *scores,
						const float *q, const LbCandidates *set, int64_t k,
						void *scratch, LbCancel cancel);

/*
 * The same for many queries, q (n_queries,D), tiles of queries against tiles
 * of candidates.  ids and scores are (n_queries,k); found is (n_queries).
 */
extern size_t lb_topk_batch_bytes(const LbCandidates *set, int64_t n_queries,
								  int64_t k, int n_threads);
extern LbStatus lb_topk_batch(int64_t *found, int64_t *ids, float *scores,
							  const float *q, int64_t n_queries,
							  const LbCandidates *set, int64_t k,
							  void *scratch, LbThreads *pool,
							  LbCancel cancel);

/*
 * The int8 index: an eighth more than a quarter of c's size, built once into
 * the caller's block (aligned to LB_ALIGN; position independent, so it can be
 * written to a file and mapped).  lb_index_check() tells whether a block of
 * that many bytes is an index for n candidates of width D by this version.
 */
extern size_t lb_index_bytes(int64_t n, int D);
extern LbStatus lb_index_build(void *block, const float *c, int64_t n, int D,
							   LbThreads *pool, LbCancel cancel);
extern bool lb_index_check(const void *block, size_t bytes, int64_t n, int D);

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
 * The same as far as it matters: counts[i] = min(count, most); most = 0 sets
 * no limit.  Queries that have reached it cost nothing more, so when hits in
 * the top 100 are all that is asked for, most = 100 saves most of the work.
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

#endif							/* LB_SCAN_H */
