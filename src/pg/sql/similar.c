/*
 * similar.c
 *		lbrec_similar(), lbrec_similar_users(): return the nearest by cosine.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/filter.h"
#include "pg/serve/nearest.h"
#include "pg/serve/select.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"
#include "pg/sql/wishes.h"

PG_FUNCTION_INFO_V1(lbrec_similar);
PG_FUNCTION_INFO_V1(lbrec_similar_users);

static const WishPlaces wish_places = {
	.exclude_listened = NO_ARGUMENT,
	.exclude = SIMILAR_EXCLUDE,
	.candidates = SIMILAR_CANDIDATES,
	.filter = SIMILAR_FILTER,
	.min_listens = SIMILAR_MIN_LISTENS,
	.max_listens = SIMILAR_MAX_LISTENS,
	.per_artist = SIMILAR_PER_ARTIST,
	.artist_column = SIMILAR_ARTIST_COLUMN,
	.diversity = SIMILAR_DIVERSITY
};

/* The recordings to be similar to. */
typedef struct Seeds
{
	const ServingModel *serving;
	const float *query;			/* (D) direction of their mean */
} Seeds;

static RankedList
rank_by_cosine(const void *whom, const CandidateSet *allowed, int64 k)
{
	const Seeds *seeds = whom;

	return lbrec_nearest_recordings(seeds->serving, seeds->query, allowed, k);
}

/*
 * Looks up the distinct candidates (n) of the seeds; an error if the model
 * knows none of them.
 */
static int32 *
known_seeds(const ServingModel *serving, const RecordingList *seeds, int64 *n)
{
	int32	   *rows = palloc_extended(seeds->n * sizeof(int32),
									   MCXT_ALLOC_HUGE);
	int64		known = 0;

	for (int64 i = 0; i < seeds->n; i++)
	{
		int32		row = lbrec_candidate_of(serving, &seeds->keys[i]);

		CHECK_FOR_INTERRUPTS();
		if (row >= 0)
			rows[known++] = row;
	}
	/* its name goes into the error */
	if (known == 0)
		lbrec_known_recording(serving, &seeds->keys[0]);
	qsort(rows, known, sizeof(int32), lbrec_compare_candidates);
	*n = 0;
	for (int64 i = 0; i < known; i++)
		if (i == 0 || rows[i] != rows[i - 1])
			rows[(*n)++] = rows[i];
	return rows;
}

/*
 * lbrec_similar(recordings, k, model, exclude, candidates, filter,
 * min_listens, max_listens, per_artist, artist_column, diversity,
 * version)
 */
Datum
lbrec_similar(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, SIMILAR_ARGS, 3);
	Conditions	conditions = {0};
	Wanted		wanted = {.rank = rank_by_cosine};
	RecordingList named;
	const ServingModel *serving;
	Seeds		seeds;
	int32	   *rows;
	int64		n;
	RankedList	list;

	/* returns NULL for NULL, as a strict function does */
	if (PG_ARGISNULL(SIMILAR_TO))
		return (Datum) 0;
	named = lbrec_array_recordings(PG_GETARG_ARRAYTYPE_P(SIMILAR_TO),
								   "recordings");
	lbrec_read_conditions(&conditions, fcinfo, &wish_places, NULL, NULL);
	serving = lbrec_open_argument(fcinfo, SIMILAR_MODEL,
								  SIMILAR_VERSION);
	wanted.k = lbrec_bounded_k(PG_ARGISNULL(SIMILAR_K) ? 10 :
							   PG_GETARG_INT32(SIMILAR_K),
							   serving->tower.n_recordings);
	lbrec_read_wishes(&wanted, fcinfo, &wish_places, serving);
	if (named.n == 0)
		return (Datum) 0;
	rows = known_seeds(serving, &named, &n);
	seeds.serving = serving;
	seeds.query = lbrec_mean_direction(serving->tower.candidates, rows, n,
									   serving->image->D);
	lbrec_leave_out(&conditions.excluded, &named);
	wanted.allowed = lbrec_filter_candidates(serving, &conditions);
	wanted.whom = &seeds;
	list = lbrec_select(serving, NULL, &wanted);
	for (int64 i = 0; i < list.n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = UUIDPGetDatum(&serving->tower.recording_keys[list.ids[i]]);
		values[2] = Float4GetDatum(list.scores[i]);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Returns the users' own embeddings, (n_users + 1, D); row 0 is for unknown
 * users.
 */
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

/* lbrec_similar_users(user_id, k, model, version) */
Datum
lbrec_similar_users(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, SIMILAR_USERS_ARGS, 3);
	const ServingModel *serving;
	int32		k = PG_ARGISNULL(SIMILAR_USERS_K) ? 10 :
	PG_GETARG_INT32(SIMILAR_USERS_K);
	const LbTensor *table;
	int32		user;
	int64	   *ids;
	int64		n;
	int64		rank = 0;
	RankedList	list;

	if (PG_ARGISNULL(SIMILAR_USERS_TO))
		return (Datum) 0;
	serving = lbrec_open_argument(fcinfo, SIMILAR_USERS_MODEL,
								  SIMILAR_USERS_VERSION);
	n = serving->tower.n_users;
	k = lbrec_bounded_k(k, n - 1);
	table = user_table(serving);
	ids = palloc_extended((n + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ids[serving->user_codes[i]] = serving->tower.user_keys[i];
	}
	user = lbrec_known_user(serving, PG_GETARG_INT64(SIMILAR_USERS_TO)) - 1;
	/* ask for one more, because the user is probably among them */
	list = lbrec_nearest_rows(table->value + table->cols, n, table->cols,
							  lbrec_mean_direction(table->value + table->cols,
												   &user, 1, table->cols),
							  (int64) k + 1);
	for (int64 i = 0; i < list.n && rank < k; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		if (list.ids[i] == user)
			continue;
		values[0] = Int32GetDatum((int32) ++rank);
		values[1] = Int64GetDatum(ids[list.ids[i] + 1]);
		values[2] = Float4GetDatum(list.scores[i]);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
