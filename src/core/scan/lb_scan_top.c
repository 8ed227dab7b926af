/*
 * lb_scan_top.c
 *		Selection and sorting of ranking keys, without allocation.
 *
 * Quickselect and quicksort (libc's qsort may allocate).  The partition has no
 * branch on the data: keys arrive in no order, and a mispredicted branch would
 * cost more than the move.  Pivots are medians of three taken at places from a
 * fixed random sequence, so no order of the input is a bad one in practice.
 */
#include "core/scan/lb_scan_top.h"

static inline uint64_t
median_of_three(const uint64_t *keys, int64_t n, uint64_t *state)
{
	uint64_t	x[3];

	for (int i = 0; i < 3; i++)
	{
		*state = *state * UINT64_C(6364136223846793005) +
			UINT64_C(1442695040888963407);
		x[i] = keys[(int64_t) ((*state >> 33) % (uint64_t) n)];
	}
	if (x[0] > x[1])
		return x[1] > x[2] ? x[1] : x[0] > x[2] ? x[2] : x[0];
	return x[0] > x[2] ? x[0] : x[1] > x[2] ? x[2] : x[1];
}

/*
 * Moves keys >= pivot to the front and returns their number, at least 1 if the
 * pivot is among them.
 */
static inline int64_t
partition(uint64_t *keys, int64_t n, uint64_t pivot)
{
	int64_t		front = 0;

	for (int64_t i = 0; i < n; i++)
	{
		uint64_t	x = keys[i];

		keys[i] = keys[front];
		keys[front] = x;
		front += x >= pivot;
	}
	return front;
}

void
lb_key_select(uint64_t *keys, int64_t n, int64_t k)
{
	uint64_t	state = 1;

	while (n > 1 && k > 0 && k < n)
	{
		uint64_t	pivot = median_of_three(keys, n, &state);
		int64_t		front = partition(keys, n, pivot);

		if (front == n)
		{
			/*
			 * the pivot is the smallest: move it to the end and leave it out
			 */
			for (int64_t i = 0; i < n; i++)
			{
				if (keys[i] == pivot)
				{
					keys[i] = keys[n - 1];
					keys[n - 1] = pivot;
					break;
				}
			}
			n--;
		}
		else if (front > k)
			n = front;
		else
		{
			keys += front;
			n -= front;
			k -= front;
		}
	}
}

void
lb_key_sort(uint64_t *keys, int64_t n)
{
	(void) lb_key_sort_polling(keys, n, NULL);
}

LbStatus
lb_key_sort_polling(uint64_t *keys, int64_t n, LbCancel cancel)
{
	uint64_t	state = 1;

	while (n > 24)
	{
		LbStatus	status;
		uint64_t	pivot = median_of_three(keys, n, &state);
		int64_t		front = partition(keys, n, pivot + 1);
		int64_t		rest;

		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		/* [0, front) is above the pivot; the pivot is among the others */
		for (int64_t i = front; i < n; i++)
		{
			if (keys[i] == pivot)
			{
				keys[i] = keys[front];
				keys[front] = pivot;
				break;
			}
		}
		rest = n - front - 1;
		/* recurse into the smaller part: the stack stays logarithmic */
		if (front < rest)
		{
			status = lb_key_sort_polling(keys, front, cancel);
			keys += front + 1;
			n = rest;
		}
		else
		{
			status = lb_key_sort_polling(keys + front + 1, rest, cancel);
			n = front;
		}
		if (status != LB_OK)
			return status;
	}
	for (int64_t i = 1; i < n; i++)
	{
		uint64_t	x = keys[i];
		int64_t		j = i;

		for (; j > 0 && keys[j - 1] < x; j--)
			keys[j] = keys[j - 1];
		keys[j] = x;
	}
	return LB_OK;
}

void
lb_top_sift(LbTop *top)
{
	uint64_t	lowest;

	if (top->n < top->k)
		return;
	if (top->n > top->k)
		lb_key_select(top->keys, top->n, top->k);
	top->n = top->k;
	lowest = top->keys[0];
	for (int64_t i = 1; i < top->k; i++)
		lowest = top->keys[i] < lowest ? top->keys[i] : lowest;
	top->floor = lowest;
	top->floor_score = lb_key_score(lowest);
}

int64_t
lb_top_finish(LbTop *top, int64_t *ids, float *scores)
{
	if (top->n > top->k)
		lb_top_sift(top);
	lb_key_sort(top->keys, top->n);
	for (int64_t i = 0; i < top->n; i++)
	{
		ids[i] = lb_key_index(top->keys[i]);
		scores[i] = lb_key_score(top->keys[i]);
	}
	return top->n;
}
