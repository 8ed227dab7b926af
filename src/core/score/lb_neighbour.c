/*
 * lb_neighbour.c
 *		Counts recordings played near each other, and sums the neighbours of a
 *		user's own recordings.
 *
 * Two listens of a user that are at most LB_NEIGHBOUR_REACH apart in the order
 * of time, within the gap of a session, make a pair that counts the inverse of
 * the distance; each pair once a user, so that a user repeating an album a
 * hundred times counts once.  The counts, made symmetric, are divided by the
 * roots of both recordings' sums (the cosine of item-kNN: Sarwar et al., WWW
 * 2001).  A constant is added to the sums, so that two recordings that one
 * user played once are not the nearest of all.  The towers' embeddings learn
 * which recordings the same people play; these counts, which ones they play
 * together.
 *
 * A row is built from all its entries at once, so the caller can count in as
 * many passes as memory requires.
 */
#include "core/score/lb_neighbour.h"

#include <string.h>

#include "core/lb_arena.h"
#include "core/lb_math.h"
#include "core/scan/lb_scan_top.h"

int64_t
lb_neighbour_pairs(uint64_t *pairs, const int32_t *codes,
				   const int64_t *times, int64_t n, int64_t gap,
				   LbCancel cancel)
{
	int64_t		made = 0;
	int64_t		kept = 0;

	for (int64_t i = 0; i < n; i++)
	{
		if (LB_CANCEL_REQUESTED(cancel))
			return -1;
		for (int64_t d = 1; d <= LB_NEIGHBOUR_REACH && i + d < n; d++)
		{
			if (times[i + d] - times[i] >= gap)
				break;
			if (codes[i] > 0 && codes[i + d] > 0 && codes[i] != codes[i + d])
				pairs[made++] = (uint64_t) codes[i] << 33 |
					(uint64_t) codes[i + d] << 2 | (uint64_t) d;
		}
	}
	if (lb_key_sort_polling(pairs, made, cancel) != LB_OK)
		return -1;
	for (int64_t i = 0; i < made; i++)
		if (kept == 0 || pairs[kept - 1] != pairs[i])
			pairs[kept++] = pairs[i];
	return kept;
}

uint64_t
lb_neighbour_entry(int32_t code, float count)
{
	uint32_t	bits;

	memcpy(&bits, &count, sizeof(bits));
	return (uint64_t) code << 32 | bits;
}

int64_t
lb_neighbour_row(int32_t *codes, float *counts, uint64_t *entries, int64_t n,
				 LbCancel cancel)
{
	int64_t		found = 0;

	if (lb_key_sort_polling(entries, n, cancel) != LB_OK)
		return -1;
	/* sorted from the highest code down */
	for (int64_t i = 0; i < n; i++)
	{
		int32_t		code = (int32_t) (entries[i] >> 32);
		uint32_t	bits = (uint32_t) entries[i];
		float		count;

		memcpy(&count, &bits, sizeof(count));
		if (found > 0 && codes[found - 1] == code)
			counts[found - 1] += count;
		else
		{
			codes[found] = code;
			counts[found++] = count;
		}
	}
	for (int64_t i = 0; i < found / 2; i++)
	{
		int32_t		code = codes[i];
		float		count = counts[i];

		codes[i] = codes[found - 1 - i];
		counts[i] = counts[found - 1 - i];
		codes[found - 1 - i] = code;
		counts[found - 1 - i] = count;
	}
	return found;
}

int64_t
lb_neighbour_keep(int32_t *codes, float *counts, int64_t n, int32_t self,
				  const float *sums, int64_t most, uint64_t *keys)
{
	uint64_t	border;
	int64_t		kept = 0;

	if (n <= most)
		return n;
	for (int64_t i = 0; i < n; i++)
		keys[i] = lb_key_make(lb_neighbour_weight(counts[i], sums[self],
												  sums[codes[i]]),
							  (uint32_t) codes[i]);
	lb_key_select(keys, n, most);
	border = keys[0];
	for (int64_t i = 1; i < most; i++)
		border = keys[i] < border ? keys[i] : border;
	for (int64_t i = 0; i < n; i++)
		if (lb_key_make(lb_neighbour_weight(counts[i], sums[self],
											sums[codes[i]]),
						(uint32_t) codes[i]) >= border)
		{
			codes[kept] = codes[i];
			counts[kept++] = counts[i];
		}
	return kept;
}

int64_t
lb_related_most(const LbNeighbours *nb, const int32_t *codes, int64_t n,
				int64_t n_sources)
{
	int64_t		most = n;

	for (int64_t i = 0; nb != NULL && i < n_sources; i++)
		most += nb->offsets[codes[i] + 1] - nb->offsets[codes[i]];
	return most;
}

static size_t
lay_out(LbRelated *t, int64_t most, char *block)
{
	LbArena		arena = {block};

	t->sums = lb_arena_cut(&arena, most * sizeof(double));
	t->codes = lb_arena_cut(&arena, most * sizeof(int32_t));
	t->slots.places = lb_arena_cut(&arena, lb_slots_count(most) *
								   sizeof(int32_t));
	return arena.used;
}

size_t
lb_related_bytes(int64_t most)
{
	LbRelated	counted;

	return lay_out(&counted, most, NULL);
}

void
lb_related_place(LbRelated *t, int64_t most, void *block)
{
	lay_out(t, most, block);
	t->n = 0;
	lb_slots_clear(&t->slots, most);
}

static inline void
relate(LbRelated *t, int32_t code, double weight)
{
	int32_t    *slot = lb_slots_find(&t->slots, t->codes, sizeof(int32_t),
									 code);

	if (*slot == 0)
	{
		t->codes[t->n] = code;
		t->sums[t->n] = 0;
		*slot = (int32_t) ++t->n;
	}
	t->sums[*slot - 1] += weight;
}

void
lb_related_gather(LbRelated *t, const LbNeighbours *nb, const int32_t *codes,
				  const float *plays, int64_t n, int64_t n_sources)
{
	for (int64_t i = 0; i < n; i++)
		relate(t, codes[i], 0);
	for (int64_t i = 0; nb != NULL && i < n_sources; i++)
	{
		double		factor = lb_log1p(plays[i]);

		for (int64_t k = nb->offsets[codes[i]]; k < nb->offsets[codes[i] + 1];
			 k++)
			relate(t, nb->codes[k], factor * nb->weights[k]);
	}
}

int64_t
lb_related_find(const LbRelated *t, int32_t code)
{
	return (int64_t) *lb_slots_find(&t->slots, t->codes, sizeof(int32_t),
									code) - 1;
}
