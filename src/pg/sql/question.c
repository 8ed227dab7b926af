/*
 * question.c
 *		The arguments that give the plays before lbrec_next() and
 *		lbrec_explain_next().
 */
#include "pg/sql/question.h"

#include "utils/array.h"

#include "pg/image/cache.h"
#include "pg/serve/arguments.h"
#include "pg/sql/wishes.h"

/*
 * Reads the arguments and the user's listens.  Call it before a model is
 * opened.
 */
Question
lbrec_read_question(FunctionCallInfo fcinfo, const QuestionPlaces *places)
{
	Question	q = {0};
	ListenPeriod until = {NULL, NULL};

	q.moment = lbrec_moment(fcinfo, places->at, places->listens,
							NO_ARGUMENT);
	until.until = &q.moment.time;
	q.has_user = !PG_ARGISNULL(places->user_id);
	if (q.has_user)
		q.user_id = PG_GETARG_INT64(places->user_id);
	if (PG_ARGISNULL(places->recent) && !q.has_user)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("recent and user_id are both null"),
				 errdetail("The next recording follows from the plays of a user or of an anonymous session."),
				 errhint("Give recent => ARRAY[…], the latest play last, or a user_id whose listens are in the argument listens.")));
	if (!PG_ARGISNULL(places->recent))
		q.recent =
			lbrec_array_recordings(PG_GETARG_ARRAYTYPE_P(places->recent),
								   "recent");
	if (q.has_user && lbrec_has_listens(&q.moment))
		q.listens = lbrec_user_listens(q.moment.listens, q.user_id, until);
	return q;
}

/*
 * Makes the plays before a moment, oldest first: the user's listens up to the
 * time, then recent, which were just played.  A recent play that the listens
 * already end with is not added again.
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
	/* spaced a microsecond apart, so that their order counts */
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
 * Makes the listener of the question.  False if the model knows neither the
 * user nor any of the plays, or no tastes at all.
 */
bool
lbrec_find_asked(NextListener *next, const ServingModel *serving,
				 const Question *q)
{
	int64		n;
	LbPlay	   *plays = gather_plays(&n, serving, &q->listens, &q->recent,
									 q->moment.time);
	int32		user = q->has_user ? lbrec_warm_user(serving, q->user_id) : 0;

	lbrec_find_next(next, serving, user, plays, n, q->moment.time);
	return serving->knows_tastes && (user != 0 || next->moment.n > 0);
}
