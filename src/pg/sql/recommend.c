/*
 * recommend.c
 *		lbrec_recommend(): returns the best recordings for a user, exactly.
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
#include "pg/sql/wishes.h"
#include "pg/sql/calls.h"

PG_FUNCTION_INFO_V1(lbrec_recommend);

static const WishPlaces wish_places = {
	.exclude_listened = RECOMMEND_EXCLUDE_LISTENED,
	.exclude = RECOMMEND_EXCLUDE,
	.candidates = RECOMMEND_CANDIDATES,
	.filter = RECOMMEND_FILTER,
	.min_listens = RECOMMEND_MIN_LISTENS,
	.max_listens = RECOMMEND_MAX_LISTENS,
	.per_artist = RECOMMEND_PER_ARTIST,
	.artist_column = RECOMMEND_ARTIST_COLUMN,
	.diversity = RECOMMEND_DIVERSITY
};

/*
 * lbrec_recommend(user_id, k, model, at, exclude_listened, listens,
 * candidates, filter, min_listens, max_listens, per_artist, artist_column,
 * diversity, version, fresh, exclude)
 */
Datum
lbrec_recommend(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, RECOMMEND_ARGS, 4);
	Conditions	conditions = {0};
	const ServingModel *serving;
	Moment		moment = lbrec_moment(fcinfo, RECOMMEND_AT, RECOMMEND_LISTENS,
									  RECOMMEND_FRESH);
	int64		user_id;
	Wanted		wanted = {0};
	Listener	listener;
	RankedList	list;

	/* returns NULL for NULL, as a strict function does */
	if (PG_ARGISNULL(RECOMMEND_USER_ID))
		return (Datum) 0;
	user_id = PG_GETARG_INT64(RECOMMEND_USER_ID);
	wanted.k = PG_ARGISNULL(RECOMMEND_K) ? 10 : PG_GETARG_INT32(RECOMMEND_K);
	if (!PG_ARGISNULL(RECOMMEND_EXCLUDE_LISTENED) &&
		PG_GETARG_BOOL(RECOMMEND_EXCLUDE_LISTENED))
		lbrec_read_for_exclusion(&moment);
	lbrec_read_conditions(&conditions, fcinfo, &wish_places, moment.listens,
						  &user_id);
	serving = lbrec_open_argument(fcinfo, RECOMMEND_MODEL, RECOMMEND_VERSION);
	wanted.k = lbrec_bounded_k((int32) wanted.k, serving->tower.n_recordings);
	lbrec_read_wishes(&wanted, fcinfo, &wish_places, serving);
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
		values[3] = CStringGetTextDatum(lbrec_basis_name(lbrec_row_basis(serving,
																		 listener.basis,
																		 list.ids[i])));
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
