/*
 * entries.h
 *		Rows of entries by recording, counted over all listens.
 */
#ifndef LBREC_MODEL_ENTRIES_H
#define LBREC_MODEL_ENTRIES_H

#include "pg/listens/histories.h"
#include "pg/model/counted.h"

typedef struct EntryRows EntryRows;

/*
 * Makes a row from its n entries, which it may overwrite: codes, and counts
 * (…, width).  It adds the older model's row, for which all three have room.
 * Returns the row's length.
 */
typedef int64 (*MakeRow) (int32 *codes, float *counts, uint64 *entries,
						  int64 n, int32 row, void *arg);

struct EntryRows
{
	const CountRequest *request;
	int			width;			/* counts in an entry */
	UserVisitor visit;			/* calls lbrec_put_entry() for each entry of a
								 * user's listens; runs once for each range */
	MakeRow		make_row;
	void	   *arg;			/* argument of both functions */
	const int64 *older_offsets; /* offsets of rows to continue, or NULL */
	int64		n_older;

	/* The result, in the request's context: */
	int64	   *offsets;		/* (n_recordings + 2) */
	int32	   *codes;
	float	   *counts;			/* (…, width) */

	/* State of the passes: */
	int64	   *lengths;		/* (n_recordings + 1) number of entries in
								 * each row */
	int32		first;			/* the range of rows being filled */
	int32		last;
	uint64	   *entries;		/* NULL: the pass only counts */
	int64	   *next;			/* (last - first + 1) */
};

static inline bool
lbrec_only_counted(const EntryRows *e)
{
	return e->entries == NULL;
}

static inline void
lbrec_put_entry(EntryRows *e, int32 row, uint64 entry)
{
	if (lbrec_only_counted(e))
		e->lengths[row]++;
	else if (row >= e->first && row <= e->last)
		e->entries[e->next[row - e->first]++] = entry;
}

extern int	lbrec_most_entries(const CountRequest *request);
extern void lbrec_count_entries(EntryRows *rows);
extern void lbrec_fill_rows(EntryRows *rows);

#endif							/* LBREC_MODEL_ENTRIES_H */
