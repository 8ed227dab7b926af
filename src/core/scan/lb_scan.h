/*
 * lb_scan.h
 *		Exact scores, and the k best candidates of a query.
 */
#ifndef LB_SCAN_H
#define LB_SCAN_H

#include "core/scan/lb_candidates.h"
#include "core/scan/lb_index.h"

extern float lb_score(const float *q, const float *c, int D);

/* Computes the scores of n rows of c at once, much faster than one by one. */
extern void lb_score_rows(float *out, const float *q, const float *c, int D,
						  const int32_t *rows, int n);

/*
 * Finds the min(k, candidates allowed) best of one query; scratch has
 * lb_topk_bytes(set, k) bytes, aligned to LB_ALIGN.
 */
extern size_t lb_topk_bytes(const LbCandidates *set, int64_t k);
extern LbStatus lb_topk(const LbBest *best, const float *q,
						const LbCandidates *set, void *scratch,
						LbCancel cancel);

#endif							/* LB_SCAN_H */
