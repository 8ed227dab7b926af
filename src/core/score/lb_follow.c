/*
 * lb_follow.c
 *		Counts directed transitions.
 *
 * lb_neighbour.c counts recordings played together, in either order and once a
 * user.  Here the order matters, and every occurrence counts: a first-order
 * Markov chain at each of three distances.  Distances stay apart because their
 * weights are fitted (lb_moment.c).
 */
#include "core/score/lb_follow.h"

#include "core/scan/lb_scan_top.h"

int64_t
lb_follow_transitions(uint64_t *transitions, const LbPlay *plays, int64_t n)
{
	int64_t		made = 0;

	for (int64_t i = 0; i < n; i++)
		for (int d = 1; d <= LB_FOLLOW_REACH && i + d < n; d++)
		{
			int64_t		apart = plays[i + d].time - plays[i].time;

			if (apart >= LB_FOLLOW_GAP)
				break;
			if (apart > 0 && plays[i].code > 0 && plays[i + d].code > 0)
				transitions[made++] = lb_transition_make(plays[i].code,
														 plays[i + d].code, d);
		}
	return made;
}

int64_t
lb_follow_row(int32_t *codes, float *counts, uint64_t *transitions, int64_t n,
			  LbCancel cancel)
{
	int64_t		found = 0;

	if (lb_key_sort_polling(transitions, n, cancel) != LB_OK)
		return -1;
	/* sorted from the highest code down, so read backwards */
	for (int64_t i = n - 1; i >= 0; i--)
	{
		int32_t		code = lb_transition_to(transitions[i]);
		int			d = lb_transition_distance(transitions[i]) - 1;

		if (found == 0 || codes[found - 1] != code)
		{
			codes[found] = code;
			for (int e = 0; e < LB_FOLLOW_REACH; e++)
				counts[found * LB_FOLLOW_REACH + e] = 0;
			found++;
		}
		counts[(found - 1) * LB_FOLLOW_REACH + d]++;
	}
	return found;
}

/* Sort key for keeping followers; index breaks ties. */
static uint64_t
key_of(const float *counts, int64_t i)
{
	float		sum = 0;

	for (int d = 0; d < LB_FOLLOW_REACH; d++)
		sum += counts[i * LB_FOLLOW_REACH + d] / (float) (d + 1);
	return lb_key_make(sum, (uint32_t) i);
}

int64_t
lb_follow_keep(int32_t *codes, float *counts, int64_t n, int64_t most,
			   uint64_t *keys)
{
	int64_t		kept = 0;
	uint64_t	border;

	if (n <= most)
		return n;
	for (int64_t i = 0; i < n; i++)
		keys[i] = key_of(counts, i);
	lb_key_select(keys, n, most);
	border = keys[0];
	for (int64_t i = 1; i < most; i++)
		border = keys[i] < border ? keys[i] : border;
	for (int64_t i = 0; i < n; i++)
	{
		if (key_of(counts, i) < border)
			continue;
		codes[kept] = codes[i];
		for (int d = 0; d < LB_FOLLOW_REACH; d++)
			counts[kept * LB_FOLLOW_REACH + d] =
				counts[i * LB_FOLLOW_REACH + d];
		kept++;
	}
	return kept;
}
