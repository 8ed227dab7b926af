/*
 * rare.c
 *		Recordings with few listens: left out, or given shared rows.
 */
#include "pg/listens/rare.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/features.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"

/*
 * Forgets recordings with fewer listens: theirs become listens of code 0,
 * out-of-vocabulary, and the others are numbered anew in the same order.
 */
void
lbrec_drop_rare(Dataset *data, int min_listens)
{
	int32		n = lbrec_vocabulary_size(data->recordings);
	int32	   *map = palloc_extended(((Size) n + 1) * sizeof(int32),
									  MCXT_ALLOC_HUGE);
	int64	   *plays = data->recording_listens;
	int32		kept = 0;
	Vocabulary *v;
	SpoolScan	scan;

	map[0] = 0;
	for (int32 r = 1; r <= n; r++)
		map[r] = plays[r] >= min_listens || r <= data->n_known_recordings ?
			++kept : 0;
	if (kept == n)
	{
		pfree(map);
		return;
	}
	v = lbrec_vocabulary_create(data->context, UUID_LEN);
	for (int32 r = 1; r <= n; r++)
	{
		bool		is_new;
		const char *key = lbrec_vocabulary_key(data->recordings, r, NULL);

		CHECK_FOR_INTERRUPTS();
		if (map[r] == 0)
		{
			plays[0] += plays[r];
			continue;
		}
		lbrec_vocabulary_code(v, key, UUID_LEN,
							  lbrec_vocabulary_prefetch(v, key, UUID_LEN),
							  &is_new);
		plays[map[r]] = plays[r];
	}
	lbrec_vocabulary_free(data->recordings);
	data->recordings = v;
	for (int i = 0; i < data->n_features; i++)
		if (!data->features[i].of_user)
			lbrec_renumber_feature(&data->features[i], map);
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
	{
		for (int64 i = 0; i < scan.n; i++)
			scan.block[i].recording = map[scan.block[i].recording];
		lbrec_spool_write(data->listens, scan.from, scan.n, scan.block);
	}
	pfree(map);
}

/*
 * The other way with rare recordings: rows of a table for the first n codes,
 * (n + 1).  Row 0 is out-of-vocabulary, recordings with so many listens have
 * rows of their own, in the order of codes, and the others share the buckets,
 * by their keys, that come last.  listens is of code 1 on.
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
		if (listens[r - 1] >= min_listens)
			rows[r] = ++own;
	for (int64 r = 1; r <= n; r++)
		if (listens[r - 1] < min_listens)
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
