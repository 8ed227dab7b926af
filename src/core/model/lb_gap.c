/*
 * lb_gap.c
 *		Streaming frequency estimation: Yi et al., RecSys 2019, algorithm 2.
 *
 * The probability that a recording is among the candidates of a step is one
 * over the mean number of steps between its occurrences.  The mean is
 * exponential, so that it follows a changing sampler, and it needs no
 * knowledge of how candidates are drawn.  Two differences from the paper:
 *
 * - every recording has a place of its own, so nothing is hashed;
 * - the first observations are averaged evenly, beside the value that all
 *   begin with, until one over their number is less than the rate.  With 0.01
 *   from the start, the paper's, a recording met ten times in a run would
 *   still have nine tenths of where it began.
 */
#include "core/model/lb_gap.h"

#include <math.h>

/* Starts all n gaps at this number of steps, at least 1. */
void
lb_gaps_init(LbGap *gaps, int64_t n, double steps)
{
	for (int64_t i = 0; i < n; i++)
		gaps[i] = (LbGap)
	{
		(float) fmax(steps, 1), 0, 0
	};
}

/*
 * Updates the gaps with the candidates of a step, which may repeat.  Steps are
 * numbered from 1; rate is that of the moving mean, 0 < rate < 1.
 */
void
lb_gaps_see(LbGap *gaps, const int32_t *ids, int n, uint32_t step, double rate)
{
	for (int i = 0; i < n; i++)
	{
		LbGap	   *gap = &gaps[ids[i]];

		if (gap->last == step)
			continue;
		gap->seen++;
		gap->steps += (float) (fmax(rate, 1.0 / (gap->seen + 1.0)) *
							   ((double) (step - gap->last) - gap->steps));
		gap->last = step;
	}
}

/* Returns the log of the probability to be among a step's candidates. */
float
lb_gap_log_q(const LbGap *gap)
{
	return -logf(fmaxf(gap->steps, 1));
}
