/*
 * next.c
 *		lbrec_next(): what to play after what was played.
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
#include "pg/sql/wishes.h"

PG_FUNCTION_INFO_V1(lbrec_next);

static const WishPlaces wish_places = {
	.exclude_listened = NEXT_EXCLUDE_LISTENED,
	.exclude = NO_ARGUMENT,
	.candidates = NEXT_CANDIDATES,
	.filter = NEXT_FILTER,
	.min_listens = NEXT_MIN_LISTENS,
	.max_listens = NEXT_MAX_LISTENS,
	.per_artist = NEXT_PER_ARTIST,
	.artist_column = NEXT_ARTIST_COLUMN,
	.diversity = NEXT_DIVERSITY
};

/*
 * The plays of a moment, oldest first: the user's listens up to the time, then
 * those in recent, which were played just now.  A recent play that stands at
 * the end of the listens already counts once.
 */
static LbPlay *
gather_plays(int64 *n, const ServingModel *serving, const ListenList *listens,
			 const RecordingList *recent, int64 time)
{
	LbPlay	   *plays = palloc_extended((listens->n + recent->n + 1) *
										sizeof(LbPlay), MCXT_ALLOC_HUGE);
	int64		used = 0;
	int64		same = 0;

	while (same < listens->n && same < recent->n &&
		   time - listens->times[same] < LB_FOLLOW_GAP &&
		   memcmp(&listens->keys[same], &recent->keys[recent->n - 1 - same],
				  UUID_LEN) == 0)
		same++;
	for (int64 i = listens->n - 1; i >= same; i--)
	{
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		plays[used++] = (LbPlay)
		{
			lbrec_candidate_of(serving, &listens->keys[i]) + 1,
				listens->times[i]
		};
	}
	/* a microsecond apart, so that their order counts */
	for (int64 i = 0; i < recent->n; i++)
		plays[used++] = (LbPlay)
	{
		lbrec_candidate_of(serving, &recent->keys[i]) + 1,
			time - (recent->n - 1 - i)
	};
	*n = used;
	return plays;
}

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
	Moment		moment = lbrec_moment(fcinfo, NEXT_AT, NEXT_LISTENS,
									  NO_ARGUMENT);
	ListenPeriod until = {NULL, &moment.time};
	bool		has_user = !PG_ARGISNULL(NEXT_USER_ID);
	int64		user_id = has_user ? PG_GETARG_INT64(NEXT_USER_ID) : 0;
	RecordingList recent = {0};
	ListenList	listens = {0};
	NextListener next;
	Listener	nobody;
	int32		user;
	Wanted		wanted = {.rank = lbrec_next_best, .whom = &next};
	LbPlay	   *plays;
	int64		n;
	RankedList	list;

	if (PG_ARGISNULL(NEXT_RECENT) && !has_user)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("recent and user_id are both null"),
				 errdetail("What comes next follows from what was played, by a user or in an anonymous session."),
				 errhint("Give recent => ARRAY[…], the latest play last, or a user_id whose listens are in the argument listens.")));
	if (!PG_ARGISNULL(NEXT_RECENT))
		recent = lbrec_array_recordings(PG_GETARG_ARRAYTYPE_P(NEXT_RECENT),
										"recent");
	if (has_user && lbrec_has_listens(&moment))
		listens = lbrec_user_listens(moment.listens, user_id, until);
	wanted.k = PG_ARGISNULL(NEXT_K) ? 10 : PG_GETARG_INT32(NEXT_K);
	lbrec_read_conditions(&conditions, fcinfo, &wish_places, moment.listens,
						  has_user ? &user_id : NULL);

	serving = lbrec_open_argument(fcinfo, NEXT_MODEL,
								  NEXT_VERSION);
	wanted.k = lbrec_bounded_k((int32) wanted.k, serving->tower.n_recordings);
	lbrec_read_wishes(&wanted, fcinfo, &wish_places, serving);
	wanted.allowed = lbrec_filter_candidates(serving, &conditions);
	plays = gather_plays(&n, serving, &listens, &recent, moment.time);
	user = has_user ? lbrec_user_code(serving, user_id) : 0;
	lbrec_find_next(&next, serving, user, plays, n, moment.time);
	if (user == 0 && next.moment.n == 0)
	{
		/* nothing is known of the user: popular recordings */
		lbrec_popular_listener(&nobody, serving, &moment);
		wanted.rank = NULL;
	}
	list = lbrec_select(serving, &nobody, &wanted);
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
