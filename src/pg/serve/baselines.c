/*
 * baselines.c
 *		Two recommenders without a model, made from the counts of the training.
 *
 * "popular" orders recordings by their listens.  "most_played" puts the user's
 * own list first, by plays, then the others by their listens.  Of the
 * recordings that tie with the one looked for, half count as ranked before it:
 * thousands were played once, and none of these should count as the first.
 */
#include "pg/serve/baselines.h"

#include "utils/memutils.h"

#include "pg/model/candidates.h"
#include "pg/model/twotower.h"
#include "pg/server/search.h"

const char *const lbrec_baseline_names[N_BASELINES] = {
	[BASELINE_POPULAR] = "popular",
	[BASELINE_OWN_PLAYS] = "most_played",
};

typedef struct Popular
{
	int64		count;
	int32		id;
} Popular;

static int
compare_popular(const void *a, const void *b)
{
	const Popular *x = a;
	const Popular *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Makes the lists that all users share; the tower must outlive them. */
void
lbrec_baselines_init(Baselines *b, const TwoTower *tower)
{
	int64		n = tower->n_recordings;
	Popular    *sorted = palloc_extended(n * sizeof(Popular),
										 MCXT_ALLOC_HUGE);

	b->tower = tower;
	b->place = palloc_extended(n * sizeof(int32),
							   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	b->own_listens = palloc(sizeof(int64));
	b->own_plays = palloc(sizeof(float));
	b->above = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	b->by_listens = palloc_extended(n * sizeof(int32), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
		sorted[i] = (Popular)
	{
		tower->recording_listens[i], (int32) i
	};
	qsort(sorted, n, sizeof(Popular), compare_popular);
	b->tied = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 first = 0, end; first < n; first = end)
	{
		for (end = first; end < n && sorted[end].count == sorted[first].count;
			 end++)
		{
			CHECK_FOR_INTERRUPTS();
			b->by_listens[end] = sorted[end].id;
		}
		for (int64 i = first; i < end; i++)
		{
			CHECK_FOR_INTERRUPTS();
			b->above[sorted[i].id] = first;
			b->tied[sorted[i].id] = end - first - 1;
		}
	}
	pfree(sorted);
}

static int
compare_listens(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	CHECK_FOR_INTERRUPTS();
	return x > y ? -1 : x < y;
}

static int
compare_plays(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	CHECK_FOR_INTERRUPTS();
	return x > y ? -1 : x < y;
}

/* Sets the user for the calls below. The list of an unknown user is empty. */
void
lbrec_baseline_user(Baselines *b, int32 user)
{
	const TwoTower *tower = b->tower;
	int64		from = tower->counted.history_offsets[user];
	int			n = user == 0 ? 0 :
	(int) (tower->counted.history_offsets[user + 1] - from);

	for (int i = 0; i < b->n; i++)
		b->place[lbrec_candidate_with(b->codes[i])] = 0;
	if (n > b->allocated)
	{
		b->allocated = n;
		b->own_listens = repalloc_huge(b->own_listens, n * sizeof(int64));
		b->own_plays = repalloc_huge(b->own_plays, n * sizeof(float));
	}
	b->n = n;
	b->codes = tower->counted.history_codes + from;
	b->plays = tower->counted.history_plays + from;
	for (int i = 0; i < n; i++)
	{
		int32		candidate = lbrec_candidate_with(b->codes[i]);

		b->place[candidate] = i + 1;
		b->own_listens[i] = tower->recording_listens[candidate];
		b->own_plays[i] = b->plays[i];
	}
	qsort(b->own_listens, n, sizeof(int64), compare_listens);
	qsort(b->own_plays, n, sizeof(float), compare_plays);
}

/* Ranks candidate truth for the user; counts as lbrec_rank_listens() does. */
void
lbrec_baseline_rank(int64 *rank, int64 *new_rank, const Baselines *b,
					bool own, int32 truth)
{
	int64		listens;
	int64		popular;		/* candidates ranked before truth */
	int64		before;			/* entries of the list more popular than truth
								 * ... */
	int64		from_here;		/* ... and those at least as popular */
	int			place;

	*rank = *new_rank = PG_INT64_MAX;
	if (truth < 0)
		return;
	place = b->place[truth] - 1;
	popular = b->above[truth] + b->tied[truth] / 2;
	listens = b->tower->recording_listens[truth];
	LBREC_SEARCH(before, 0, b->n, b->own_listens[before] > listens);
	LBREC_SEARCH(from_here, before, b->n,
				 b->own_listens[from_here] >= listens);
	*new_rank = place >= 0 ? -1 : b->above[truth] - before +
		(b->tied[truth] - (from_here - before)) / 2;
	*rank = own ? b->n + *new_rank : popular;
	if (!own || place < 0)
		return;
	LBREC_SEARCH(before, 0, b->n, b->own_plays[before] > b->plays[place]);
	LBREC_SEARCH(from_here, before, b->n,
				 b->own_plays[from_here] >= b->plays[place]);
	*rank = before + (from_here - before - 1) / 2;
}

/* Returns the user's first candidates, at most k, and their number. */
int64
lbrec_baseline_top(int64 *ids, const Baselines *b, bool own, int64 k)
{
	int			n = own ? b->n : 0;
	Popular    *sorted = palloc_extended(Max(n, 1) * sizeof(Popular),
										 MCXT_ALLOC_HUGE);
	int64		found = 0;

	for (int i = 0; i < n; i++)
		sorted[i] = (Popular)
	{
		(int64) b->plays[i], lbrec_candidate_with(b->codes[i])
	};
	qsort(sorted, n, sizeof(Popular), compare_popular);
	for (; found < Min(n, k); found++)
		ids[found] = sorted[found].id;
	for (int64 i = 0; found < k && i < b->tower->n_recordings; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!own || b->place[b->by_listens[i]] == 0)
			ids[found++] = b->by_listens[i];
	}
	pfree(sorted);
	return found;
}
