/*
 * lb_schedule.c
 *		Warm-up and decay of the learning rate.
 *
 * Time is counted in epochs and fractions of them, so that settings mean the
 * same for every batch size.
 */
#include "core/model/lb_schedule.h"

#include <math.h>

#define PI 3.14159265358979323846

/*
 * Returns the rate of a step that begins at this time, 0 <= epoch < s->epochs.
 * After the warm-up it decays over the rest of the run.
 */
double
lb_schedule_rate(const LbSchedule *s, double epoch)
{
	double		rest = s->epochs - s->warmup;
	double		done;			/* share of the time after the warm-up, 0 to 1 */

	if (epoch < s->warmup)
		return s->rate * epoch / s->warmup;
	done = rest > 0 ? fmin((epoch - s->warmup) / rest, 1) : 0;
	switch (s->kind)
	{
		case LB_CONSTANT:
			break;
		case LB_LINEAR:
			return s->rate * (1 - done);
		case LB_COSINE:
			return s->rate * (1 + cos(PI * done)) / 2;
		case LB_STEP:
			return s->rate * pow(s->gamma,
								 floor((epoch - s->warmup) / s->step_epochs));
	}
	return s->rate;
}
