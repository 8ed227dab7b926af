/*
 * neighbours.c
 *		Counts the recordings that are played one after another.
 *
 * A row keeps the nearest recordings; entries.c limits their number.
 */
#include "pg/model/neighbours.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pg/listens/dataset.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/entries.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"

/* A longer gap between two listens begins a new session. */
#define SESSION_GAP (INT64CONST(3600) * USECS_PER_SEC)

typedef struct Counter
{
	EntryRows	rows;
	const Counted *older;		/* counts to continue, or NULL */
	float	   *sums;			/* (n_recordings + 1) sums over whole rows */
	int			most;
	uint64	   *pairs;			/* pairs of one user */
	int32	   *codes;
	int64	   *times;
	int64		room;			/* capacity in listens of one user */
} Counter;

/* Makes the pairs of one user; returns their number. */
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
put_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Counter    *c = arg;
	int64		n_pairs = pairs_of(c, listens, n);

	for (int64 i = 0; i < n_pairs; i++)
	{
		int32		from = lb_pair_from(c->pairs[i]);
		int32		to = lb_pair_to(c->pairs[i]);
		float		count = lb_pair_count(c->pairs[i]);

		CHECK_FOR_INTERRUPTS();
		if (lbrec_only_counted(&c->rows))
		{
			c->sums[from] += count;
			c->sums[to] += count;
		}
		lbrec_put_entry(&c->rows, from, lb_neighbour_entry(to, count));
		lbrec_put_entry(&c->rows, to, lb_neighbour_entry(from, count));
	}
}

static int64
make_row(int32 *codes, float *counts, uint64 *entries, int64 n, int32 row,
		 void *arg)
{
	const Counter *c = arg;
	int64		made;

	if (c->older && row <= c->rows.n_older)
		for (int64 k = c->older->neighbours.offsets[row];
			 k < c->older->neighbours.offsets[row + 1]; k++)
		{
			CHECK_FOR_INTERRUPTS();
			entries[n++] = lb_neighbour_entry(c->older->neighbours.codes[k],
											  c->older->neighbour_counts[k]);
		}
	LBREC_RUN((made = lb_neighbour_row(codes, counts, entries, n,
									   lbrec_cancel_flag())) < 0);
	/* the entries are used up, so their memory can hold as many keys */
	return lb_neighbour_keep(codes, counts, made, row, c->sums, c->most,
							 entries);
}

/* Computes the weights of all entries from their counts. */
void
lbrec_neighbour_weights(float *weights, int64 n_recordings,
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

/* Counts neighbours, and adds those of an older model if it has any. */
void
lbrec_count_neighbours(Counted *counted, const CountRequest *q)
{
	MemoryContext scratch = AllocSetContextCreate(q->context,
												  "lbrec neighbours",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int32		n = lbrec_vocabulary_size(q->data->recordings);
	Counter		c = {.room = 1024, .most = lbrec_most_entries(q)};
	EntryRows  *rows = &c.rows;
	float	   *weights;

	*rows = (EntryRows)
	{
		.request = q, .width = 1, .visit = put_user, .make_row = make_row,
			.arg = &c
	};
	c.sums = MemoryContextAllocExtended(q->context,
										((Size) n + 1) * sizeof(float),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	c.codes = palloc(c.room * sizeof(int32));
	c.times = palloc(c.room * sizeof(int64));
	c.pairs = palloc(c.room * LB_NEIGHBOUR_REACH * sizeof(uint64));
	if (q->older && q->older->counted.neighbours.offsets)
	{
		c.older = &q->older->counted;
		rows->n_older = q->older->n_recordings;
		rows->older_offsets = c.older->neighbours.offsets;
	}
	lbrec_count_entries(rows);
	for (int64 row = 1; c.older && row <= rows->n_older; row++)
		c.sums[row] += c.older->neighbour_sums[row];
	lbrec_fill_rows(rows);
	weights = MemoryContextAllocHuge(q->context, Max(rows->offsets[n + 1], 1) *
									 sizeof(float));
	lbrec_neighbour_weights(weights, n, rows->offsets, rows->codes,
							rows->counts, c.sums);
	counted->neighbours = (LbNeighbours)
	{
		rows->offsets, rows->codes, weights
	};
	counted->neighbour_counts = rows->counts;
	counted->neighbour_sums = c.sums;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}
