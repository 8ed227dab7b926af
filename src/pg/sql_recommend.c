/*
 * sql_recommend.c
 *		lbrec_recommend(), lbrec_recommend_all(): the best recordings, exactly.
 */
#include "lbrec.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "selection.h"

PG_FUNCTION_INFO_V1(lbrec_recommend);
PG_FUNCTION_INFO_V1(lbrec_recommend_all);

/* Users whose candidates are ranked together. */
#define USERS_AT_ONCE 256

enum
{
	ARG_USER_ID,
	ARG_K,
	ARG_MODEL,
	ARG_AT,
	ARG_EXCLUDE_LISTENED,
	ARG_LISTENS,
	ARG_CANDIDATES,
	ARG_FILTER,
	ARG_MIN_LISTENS,
	ARG_MAX_LISTENS,
	ARG_PER_ARTIST,
	ARG_ARTIST_COLUMN,
	ARG_DIVERSITY
};

/*
 * The candidates that may be recommended, as a bitmap, or NULL for all.  Each
 * argument that is given narrows the set.
 */
static uint64 *
allowed_candidates(const ServingModel *serving, const RecordingList *listened,
				   const RecordingList *candidates,
				   const RecordingList *filter)
{
	const RecordingList *lists[] = {listened, candidates, filter};
	uint64	   *allow = NULL;

	for (int i = 0; i < lengthof(lists); i++)
	{
		uint64	   *bits;

		if (lists[i]->keys == NULL)
			continue;
		bits = lbrec_candidate_bits(serving, lists[i], lists[i] != listened);
		if (allow == NULL)
			allow = bits;
		else
			for (int64 w = 0; w < (serving->tower.n_recordings + 63) / 64; w++)
				allow[w] &= bits[w];
	}
	return allow;
}

/* Clears the bits of candidates that are outside of the bounds. */
static uint64 *
bound_popularity(uint64 *allow, const ServingModel *serving, int64 least,
				 int64 most)
{
	int64		n = serving->tower.n_recordings;
	Size		words = (n + 63) / 64;

	if (allow == NULL)
	{
		allow = palloc_extended(words * sizeof(uint64), MCXT_ALLOC_HUGE);
		memset(allow, 0xff, words * sizeof(uint64));
	}
	for (int64 i = 0; i < n; i++)
		if (serving->recording_listens[i] < least ||
			serving->recording_listens[i] > most)
			allow[i / 64] &= ~(UINT64CONST(1) << (i % 64));
	return allow;
}

/* per_artist, artist_column and diversity */
static void
read_wishes(Wanted *wanted, FunctionCallInfo fcinfo,
			const ServingModel *serving)
{
	if (!PG_ARGISNULL(ARG_DIVERSITY))
	{
		wanted->diversity = PG_GETARG_FLOAT8(ARG_DIVERSITY);
		if (!(wanted->diversity >= 0 && wanted->diversity <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("diversity is %g, outside of its range",
							wanted->diversity),
					 errdetail("It is from 0, best scores only, to 1, most different only."),
					 errhint("Try 0.3.")));
	}
	if (!PG_ARGISNULL(ARG_PER_ARTIST))
	{
		char	   *column = PG_ARGISNULL(ARG_ARTIST_COLUMN) ? "artist_name" :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_ARTIST_COLUMN));

		wanted->per_group = PG_GETARG_INT32(ARG_PER_ARTIST);
		if (wanted->per_group < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("per_artist is %d, but must be at least 1",
							wanted->per_group),
					 errdetail("It is the number of recordings of one artist that a list may have."),
					 errhint("Leave it out for no limit.")));
		wanted->groups = lbrec_grouping(serving, column, &wanted->n_groups);
		if (wanted->groups == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("model \"%s\" was not trained with a column \"%s\" of recordings",
							serving->image->row.name, column),
					 errdetail("per_artist needs to know each recording's artist from the query of listens."),
					 errhint("Train with that column, or name another one of text with artist_column.")));
	}
}

/*
 * lbrec_recommend(user_id, k, model, at, exclude_listened, listens,
 * candidates, filter, min_listens, max_listens, per_artist, artist_column,
 * diversity)
 */
Datum
lbrec_recommend(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo);
	RecordingList listened = {0};
	RecordingList candidates = {0};
	RecordingList filter = {0};
	const ServingModel *serving;
	const char *listens;
	int64		user_id;
	uint64	   *allow;
	Wanted		wanted = {0};
	Asker		asker;
	Selected	selected;

	/* as a strict function: nothing is recommended to nobody */
	if (PG_ARGISNULL(ARG_USER_ID))
		return (Datum) 0;
	user_id = PG_GETARG_INT64(ARG_USER_ID);
	wanted.k = PG_ARGISNULL(ARG_K) ? 10 : PG_GETARG_INT32(ARG_K);
	listens = PG_ARGISNULL(ARG_LISTENS) ? "listen" :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_LISTENS));
	if (!PG_ARGISNULL(ARG_EXCLUDE_LISTENED) &&
		PG_GETARG_BOOL(ARG_EXCLUDE_LISTENED))
		listened = lbrec_listened_recordings(listens, user_id);
	if (!PG_ARGISNULL(ARG_CANDIDATES))
		candidates = lbrec_array_recordings(PG_GETARG_ARRAYTYPE_P(ARG_CANDIDATES),
											"candidates");
	if (!PG_ARGISNULL(ARG_FILTER))
		filter = lbrec_query_recordings(text_to_cstring(PG_GETARG_TEXT_PP(ARG_FILTER)),
										"filter");

	serving = lbrec_open_model(lbrec_model_argument(fcinfo, ARG_MODEL));
	lbrec_check_k((int32) wanted.k, serving);
	read_wishes(&wanted, fcinfo, serving);
	lbrec_identify(&asker, serving, user_id,
				   lbrec_time_argument(fcinfo, ARG_AT), listens);
	allow = allowed_candidates(serving, &listened, &candidates, &filter);
	if (!PG_ARGISNULL(ARG_MIN_LISTENS) || !PG_ARGISNULL(ARG_MAX_LISTENS))
		allow = bound_popularity(allow, serving,
								 PG_ARGISNULL(ARG_MIN_LISTENS) ? 0 :
								 PG_GETARG_INT64(ARG_MIN_LISTENS),
								 PG_ARGISNULL(ARG_MAX_LISTENS) ? PG_INT64_MAX :
								 PG_GETARG_INT64(ARG_MAX_LISTENS));
	wanted.allow = allow;
	selected = lbrec_select(serving, &asker, &wanted);
	for (int64 i = 0; i < selected.n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = UUIDPGetDatum(&serving->recording_keys[selected.ids[i]]);
		values[2] = Float4GetDatum(selected.scores[i]);
		values[3] = CStringGetTextDatum(lbrec_basis_name(asker.basis));
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Codes and ids of the users in an array, or of all for NULL.  Users that the
 * model does not know are left out, and counted in a notice.
 */
static int64
chosen_users(const ServingModel *serving, ArrayType *array, int32 **codes,
			 int64 **ids)
{
	Datum	   *values = NULL;
	bool	   *nulls = NULL;
	int			listed = 0;
	int64		n = 0;
	int64		most;

	if (array)
		deconstruct_array(array, INT8OID, sizeof(int64), true,
						  TYPALIGN_DOUBLE, &values, &nulls, &listed);
	most = array ? listed : serving->tower.n_users;
	*codes = palloc_extended(Max(most, 1) * sizeof(int32), MCXT_ALLOC_HUGE);
	*ids = palloc_extended(Max(most, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < most; i++)
	{
		int64		id = array ? (nulls[i] ? 0 : DatumGetInt64(values[i])) :
		serving->user_keys[i];
		int32		code = array ? (nulls[i] ? 0 :
									lbrec_user_code(serving, id)) :
		serving->user_codes[i];

		if (code == 0)
			continue;
		(*codes)[n] = code;
		(*ids)[n++] = id;
	}
	if (n < most)
		ereport(NOTICE,
				(errmsg("left out %lld users that model \"%s\" does not know",
						(long long) (most - n), serving->image->row.name),
				 errhint("Train again when they have listens.")));
	return n;
}

/*
 * lbrec_recommend_all(k, model, users, at)
 *
 * Tiles of users are ranked against tiles of candidates, on all threads; rows
 * go to the tuplestore batch by batch, so memory is bounded.
 */
Datum
lbrec_recommend_all(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec recommend all",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LbCandidates set = {0};
	const ServingModel *serving;
	LbThreads  *pool = lbrec_start_threads(context);
	int32		k = PG_ARGISNULL(0) ? 10 : PG_GETARG_INT32(0);
	int64		time = lbrec_time_argument(fcinfo, 3);
	int32	   *codes;
	int64	   *user_ids;
	int64		n_users;
	int64	   *times;
	float	   *queries;
	int64	   *found;
	int64	   *ids;
	float	   *scores;
	void	   *scratch;

	serving = lbrec_open_model(lbrec_model_argument(fcinfo, 1));
	lbrec_check_k(k, serving);
	n_users = chosen_users(serving, PG_ARGISNULL(2) ? NULL :
						   PG_GETARG_ARRAYTYPE_P(2), &codes, &user_ids);
	set.c = serving->candidates;
	set.n = serving->tower.n_recordings;
	set.D = serving->image->D;
	set.index = serving->index;
	scratch = lbrec_alloc_aligned(context,
								  lb_topk_batch_bytes(&set, USERS_AT_ONCE, k,
													  lb_threads_count(pool)),
								  "selection");
	queries = lbrec_alloc_aligned(context, (Size) USERS_AT_ONCE * set.D *
								  sizeof(float), "queries");
	times = palloc(USERS_AT_ONCE * sizeof(int64));
	found = palloc(USERS_AT_ONCE * sizeof(int64));
	ids = palloc_extended((Size) USERS_AT_ONCE * k * sizeof(int64),
						  MCXT_ALLOC_HUGE);
	scores = palloc_extended((Size) USERS_AT_ONCE * k * sizeof(float),
							 MCXT_ALLOC_HUGE);
	for (int i = 0; i < USERS_AT_ONCE; i++)
		times[i] = time;
	for (int64 from = 0; from < n_users; from += USERS_AT_ONCE)
	{
		int			m = (int) Min(n_users - from, USERS_AT_ONCE);
		LbStatus	status;

		lbrec_query_vectors(queries, &serving->tower, codes + from, times, m,
							pool, context);
		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_topk_batch(found, ids, scores, queries, m, &set, k,
								   scratch, pool, lbrec_cancel_flag());
		} while (status == LB_CANCELLED);
		lbrec_check_status(status, "a score");
		for (int u = 0; u < m; u++)
		{
			Boosts		boosts = lbrec_boosts_of(&serving->tower,
												 codes[from + u]);

			found[u] = lbrec_apply_boosts(ids + (Size) u * k,
										  scores + (Size) u * k, found[u], k,
										  &boosts, queries + (Size) u * set.D,
										  set.c, set.D, NULL);
			for (int64 i = 0; i < found[u]; i++)
			{
				int64		at = (int64) u * k + i;
				Datum		values[4];
				bool		nulls[4] = {false, false, false, false};

				values[0] = Int64GetDatum(user_ids[from + u]);
				values[1] = Int32GetDatum((int32) (i + 1));
				values[2] = UUIDPGetDatum(&serving->recording_keys[ids[at]]);
				values[3] = Float4GetDatum(scores[at]);
				lbrec_put_row(&sink, values, nulls);
			}
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}
