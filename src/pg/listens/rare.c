/*
 * rare.c
 *		Removes recordings with few listens, or makes them share rows.
 */
#include "pg/listens/rare.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/order.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"

/* Counts plays of each recording (recordings + 1), without those held out. */
int64 *
lbrec_training_plays(const Dataset *data, const uint8 *held_out)
{
	Size		bytes = ((Size) lbrec_vocabulary_size(data->recordings) + 1) *
		sizeof(int64);
	int64	   *plays = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	SpoolScan	scan;

	memcpy(plays, data->recording_listens, bytes);
	if (held_out == NULL)
		return plays;
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
			if (lbrec_bit(held_out, scan.from + i))
				plays[scan.block[i].recording]--;
	return plays;
}

typedef struct Played
{
	int64		plays;
	int32		code;
} Played;

static inline int
compare_played(const Played *a, const Played *b)
{
	if (a->plays != b->plays)
		return a->plays > b->plays ? -1 : 1;
	return a->code < b->code ? -1 : a->code > b->code;
}

#define ST_SORT sort_played
#define ST_ELEMENT_TYPE Played
#define ST_COMPARE(a, b) compare_played(a, b)
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Numbers recordings by plays, the most played first: rows that are often used
 * lies together.  Those with fewer than min_listens of the decisive counts are
 * forgotten, unless items name them, and their listens become listens of code
 * 0, out-of-vocabulary; what a warm start brought stays as it is.  Both counts are by the old codes.
 * Returns the new codes by the old ones, in the current context.
 */
int32 *
lbrec_number_recordings(Dataset *data, const int64 *plays,
						const int64 *decisive, int min_listens)
{
	int32		n = lbrec_vocabulary_size(data->recordings);
	int32		known = data->n_known_recordings;
	int32	   *map = palloc_extended(((Size) n + 1) * sizeof(int32),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	Played	   *kept = palloc_extended(((Size) n + 1) * sizeof(Played),
									   MCXT_ALLOC_HUGE);
	int32		n_kept = 0;
	bool		same = true;

	for (int32 r = 1; r <= n; r++)
	{
		CHECK_FOR_INTERRUPTS();
		if (r <= known)
			map[r] = r;
		else if (decisive[r] >= min_listens ||
				 (data->listed && data->listed[r]))
			kept[n_kept++] = (Played)
		{
			plays[r], r
		};
	}
	sort_played(kept, n_kept);
	for (int32 i = 0; i < n_kept; i++)
	{
		map[kept[i].code] = known + 1 + i;
		same = same && kept[i].code == known + 1 + i;
	}
	pfree(kept);
	if (!same || known + n_kept < n)
		lbrec_renumber_recordings(data, map, known + n_kept);
	return map;
}

/*
 * The other way with rare recordings: rows of a table for the first n codes,
 * (n + 1).  Row 0 is out-of-vocabulary, recordings with min_listens have
 * rows of their own, in the order of codes, and the others share the buckets,
 * by their keys, that come last.  A recording that nobody has played has row
 * 0.  listens is of code 1 on.
 */
int32 *
lbrec_bucket_rows(int64 *n_rows, const Vocabulary *recordings,
				  const int64 *listens, int64 n, int min_listens, int buckets,
				  MemoryContext context)
{
	int32	   *rows = MemoryContextAllocHuge(context,
											  (n + 1) * sizeof(int32));
	int32		own = 0;

	rows[0] = 0;
	for (int64 r = 1; r <= n; r++)
		rows[r] = listens[r - 1] >= min_listens ? ++own : 0;
	for (int64 r = 1; r <= n; r++)
		if (listens[r - 1] < min_listens && listens[r - 1] > 0)
		{
			const char *key = lbrec_vocabulary_key(recordings, (int32) r,
												   NULL);

			CHECK_FOR_INTERRUPTS();
			rows[r] = own + 1 + (int32)
				(lbrec_uuid_hash(key) % buckets);
		}
	*n_rows = (int64) own + 1 + buckets;
	return rows;
}
