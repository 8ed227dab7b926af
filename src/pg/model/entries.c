/*
 * entries.c
 *		Rows of entries by recording, counted over all listens.
 *
 * One pass over the users counts the entries of each row; then rows are filled
 * in ranges whose entries fit in half of lbrec.spool_mem, one pass over the
 * users for each range.  Two passes do for 60 million listens at the default
 * of 1 GB.
 *
 * In a small catalogue a row keeps as many entries as requested; in a large
 * one fewer, so that all rows together have MAX_ENTRIES, or LEAST_ENTRIES each
 * if that is more.  Most recordings of a large catalogue have few users, and
 * so few entries anyway.
 */
#include "pg/model/entries.h"

#include "pg/listens/dataset.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"

#define MAX_ENTRIES 16000000
#define LEAST_ENTRIES 16

/* Returns the number of entries that a row keeps. */
int
lbrec_most_entries(const CountRequest *request)
{
	int32		n = lbrec_vocabulary_size(request->data->recordings);

	return Min(request->neighbours, Max(MAX_ENTRIES / n, LEAST_ENTRIES));
}

/* Returns the room that a row needs, for new and older entries. */
static int64
row_room(const EntryRows *e, int32 row)
{
	int64		room = e->lengths[row];

	if (e->older_offsets && row <= e->n_older)
		room += e->older_offsets[row + 1] - e->older_offsets[row];
	return room;
}

/* Sets the length of the result's arrays. */
static void
resize(EntryRows *e, int64 n)
{
	n = Max(n, 1);
	e->codes = repalloc_huge(e->codes, n * sizeof(int32));
	e->counts = repalloc_huge(e->counts, n * e->width * sizeof(float));
}

/*
 * Makes the rows of a range, whose entries need this room, and appends them.
 */
static void
fill_range(EntryRows *e, int64 room)
{
	const CountRequest *q = e->request;
	int64		start = 0;
	int64		done = e->offsets[e->first];

	e->entries = palloc_extended(Max(room, 1) * sizeof(uint64),
								 MCXT_ALLOC_HUGE);
	e->next = palloc_extended((e->last - e->first + 1) * sizeof(int64),
							  MCXT_ALLOC_HUGE);
	for (int32 row = e->first; row <= e->last; row++)
	{
		e->next[row - e->first] = start;
		start += row_room(e, row);
	}
	lbrec_visit_users(q->data, q->held_out, e->visit, e->arg);
	resize(e, done + room);
	for (int32 row = e->first; row <= e->last; row++)
	{
		int64		length = e->lengths[row];

		done += e->make_row(e->codes + done, e->counts + done * e->width,
							e->entries + e->next[row - e->first] - length,
							length, row, e->arg);
		e->offsets[row + 1] = done;
	}
	resize(e, done);
	pfree(e->entries);
	pfree(e->next);
	e->entries = NULL;
}

/* The first pass. The current memory context is scratch, here and below. */
void
lbrec_count_entries(EntryRows *e)
{
	const CountRequest *q = e->request;
	int32		n = lbrec_vocabulary_size(q->data->recordings);

	e->offsets = MemoryContextAllocExtended(q->context,
											((Size) n + 2) * sizeof(int64),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	e->codes = MemoryContextAllocHuge(q->context, sizeof(int32));
	e->counts = MemoryContextAllocHuge(q->context, sizeof(float));
	e->lengths = palloc_extended(((Size) n + 1) * sizeof(int64),
								 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	lbrec_visit_users(q->data, q->held_out, e->visit, e->arg);
}

/* The other passes: makes all rows. */
void
lbrec_fill_rows(EntryRows *e)
{
	int32		n = lbrec_vocabulary_size(e->request->data->recordings);
	int64		budget = Max(lbrec_spool_rows(), 65536);

	for (e->first = 1; e->first <= n; e->first = e->last + 1)
	{
		int64		room = row_room(e, e->first);

		e->last = e->first;
		while (e->last < n && room + row_room(e, e->last + 1) <= budget)
			room += row_room(e, ++e->last);
		fill_range(e, room);
	}
}
