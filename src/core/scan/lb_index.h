/*
 * lb_index.h
 *		The int8 index: finds the few candidates that can be among the best.
 *
 * lb_index.c scans it and proves that it loses none; lb_index_build.c builds
 * it.
 */
#ifndef LB_INDEX_H
#define LB_INDEX_H

#include "core/scan/lb_candidates.h"
#include "core/scan/lb_scan_top.h"
#include "core/lb_threads.h"

/*
 * The int8 index is an eighth more than a quarter of c's size.  It is built
 * once into the caller's block (aligned to LB_ALIGN; position independent, so
 * it can be written to a file and mapped).  lb_index_check() returns true if a
 * block of that many bytes is an index for n candidates of width D by this
 * version.
 */
extern size_t lb_index_bytes(int64_t n, int D);
extern LbStatus lb_index_build(void *block, const float *c, int64_t n, int D,
							   LbThreads *pool, LbCancel cancel);
extern bool lb_index_check(const void *block, size_t bytes, int64_t n, int D);

/* True if the set has an index and using it for this k is faster. */
extern bool lb_index_pays(const LbCandidates *set, int64_t k);

/*
 * A scan of the index for one query: begin, then each block of
 * LB_GROUPS_PER_BLOCK groups, then end; the collector then has the answer.
 * Many queries may take turns at a block while it is in L1.  scratch has
 * lb_index_scan_bytes().  NULL: this query needs the plain scan.
 */
typedef struct LbIndexScan LbIndexScan;

extern size_t lb_index_scan_bytes(int64_t n, int64_t k);
extern LbIndexScan *lb_index_begin(LbTop *top, const float *q,
								   const LbCandidates *set, void *scratch);
extern void lb_index_block(LbIndexScan *scan, int64_t group);
extern void lb_index_end(LbIndexScan *scan);

#endif							/* LB_INDEX_H */
