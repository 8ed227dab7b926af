/*
 * order.c
 *		Makes a dataset independent of the order of its rows.
 *
 * A query returns its rows in any order, and after a vacuum or a restore in
 * another one.  While rows are read, keys get codes in the order of rows.
 * Then keys are renumbered in the order of their bytes, and listens are sorted
 * by time, user and recording, so that everything that follows (splits, draws,
 * initial weights, sums) is the same for the same rows.  Keys from a warm
 * start stay first, in their order.
 *
 * Codes in the order of keys also say nothing about a recording's users: in
 * the order of first appearance, a user's recordings have codes next to each
 * other, with those held out, and breaking ties by code would reveal them.
 */
#include "pg/listens/order.h"

#include "pg/listens/feature_codes.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"

/*
 * Moves plays of the first n recordings to the new codes; those of dropped
 * ones go to code 0.
 */
static void
move_plays(Dataset *data, const int32 *map, int32 n)
{
	int64	   *plays = palloc_extended(((Size) n + 1) * sizeof(int64),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (int32 r = 0; r <= n; r++)
		plays[map[r]] += data->recording_listens[r];
	memcpy(data->recording_listens, plays, ((Size) n + 1) * sizeof(int64));
	pfree(plays);
}

/* The same of which recordings items name. */
static void
move_listed(Dataset *data, const int32 *map, int32 n)
{
	bool	   *listed;

	if (data->listed == NULL)
		return;
	listed = palloc_extended((Size) n + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int32 r = 1; r <= n; r++)
		listed[map[r]] |= data->listed[r];
	memcpy(data->listed, listed, (Size) n + 1);
	pfree(listed);
}

void
lbrec_order_dataset(Dataset *data)
{
	int32	   *users = lbrec_vocabulary_sort(data->users,
											  data->n_known_users, NULL);
	int32	   *recordings = lbrec_vocabulary_sort(data->recordings,
												   data->n_known_recordings,
												   NULL);

	move_plays(data, recordings, lbrec_vocabulary_size(data->recordings));
	move_listed(data, recordings, lbrec_vocabulary_size(data->recordings));
	for (int i = 0; i < data->n_features; i++)
	{
		Feature    *f = &data->features[i];

		lbrec_order_feature(f, f->of_user ? users : recordings,
							data->context);
	}
	lbrec_spool_order(data->listens, users, recordings);
	pfree(users);
	pfree(recordings);
}

/*
 * Gives recordings new codes (map, by the old ones, 1 to n); those with 0 are
 * dropped.  Listens keep their places.
 */
void
lbrec_renumber_recordings(Dataset *data, const int32 *map, int32 n)
{
	SpoolScan	scan;

	move_plays(data, map, lbrec_vocabulary_size(data->recordings));
	move_listed(data, map, lbrec_vocabulary_size(data->recordings));
	lbrec_vocabulary_renumber(data->recordings, map, n);
	for (int i = 0; i < data->n_features; i++)
		if (!data->features[i].of_user)
			lbrec_renumber_feature(&data->features[i], map, n,
								   data->context);
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
	{
		for (int64 i = 0; i < scan.n; i++)
			scan.block[i].recording = map[scan.block[i].recording];
		lbrec_spool_write(data->listens, scan.from, scan.n, scan.block);
	}
}
