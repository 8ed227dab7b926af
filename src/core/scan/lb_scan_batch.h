/*
 * lb_scan_batch.h
 *		The k best candidates of many queries at once.
 */
#ifndef LB_SCAN_BATCH_H
#define LB_SCAN_BATCH_H

#include "core/scan/lb_candidates.h"
#include "core/lb_threads.h"

/* lb_topk() for many queries, q (n_queries,D). */
extern size_t lb_topk_batch_bytes(const LbCandidates *set, int64_t n_queries,
								  int64_t k, int n_threads);
extern LbStatus lb_topk_batch(const LbBest *best, const float *q,
							  int64_t n_queries, const LbCandidates *set,
							  void *scratch, LbThreads *pool,
							  LbCancel cancel);

#endif							/* LB_SCAN_BATCH_H */
