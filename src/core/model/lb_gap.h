/*
 * lb_gap.h
 *		How often a recording is a candidate, estimated while training.
 */
#ifndef LB_GAP_H
#define LB_GAP_H

#include "core/lb_core.h"

typedef struct LbGap
{
	float		steps;			/* from one batch with it to the next, about */
	uint32_t	last;			/* the step that had it last */
	uint32_t	seen;			/* steps that had it */
} LbGap;

extern void lb_gaps_init(LbGap *gaps, int64_t n, double steps);
extern void lb_gaps_see(LbGap *gaps, const int32_t *ids, int n,
						uint32_t step, double rate);
extern float lb_gap_log_q(const LbGap *gap);

#endif							/* LB_GAP_H */
