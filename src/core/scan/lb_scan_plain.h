/*
 * lb_scan_plain.h
 *		Scores one query against all candidates, or those that a filter allows,
 *		in float32.
 */
#ifndef LB_SCAN_PLAIN_H
#define LB_SCAN_PLAIN_H

#include "core/scan/lb_candidates.h"
#include "core/scan/lb_scan_top.h"

/* Adds every candidate that can be among the best to top. */
extern LbStatus lb_scan_plain(LbTop *top, const float *q,
							  const LbCandidates *set, LbCancel cancel);

#endif							/* LB_SCAN_PLAIN_H */
