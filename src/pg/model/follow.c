/*
 * follow.c
 *		Counts directed transitions: how often a recording follows another one.
 *
 * A row keeps its most frequent followers; entries.c tells how many.
 */
#include "pg/model/follow.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/entries.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"

typedef struct Counter
{
	EntryRows	rows;
	const LbFollow *older;		/* counts to continue, or NULL */
	float	   *sums;			/* (n_recordings + 1, LB_FOLLOW_REACH) */
	int			most;
	LbPlay	   *plays;			/* plays of one user */
	uint64	   *transitions;
	int64		room;			/* capacity of plays */
} Counter;

/* Makes the transitions of one user; returns their number. */
static int64
transitions_of(Counter *c, const Listen *listens, int64 n)
{
	if (n > c->room)
	{
		c->room = Max(n, 2 * c->room);
		c->plays = repalloc_huge(c->plays, c->room * sizeof(LbPlay));
		c->transitions = repalloc_huge(c->transitions, c->room *
									   LB_FOLLOW_REACH * sizeof(uint64));
	}
	for (int64 i = 0; i < n; i++)
		c->plays[i] = (LbPlay)
	{
		listens[i].recording, listens[i].time
	};
	return lb_follow_transitions(c->transitions, c->plays, n);
}

static void
put_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Counter    *c = arg;
	int64		made = transitions_of(c, listens, n);

	for (int64 i = 0; i < made; i++)
	{
		int32		from = lb_transition_from(c->transitions[i]);
		int			d = lb_transition_distance(c->transitions[i]) - 1;

		if (lbrec_only_counted(&c->rows))
			c->sums[(int64) from * LB_FOLLOW_REACH + d]++;
		lbrec_put_entry(&c->rows, from, c->transitions[i]);
	}
}

/* Merges a row (n) with the same row of an older model; returns its length. */
static int64
add_older(int32 *codes, float *counts, int64 n, const LbFollow *older,
		  int32 row)
{
	int64		from = older->offsets[row];
	int64		n_older = older->offsets[row + 1] - from;
	int64		i = n - 1;
	int64		j = n_older - 1;
	int64		all = n + n_older;
	int64		to = all;
	int64		shared;

	/* works backwards, so that a row can be merged in place */
	while (i >= 0 || j >= 0)
	{
		int32		mine = i >= 0 ? codes[i] : -1;
		int32		theirs = j >= 0 ? older->codes[from + j] : -1;

		to--;
		codes[to] = Max(mine, theirs);
		for (int d = 0; d < LB_FOLLOW_REACH; d++)
		{
			float		count = mine >= theirs ?
				counts[i * LB_FOLLOW_REACH + d] : 0;

			if (theirs >= mine)
				count += older->counts[(from + j) * LB_FOLLOW_REACH + d];
			counts[to * LB_FOLLOW_REACH + d] = count;
		}
		i -= mine >= theirs;
		j -= theirs >= mine;
	}
	shared = to;
	memmove(codes, codes + shared, (all - shared) * sizeof(int32));
	memmove(counts, counts + shared * LB_FOLLOW_REACH,
			(all - shared) * LB_FOLLOW_REACH * sizeof(float));
	return all - shared;
}

static int64
make_row(int32 *codes, float *counts, uint64 *entries, int64 n, int32 row,
		 void *arg)
{
	const Counter *c = arg;
	int64		made;

	LBREC_RUN((made = lb_follow_row(codes, counts, entries, n,
									lbrec_cancel_flag())) < 0);
	if (c->older && row <= c->rows.n_older)
		made = add_older(codes, counts, made, c->older, row);
	/* the entries are used up, so their memory can hold as many keys */
	return lb_follow_keep(codes, counts, made, c->most, entries);
}

/* Counts transitions, and adds those of an older model if it has any. */
void
lbrec_count_followers(Counted *counted, const CountRequest *q)
{
	MemoryContext scratch = AllocSetContextCreate(q->context,
												  "lbrec followers",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Size		n_sums = ((Size) lbrec_vocabulary_size(q->data->recordings) +
						  1) * LB_FOLLOW_REACH;
	Counter		c = {.room = 1024, .most = lbrec_most_entries(q)};
	EntryRows  *rows = &c.rows;

	*rows = (EntryRows)
	{
		.request = q, .width = LB_FOLLOW_REACH, .visit = put_user,
			.make_row = make_row, .arg = &c
	};
	c.sums = MemoryContextAllocExtended(q->context, n_sums * sizeof(float),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	c.plays = palloc(c.room * sizeof(LbPlay));
	c.transitions = palloc(c.room * LB_FOLLOW_REACH * sizeof(uint64));
	if (q->older && q->older->counted.follow.offsets)
	{
		c.older = &q->older->counted.follow;
		rows->n_older = q->older->n_recordings;
		rows->older_offsets = c.older->offsets;
	}
	lbrec_count_entries(rows);
	for (int64 i = 0;
		 c.older && i < (rows->n_older + 1) * LB_FOLLOW_REACH; i++)
		c.sums[i] += c.older->sums[i];
	lbrec_fill_rows(rows);
	counted->follow = (LbFollow)
	{
		rows->offsets, rows->codes, rows->counts, c.sums
	};
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}
