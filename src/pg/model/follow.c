/*
 * follow.c
 *		Counts directed transitions over all listens, in bounded memory.
 *
 * As neighbours.c does: one pass over the users counts how long each row is,
 * then rows are filled in ranges that fit in lbrec.spool_mem, one pass over
 * the users for each range.  A row keeps its most frequent followers, as many
 * as there are neighbours.
 */
#include "pg/model/follow.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/server/kernels.h"

/* All rows together keep so many followers, or LEAST_ENTRIES a recording. */
#define MAX_ENTRIES 16000000
#define LEAST_ENTRIES 16

typedef struct Counter
{
	Followers  *result;
	int64	   *lengths;		/* (n_recordings + 1) transitions of each row */
	LbPlay	   *plays;			/* of one user */
	uint64	   *transitions;
	int64		room;			/* plays that fit there */
	int32		first;			/* the range of rows that is filled */
	int32		last;
	uint64	   *entries;
	int64	   *next;			/* (last - first + 1) */
} Counter;

/* The transitions of one user; returns their number. */
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
count_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Counter    *c = arg;
	int64		made = transitions_of(c, listens, n);

	for (int64 i = 0; i < made; i++)
	{
		int32		from = lb_transition_from(c->transitions[i]);
		int			d = lb_transition_distance(c->transitions[i]) - 1;

		c->lengths[from]++;
		c->result->sums[(int64) from * LB_FOLLOW_REACH + d]++;
	}
}

static void
fill_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Counter    *c = arg;
	int64		made = transitions_of(c, listens, n);

	for (int64 i = 0; i < made; i++)
	{
		int32		from = lb_transition_from(c->transitions[i]);

		if (from >= c->first && from <= c->last)
			c->entries[c->next[from - c->first]++] = c->transitions[i];
	}
}

/* Merges a row (n) with the same row of an older model; returns its length. */
static int64
add_older(int32 *codes, float *counts, int64 n, const Followers *older,
		  int32 row)
{
	int64		from = older->offsets[row];
	int64		n_older = older->offsets[row + 1] - from;
	int64		i = n - 1;
	int64		j = n_older - 1;
	int64		all = n + n_older;
	int64		to = all;
	int64		shared;

	/* from the highest code down, to the end of the room */
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

/* The rows of the range, n transitions together, behind those that are done. */
static void
fill_range(Counter *c, const Dataset *data, const uint8 *held_out,
		   const Followers *older, int64 n, int64 n_older, int most)
{
	Followers  *r = c->result;
	int64		room = Max(n + n_older, 1);
	int64		start = 0;
	int64		done = r->offsets[c->first];

	/* and scratch for keys of the longest row */
	c->entries = palloc_extended(room * sizeof(uint64), MCXT_ALLOC_HUGE);
	c->next = palloc_extended((c->last - c->first + 1) * sizeof(int64),
							  MCXT_ALLOC_HUGE);
	for (int32 row = c->first; row <= c->last; row++)
	{
		c->next[row - c->first] = start;
		start += c->lengths[row];
	}
	lbrec_visit_users(data, held_out, fill_user, c);
	r->codes = repalloc_huge(r->codes, (done + room) * sizeof(int32));
	r->counts = repalloc_huge(r->counts, (done + room) * LB_FOLLOW_REACH *
							  sizeof(float));
	for (int32 row = c->first; row <= c->last; row++)
	{
		int32	   *codes = r->codes + done;
		float	   *counts = r->counts + done * LB_FOLLOW_REACH;
		int64		length = c->lengths[row];
		int64		made;

		do
		{
			CHECK_FOR_INTERRUPTS();
			made = lb_follow_row(codes, counts,
								 c->entries + c->next[row - c->first] - length,
								 length, lbrec_cancel_flag());
		} while (lbrec_again(made < 0));
		if (older && row <= older->n_recordings)
			made = add_older(codes, counts, made, older, row);
		if (made > most)
		{
			uint64	   *keys = palloc_extended(made * sizeof(uint64),
											   MCXT_ALLOC_HUGE);

			made = lb_follow_keep(codes, counts, made, most, keys);
			pfree(keys);
		}
		done += made;
		r->offsets[row + 1] = done;
	}
	r->codes = repalloc_huge(r->codes, Max(done, 1) * sizeof(int32));
	r->counts = repalloc_huge(r->counts, Max(done, 1) * LB_FOLLOW_REACH *
							  sizeof(float));
	pfree(c->entries);
	pfree(c->next);
}

static int64
older_length(const Followers *older, int32 row)
{
	return older && row <= older->n_recordings ?
		older->offsets[row + 1] - older->offsets[row] : 0;
}

/*
 * At most so many followers of each recording, from the listens that are not
 * held out, added to those of an older model unless that is NULL.
 */
Followers *
lbrec_count_followers(const Dataset *data, const uint8 *held_out, int most,
					  const Followers *older, MemoryContext context)
{
	MemoryContext scratch = AllocSetContextCreate(context, "lbrec followers",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int32		n = lbrec_vocabulary_size(data->recordings);
	int64		budget = Max(lbrec_spool_rows(), 65536);
	Counter		c = {.room = 1024};
	Followers  *r = MemoryContextAllocZero(context, sizeof(Followers));

	most = Min(most, Max(MAX_ENTRIES / n, LEAST_ENTRIES));
	r->n_recordings = n;
	r->offsets = MemoryContextAllocExtended(context,
											((Size) n + 2) * sizeof(int64),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	r->sums = MemoryContextAllocExtended(context, ((Size) n + 1) *
										 LB_FOLLOW_REACH * sizeof(float),
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	r->codes = MemoryContextAllocHuge(context, sizeof(int32));
	r->counts = MemoryContextAllocHuge(context, sizeof(float));
	c.result = r;
	c.lengths = palloc_extended(((Size) n + 1) * sizeof(int64),
								MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	c.plays = palloc(c.room * sizeof(LbPlay));
	c.transitions = palloc(c.room * LB_FOLLOW_REACH * sizeof(uint64));
	lbrec_visit_users(data, held_out, count_user, &c);
	for (int64 i = 0; older && i < (older->n_recordings + 1) * LB_FOLLOW_REACH;
		 i++)
		r->sums[i] += older->sums[i];
	for (c.first = 1; c.first <= n; c.first = c.last + 1)
	{
		int64		sum = c.lengths[c.first];
		int64		n_older = older_length(older, c.first);

		c.last = c.first;
		while (c.last < n && sum + n_older + c.lengths[c.last + 1] <= budget)
		{
			sum += c.lengths[++c.last];
			n_older += older_length(older, c.last);
		}
		fill_range(&c, data, held_out, older, sum, n_older, most);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return r;
}
