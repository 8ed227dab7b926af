/*
 * similar.c
 *		lbrec_similar(), lbrec_similar_users(): the nearest by cosine.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/nearest.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"

PG_FUNCTION_INFO_V1(lbrec_similar);
PG_FUNCTION_INFO_V1(lbrec_similar_users);

/* lbrec_similar(recording, k, model) */
Datum
lbrec_similar(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, SIMILAR_ARGS, SIMILAR_ARGS, 3);
	const ServingModel *serving;
	int32		k = PG_ARGISNULL(SIMILAR_K) ? 10 : PG_GETARG_INT32(SIMILAR_K);
	Nearest    *best;
	int64		self;
	int64		found;

	if (PG_ARGISNULL(SIMILAR_TO))
		return (Datum) 0;
	serving = lbrec_open_model(lbrec_model_argument(fcinfo, SIMILAR_MODEL));
	k = lbrec_bounded_k(k, serving->tower.n_recordings - 1);
	self = lbrec_known_recording(serving, PG_GETARG_UUID_P(SIMILAR_TO));
	/* one more, for self may be the best of its block */
	best = palloc_extended((k + 1) * sizeof(Nearest), MCXT_ALLOC_HUGE);
	found = lbrec_nearest_by_index(best, serving, self, k);
	if (found < 0)
		found = lbrec_nearest_by_lengths(best, serving, self, k + 1);
	if (found < 0)
		found = lbrec_nearest(best, serving->tower.candidates,
							  serving->tower.n_recordings, serving->image->D, self,
							  k + 1);
	for (int64 i = 0; i < Min(found, k); i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = UUIDPGetDatum(&serving->tower.recording_keys[best[i].row]);
		values[2] = Float4GetDatum(best[i].score);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}

/* The users' own embeddings, (n_users + 1, D); row 0 is of unknown users. */
static const LbTensor *
user_table(const ServingModel *serving)
{
	const LbTower *tower = &serving->tower.core.query;

	for (int i = 0; i < tower->n_inputs; i++)
		if (serving->tower.query_inputs[i].source == SOURCE_USER)
			return &serving->tower.core.tensors[serving->tower.query_inputs[i].table];
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("model \"%s\" has no embeddings of users",
					serving->image->row.name),
			 errdetail("Its query tower knows users by their history only."),
			 errhint("Train with \"user_embedding\": true in settings, or compare lbrec_user_embedding() of users.")));
	return NULL;				/* keep compiler quiet */
}

/* lbrec_similar_users(user_id, k, model) */
Datum
lbrec_similar_users(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, SIMILAR_ARGS, SIMILAR_ARGS, 3);
	const ServingModel *serving;
	int32		k = PG_ARGISNULL(SIMILAR_K) ? 10 : PG_GETARG_INT32(SIMILAR_K);
	const LbTensor *table;
	Nearest    *best;
	int64	   *ids;
	int64		found;
	int64		n;

	if (PG_ARGISNULL(SIMILAR_TO))
		return (Datum) 0;
	serving = lbrec_open_model(lbrec_model_argument(fcinfo, SIMILAR_MODEL));
	n = serving->tower.n_users;
	k = lbrec_bounded_k(k, n - 1);
	table = user_table(serving);
	ids = palloc_extended((n + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ids[serving->user_codes[i]] = serving->tower.user_keys[i];
	}
	best = palloc_extended((k + 1) * sizeof(Nearest), MCXT_ALLOC_HUGE);
	found = lbrec_nearest(best, table->value + table->cols, n, table->cols,
						  lbrec_known_user(serving, PG_GETARG_INT64(SIMILAR_TO)) - 1, k + 1);
	for (int64 i = 0; i < Min(found, k); i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = Int64GetDatum(ids[best[i].row + 1]);
		values[2] = Float4GetDatum(best[i].score);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
