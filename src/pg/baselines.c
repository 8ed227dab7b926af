/*
 * baselines.c
 *		Two recommenders without a model, on the same counts that the model was
 *		trained on.
 *
 * "popular" orders recordings by their listens.  "most_played" puts the user's
 * own list first, by plays, then the others by their listens.  Equal counts
 * are ties, which count for the recording looked for, as with a model.
 */
#include "baselines.h"

#include "utils/memutils.h"

typedef struct Counted
{
	int64		count;
	int32		id;
} Counted;

static int
compare_counted(const void *a, const void *b)
{
	const Counted *x = a;
	const Counted *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

void
lbrec_baselines_init(Baselines *b, const ServingModel *serving)
{
	int64		n = serving->tower.n_recordings;
	Counted    *sorted = palloc_extended(n * sizeof(Counted),
										 MCXT_ALLOC_HUGE);

	b->serving = serving;
	b->above = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	b->by_listens = palloc_extended(n * sizeof(int32), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
		sorted[i] = (Counted)
	{
		serving->recording_listens[i], (int32) i
	};
	qsort(sorted, n, sizeof(Counted), compare_counted);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		b->by_listens[i] = sorted[i].id;
		b->above[sorted[i].id] =
			i > 0 && sorted[i].count == sorted[i - 1].count ?
			b->above[sorted[i - 1].id] : i;
	}
	pfree(sorted);
}

/* The user's recordings; none for a user that the model does not know. */
static int
user_list(const Baselines *b, int32 user, const int32 **codes,
		  const float **plays)
{
	const TwoTower *tower = &b->serving->tower;
	int64		from = tower->history_offsets[user];

	*codes = tower->history_codes + from;
	*plays = b->serving->history_plays + from;
	return user == 0 ? 0 : (int) (tower->history_offsets[user + 1] - from);
}

/* Ranks of candidate truth for a user, as lbrec_rank_listens() counts them. */
void
lbrec_baseline_rank(int64 *rank, int64 *new_rank, const Baselines *b,
					bool own, int32 user, int32 truth)
{
	const int32 *codes;
	const float *plays;
	int			n = user_list(b, user, &codes, &plays);
	const int64 *listens = b->serving->recording_listens;
	int64		popular;
	int64		own_above = 0;	/* of the list, more popular than truth */
	int			place = -1;

	*rank = *new_rank = PG_INT64_MAX;
	if (truth < 0)
		return;
	popular = b->above[truth];
	for (int i = 0; i < n; i++)
	{
		if (codes[i] - 1 == truth)
			place = i;
		own_above += listens[codes[i] - 1] > listens[truth];
	}
	*new_rank = place >= 0 ? -1 : popular - own_above;
	*rank = popular;
	if (!own)
		return;
	*rank = n + popular - own_above;
	if (place < 0)
		return;
	*rank = 0;
	for (int i = 0; i < n; i++)
		*rank += plays[i] > plays[place];
}

/* The k first candidates; returns how many there are. */
int64
lbrec_baseline_top(int64 *ids, const Baselines *b, bool own, int32 user,
				   int64 k)
{
	const int32 *codes;
	const float *plays;
	int			n = own ? user_list(b, user, &codes, &plays) : 0;
	Counted    *sorted = palloc(Max(n, 1) * sizeof(Counted));
	int64		found = 0;

	for (int i = 0; i < n; i++)
		sorted[i] = (Counted)
	{
		(int64) plays[i], codes[i] - 1
	};
	qsort(sorted, n, sizeof(Counted), compare_counted);
	for (; found < Min(n, k); found++)
		ids[found] = sorted[found].id;
	for (int64 i = 0; found < k && i < b->serving->tower.n_recordings; i++)
	{
		bool		listed = false;

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < n && !listed; j++)
			listed = codes[j] - 1 == b->by_listens[i];
		if (!listed)
			ids[found++] = b->by_listens[i];
	}
	pfree(sorted);
	return found;
}
