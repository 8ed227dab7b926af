/*
 * boosts.c
 *		Puts a user's own recordings, with what is added to their scores, among
 *		the candidates with the highest scores.
 *
 * The result is exact: nothing added is negative, so a candidate that is not
 * the user's is among the first k of all only if it is among the first k by
 * its dot product alone.
 */
#include "boosts.h"

#include "utils/memutils.h"

#include "core/lb_scan.h"
#include "core/lb_scan_top.h"

/* What the model adds for a user; n is 0 where it adds nothing. */
Boosts
lbrec_boosts_of(const TwoTower *model, int32 user)
{
	Boosts		b = {0};
	int64		from;

	if (model->history_boosts == NULL || user == 0)
		return b;
	from = model->history_offsets[user];
	b.n = (int) (model->history_offsets[user + 1] - from);
	b.codes = model->history_codes + from;
	b.added = model->history_boosts + from;
	return b;
}

/* What is added to the score of one candidate. */
float
lbrec_boost_of(const Boosts *boosts, int64 candidate)
{
	for (int i = 0; i < boosts->n; i++)
		if (boosts->codes[i] - 1 == candidate)
			return boosts->added[i];
	return 0;
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/*
 * ids and scores hold the found candidates with the highest dot products, best
 * first, as lb_topk() gives them for k; afterwards those with the highest
 * sums.  candidates is (n, D); allowed tells which may be recommended, NULL
 * that all may.  Returns their number.
 */
int64
lbrec_apply_boosts(int64 *ids, float *scores, int64 found, int64 k,
				   const Boosts *boosts, const float *query,
				   const float *candidates, int D, const Allowed *allowed)
{
	int64		n = 0;
	int64	   *own;
	uint64	   *keys;

	if (boosts->n == 0)
		return found;
	own = palloc(boosts->n * sizeof(int64));
	keys = palloc_extended((found + boosts->n) * sizeof(uint64),
						   MCXT_ALLOC_HUGE);
	for (int i = 0; i < boosts->n; i++)
	{
		int64		id = boosts->codes[i] - 1;

		own[i] = id;
		if (allowed == NULL || lbrec_is_allowed(allowed, id))
			keys[n++] = lb_key_make(lb_score(query, candidates + id * D, D) +
									boosts->added[i], (uint32) id);
	}
	qsort(own, boosts->n, sizeof(int64), compare_ids);
	for (int64 i = 0; i < found; i++)
		if (bsearch(&ids[i], own, boosts->n, sizeof(int64),
					compare_ids) == NULL)
			keys[n++] = lb_key_make(scores[i], (uint32) ids[i]);
	lb_key_sort(keys, n);
	found = Min(n, k);
	for (int64 i = 0; i < found; i++)
	{
		ids[i] = lb_key_index(keys[i]);
		scores[i] = lb_key_score(keys[i]);
	}
	pfree(own);
	pfree(keys);
	return found;
}
