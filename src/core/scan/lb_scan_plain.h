/*
 * lb_scan_plain.h
 *		One query against all candidates, or those that a filter leaves, in
 *		float32.
 */
#ifndef LB_SCAN_PLAIN_H
#define LB_SCAN_PLAIN_H

#include "core/scan/lb_candidates.h"
#include "core/scan/lb_scan_top.h"

/* Puts every candidate of the set that can be among the best into top. */
extern LbStatus lb_scan_plain(LbTop *top, const float *q,
							  const LbCandidates *set, LbCancel cancel);

#endif							/* LB_SCAN_PLAIN_H */
