/*
 * lb_gap.h
 *		Estimates, while training, how often a recording is a candidate.
 */
#ifndef LB_GAP_H
#define LB_GAP_H

#include "core/lb_core.h"

typedef struct LbGap
{
	float		steps;			/* mean steps between occurrences */
	uint32_t	last;			/* step of the last occurrence */
	uint32_t	seen;			/* number of steps with an occurrence */
} LbGap;

extern void lb_gaps_init(LbGap *gaps, int64_t n, double steps);
extern void lb_gaps_see(LbGap *gaps, const int32_t *ids, int n,
						uint32_t step, double rate);
extern float lb_gap_log_q(const LbGap *gap);

#endif							/* LB_GAP_H */
