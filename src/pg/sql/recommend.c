/*
 * recommend.c
 *		lbrec_recommend(): the best recordings for a user, exactly.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/serve/arguments.h"
#include "pg/serve/filter.h"
#include "pg/serve/listener.h"
#include "pg/serve/queries.h"
#include "pg/serve/select.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"

PG_FUNCTION_INFO_V1(lbrec_recommend);

/* per_artist, artist_column and diversity */
static void
read_wishes(Wanted *wanted, FunctionCallInfo fcinfo,
			const ServingModel *serving)
{
	if (!PG_ARGISNULL(RECOMMEND_DIVERSITY))
	{
		wanted->diversity = PG_GETARG_FLOAT8(RECOMMEND_DIVERSITY);
		if (!(wanted->diversity >= 0 && wanted->diversity <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("diversity is %g, outside of its range",
							wanted->diversity),
					 errdetail("It is from 0, best scores only, to 1, most different only."),
					 errhint("Try 0.3.")));
	}
	if (!PG_ARGISNULL(RECOMMEND_PER_ARTIST))
	{
		char	   *column = PG_ARGISNULL(RECOMMEND_ARTIST_COLUMN) ? "artist_name" :
		text_to_cstring(PG_GETARG_TEXT_PP(RECOMMEND_ARTIST_COLUMN));

		wanted->per_group = PG_GETARG_INT32(RECOMMEND_PER_ARTIST);
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
	RowSink		sink = lbrec_begin_rows(fcinfo, RECOMMEND_ARGS, RECOMMEND_ARGS,
										4);
	Conditions	conditions = {0};
	const ServingModel *serving;
	Moment		moment = lbrec_moment(fcinfo, RECOMMEND_AT, RECOMMEND_LISTENS);
	int64		user_id;
	Wanted		wanted = {0};
	Listener	listener;
	RankedList	list;

	/* as a strict function */
	if (PG_ARGISNULL(RECOMMEND_USER_ID))
		return (Datum) 0;
	user_id = PG_GETARG_INT64(RECOMMEND_USER_ID);
	wanted.k = PG_ARGISNULL(RECOMMEND_K) ? 10 : PG_GETARG_INT32(RECOMMEND_K);
	if (!PG_ARGISNULL(RECOMMEND_EXCLUDE_LISTENED) &&
		PG_GETARG_BOOL(RECOMMEND_EXCLUDE_LISTENED))
		conditions.listened = lbrec_listened_recordings(moment.listens,
														user_id);
	if (!PG_ARGISNULL(RECOMMEND_CANDIDATES))
		conditions.candidates =
			lbrec_array_recordings(PG_GETARG_ARRAYTYPE_P(RECOMMEND_CANDIDATES),
								   "candidates");
	if (!PG_ARGISNULL(RECOMMEND_FILTER))
		conditions.filter =
			lbrec_query_recordings(text_to_cstring(PG_GETARG_TEXT_PP(RECOMMEND_FILTER)),
								   "filter");
	conditions.bounded = !PG_ARGISNULL(RECOMMEND_MIN_LISTENS) ||
		!PG_ARGISNULL(RECOMMEND_MAX_LISTENS);
	conditions.least = PG_ARGISNULL(RECOMMEND_MIN_LISTENS) ? 0 :
		PG_GETARG_INT64(RECOMMEND_MIN_LISTENS);
	conditions.most = PG_ARGISNULL(RECOMMEND_MAX_LISTENS) ? PG_INT64_MAX :
		PG_GETARG_INT64(RECOMMEND_MAX_LISTENS);

	serving = lbrec_open_model(lbrec_model_argument(fcinfo, RECOMMEND_MODEL));
	wanted.k = lbrec_bounded_k((int32) wanted.k, serving->tower.n_recordings);
	read_wishes(&wanted, fcinfo, serving);
	lbrec_find_listener(&listener, serving, user_id, &moment);
	wanted.allowed = lbrec_filter_candidates(serving, &conditions);
	list = lbrec_select(serving, &listener, &wanted);
	for (int64 i = 0; i < list.n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = UUIDPGetDatum(&serving->tower.recording_keys[list.ids[i]]);
		values[2] = Float4GetDatum(list.scores[i]);
		values[3] = CStringGetTextDatum(lbrec_basis_name(listener.basis));
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
