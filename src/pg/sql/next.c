/*
 * next.c
 *		lbrec_next(): recommends what to play next.
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
#include "pg/serve/next.h"
#include "pg/serve/queries.h"
#include "pg/serve/select.h"
#include "pg/serve/user_listens.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"
#include "pg/sql/question.h"
#include "pg/sql/wishes.h"

PG_FUNCTION_INFO_V1(lbrec_next);

static const WishPlaces wish_places = {
	.exclude_listened = NEXT_EXCLUDE_LISTENED,
	.exclude = NEXT_EXCLUDE,
	.candidates = NEXT_CANDIDATES,
	.filter = NEXT_FILTER,
	.min_listens = NEXT_MIN_LISTENS,
	.max_listens = NEXT_MAX_LISTENS,
	.per_artist = NEXT_PER_ARTIST,
	.artist_column = NEXT_ARTIST_COLUMN,
	.diversity = NEXT_DIVERSITY
};

static const QuestionPlaces question_places = {
	NEXT_RECENT, NEXT_USER_ID, NEXT_LISTENS, NEXT_AT
};

/*
 * lbrec_next(k, recent, user_id, listens, model, at, exclude_listened,
 * candidates, filter, min_listens, max_listens, per_artist, artist_column,
 * diversity)
 */
Datum
lbrec_next(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, NEXT_ARGS, 3);
	Conditions	conditions = {0};
	const ServingModel *serving;
	Question	question = lbrec_read_question(fcinfo, &question_places);
	NextListener next;
	Listener	unknown;
	Wanted		wanted = {.rank = lbrec_next_best, .whom = &next};
	RankedList	list;

	wanted.k = PG_ARGISNULL(NEXT_K) ? 10 : PG_GETARG_INT32(NEXT_K);
	lbrec_read_conditions(&conditions, fcinfo, &wish_places,
						  question.moment.listens,
						  question.has_user ? &question.user_id : NULL);

	serving = lbrec_open_argument(fcinfo, NEXT_MODEL,
								  NEXT_VERSION);
	wanted.k = lbrec_bounded_k((int32) wanted.k, serving->tower.n_recordings);
	lbrec_read_wishes(&wanted, fcinfo, &wish_places, serving);
	wanted.allowed = lbrec_filter_candidates(serving, &conditions);
	if (!lbrec_find_asked(&next, serving, &question))
	{
		/* the user has no known plays: popular recordings */
		lbrec_popular_listener(&unknown, serving, &question.moment);
		wanted.rank = NULL;
	}
	list = lbrec_select(serving, &unknown, &wanted);
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
