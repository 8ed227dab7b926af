/*
 * neighbours.c
 *		Counts neighbours over all listens, in bounded memory.
 *
 * One pass over the users counts how many entries each row will have, and the
 * sums; then rows are filled in ranges whose entries fit in half of
 * lbrec.spool_mem, one pass over the users for each range.  Two passes do for
 * 60 million listens at the default of 1 GB.
 *
 * A row keeps the nearest: as many as asked for in a small catalogue, fewer in
 * a large one, so that all rows together have MAX_ENTRIES or LEAST_ENTRIES a
 * recording.  Most recordings of a large catalogue are played by few and have
 * few neighbours anyway.
 */
#include "pg/model/neighbours.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/server/kernels.h"

/* Listens further apart in time belong to two sessions. */
#define SESSION_GAP (INT64CONST(3600) * USECS_PER_SEC)

#define MAX_ENTRIES 16000000
#define LEAST_ENTRIES 16

typedef struct Counter
{
	Neighbours *result;
	int64	   *lengths;		/* (n_recordings + 1) entries of each row */
	uint64	   *pairs;			/* of one user */
	int32	   *codes;
	int64	   *times;
	int64		room;			/* listens of a user that fit there */
	int32		first;			/* the range of rows that is filled, if any */
	int32		last;
	uint64	   *entries;
	int64	   *next;			/* (last - first + 1) */
} Counter;

/* The pairs of one user; returns their number. */
static int64
pairs_of(Counter *c, const Listen *listens, int64 n)
{
	int64		made;

	if (n > c->room)
	{
		c->room = Max(n, 2 * c->room);
		c->codes = repalloc_huge(c->codes, c->room * sizeof(int32));
		c->times = repalloc_huge(c->times, c->room * sizeof(int64));
		c->pairs = repalloc_huge(c->pairs, c->room * LB_NEIGHBOUR_REACH *
								 sizeof(uint64));
	}
	for (int64 i = 0; i < n; i++)
	{
		c->codes[i] = listens[i].recording;
		c->times[i] = listens[i].time;
	}
	LBREC_RUN((made = lb_neighbour_pairs(c->pairs, c->codes, c->times, n,
										 SESSION_GAP,
										 lbrec_cancel_flag())) < 0);
	return made;
}

static void
count_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Counter    *c = arg;
	int64		n_pairs = pairs_of(c, listens, n);

	for (int64 i = 0; i < n_pairs; i++)
	{
		int32		from = lb_pair_from(c->pairs[i]);
		int32		to = lb_pair_to(c->pairs[i]);
		float		count = lb_pair_count(c->pairs[i]);

		CHECK_FOR_INTERRUPTS();
		c->lengths[from]++;
		c->lengths[to]++;
		c->result->sums[from] += count;
		c->result->sums[to] += count;
	}
}

static inline void
put_entry(Counter *c, int32 row, int32 code, float count)
{
	if (row >= c->first && row <= c->last)
		c->entries[c->next[row - c->first]++] =
			lb_neighbour_entry(code, count);
}

static void
fill_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Counter    *c = arg;
	int64		n_pairs = pairs_of(c, listens, n);

	for (int64 i = 0; i < n_pairs; i++)
	{
		int32		from = lb_pair_from(c->pairs[i]);
		int32		to = lb_pair_to(c->pairs[i]);
		float		count = lb_pair_count(c->pairs[i]);

		CHECK_FOR_INTERRUPTS();
		put_entry(c, from, to, count);
		put_entry(c, to, from, count);
	}
}

/* The rows of the range, n entries together, behind those that are done. */
static void
fill_range(Counter *c, const Dataset *data, const uint8 *held_out,
		   const Neighbours *older, int64 n, int most)
{
	Neighbours *r = c->result;
	int64		start = 0;
	int64		done = r->offsets[c->first];

	c->entries = palloc_extended(Max(n, 1) * sizeof(uint64),
								 MCXT_ALLOC_HUGE);
	c->next = palloc_extended((c->last - c->first + 1) * sizeof(int64),
							  MCXT_ALLOC_HUGE);
	for (int32 row = c->first; row <= c->last; row++)
	{
		c->next[row - c->first] = start;
		start += c->lengths[row];
	}
	lbrec_visit_users(data, held_out, fill_user, c);
	for (int32 row = c->first; row <= c->last && older; row++)
	{
		CHECK_FOR_INTERRUPTS();
		if (row <= older->n_recordings)
			for (int64 k = older->offsets[row]; k < older->offsets[row + 1];
				 k++)
				put_entry(c, row, older->codes[k], older->counts[k]);
	}

	/* no more than n of them are left */
	r->codes = repalloc_huge(r->codes, Max(done + n, 1) * sizeof(int32));
	r->counts = repalloc_huge(r->counts, Max(done + n, 1) * sizeof(float));
	for (int32 row = c->first; row <= c->last; row++)
	{
		int64		length = c->lengths[row];
		int64		made;

		LBREC_RUN((made = lb_neighbour_row(r->codes + done, r->counts + done,
										   c->entries +
										   c->next[row - c->first] - length,
										   length, row, r->sums, most,
										   lbrec_cancel_flag())) < 0);
		done += made;
		r->offsets[row + 1] = done;
	}
	r->codes = repalloc_huge(r->codes, Max(done, 1) * sizeof(int32));
	r->counts = repalloc_huge(r->counts, Max(done, 1) * sizeof(float));
	pfree(c->entries);
	pfree(c->next);
}

/* The weights of all entries from their counts. */
void
lbrec_weigh_neighbours(float *weights, int64 n_recordings,
					   const int64 *offsets, const int32 *codes,
					   const float *counts, const float *sums)
{
	for (int64 row = 1; row <= n_recordings; row++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int64 k = offsets[row]; k < offsets[row + 1]; k++)
			weights[k] = lb_neighbour_weight(counts[k], sums[row],
											 sums[codes[k]]);
	}
}

/*
 * Counts at most `most` neighbours of each recording, from the listens that
 * are not held out, added to those of an older model unless that is NULL.
 */
Neighbours *
lbrec_count_neighbours(const Dataset *data, const uint8 *held_out, int most,
					   const Neighbours *older, MemoryContext context)
{
	MemoryContext scratch = AllocSetContextCreate(context,
												  "lbrec neighbours",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int32		n = lbrec_vocabulary_size(data->recordings);
	int64		budget = Max(lbrec_spool_rows(), 65536);
	Counter		c = {.room = 1024};
	Neighbours *r = MemoryContextAllocZero(context, sizeof(Neighbours));

	most = Min(most, Max(MAX_ENTRIES / n, LEAST_ENTRIES));
	r->n_recordings = n;
	r->offsets = MemoryContextAllocExtended(context,
											((Size) n + 2) * sizeof(int64),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	r->sums = MemoryContextAllocExtended(context,
										 ((Size) n + 1) * sizeof(float),
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	r->codes = MemoryContextAllocHuge(context, sizeof(int32));
	r->counts = MemoryContextAllocHuge(context, sizeof(float));
	c.result = r;
	c.lengths = palloc_extended(((Size) n + 1) * sizeof(int64),
								MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	c.codes = palloc(c.room * sizeof(int32));
	c.times = palloc(c.room * sizeof(int64));
	c.pairs = palloc(c.room * LB_NEIGHBOUR_REACH * sizeof(uint64));
	lbrec_visit_users(data, held_out, count_user, &c);
	for (int64 row = 1; older && row <= older->n_recordings; row++)
	{
		c.lengths[row] += older->offsets[row + 1] - older->offsets[row];
		r->sums[row] += older->sums[row];
	}
	for (c.first = 1; c.first <= n; c.first = c.last + 1)
	{
		int64		sum = c.lengths[c.first];

		c.last = c.first;
		while (c.last < n && sum + c.lengths[c.last + 1] <= budget)
			sum += c.lengths[++c.last];
		fill_range(&c, data, held_out, older, sum, most);
	}
	r->weights = MemoryContextAllocHuge(context, Max(r->offsets[n + 1], 1) *
										sizeof(float));
	lbrec_weigh_neighbours(r->weights, n, r->offsets, r->codes, r->counts,
						   r->sums);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return r;
}
