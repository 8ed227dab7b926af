/*
 * listener.c
 *		The user of a call: known to the model, known by listens, or unknown.
 *
 * Listens are read during the call, as the transaction sees them, from the
 * table or query that the caller names, with the caller's rights; never from
 * the model's training query, which another role wrote.
 *
 * For a user whose recordings the model has, only listens after the user's
 * last one in the training are read, and merged; the model's weights do not
 * change.  For a time before that last listen the model's lists are of no use:
 * they are made anew from the listens up to that time.
 *
 * A stranger is a user without recordings in the model.  If almost no user of
 * the model has two recordings, everybody is a stranger, and nothing is read.
 * A model with a history input uses a stranger's listens as it uses a known
 * user's.  For other models a query vector is fitted to them, with fixed
 * candidates (src/core/model/lb_foldin.c).  A user without listens gets
 * popular recordings (popularity.c).
 */
#include "pg/serve/listener.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/lb_math.h"
#include "core/model/lb_foldin.h"
#include "core/scan/lb_scan.h"

#include "pg/image/image.h"
#include "pg/listens/default.h"
#include "pg/model/score.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/played.h"
#include "pg/serve/popularity.h"
#include "pg/serve/user_listens.h"
#include "pg/server/kernels.h"
#include "pg/server/time.h"

/*
 * Number of trained users for the prior, and of sampled candidates for the
 * fit.
 */
#define PRIOR_USERS 256
#define NEGATIVES 512

/* Limit of distinct recordings that a vector is fitted to, the latest. */
#define MAX_POSITIVES 200

static const char *const basis_names[] = {
	[BASIS_MODEL] = "model",
	[BASIS_FRESH] = "fresh",
	[BASIS_LISTENS] = "listens",
	[BASIS_POPULAR] = "popular",
	[BASIS_FEATURES] = "features",
};

/*
 * True if the model knows the taste of the user with this code.  A user all of
 * whose recordings were left out (min_listens) has a code but an untrained
 * embedding, and some models know nobody's taste.
 */
bool
lbrec_is_warm(const ServingModel *serving, int32 user)
{
	const int64 *offsets = serving->tower.counted.history_offsets;

	return serving->knows_tastes && user != 0 &&
		offsets[user] < offsets[user + 1];
}

/* Returns the code of a user whose taste the model knows; 0: a stranger. */
int32
lbrec_warm_user(const ServingModel *serving, int64 user_id)
{
	int32		user = lbrec_user_code(serving, user_id);

	return lbrec_is_warm(serving, user) ? user : 0;
}

const char *
lbrec_basis_name(Basis basis)
{
	return basis_names[basis];
}

/* The basis of a row: a recording that nobody has played has its features. */
Basis
lbrec_row_basis(const ServingModel *serving, Basis basis, int64 candidate)
{
	return basis != BASIS_POPULAR && serving->image->config.id_dropout > 0 &&
		serving->tower.recording_listens[candidate] == 0 ?
		BASIS_FEATURES : basis;
}

/*
 * True if there are listens to read.  If the default table is missing, of
 * another kind or forbidden to the caller, there are none.  For a table or
 * query that the caller names, that is an error.
 */
bool
lbrec_has_listens(const Moment *moment)
{
	return moment->named || lbrec_default_is_readable();
}

/* Sets the listener's recordings. */
static void
set_played(Listener *listener, const ServingModel *serving,
		   const Played *played)
{
	Scorer	   *s = &listener->scorer;

	s->model = &serving->tower;
	s->n_own = played->n;
	s->codes = played->codes;
	s->plays = played->plays;
	s->recency = played->recency;
	listener->history = lbrec_history(&serving->tower, played->codes,
									  played->n);
}

/* Makes a listener whose scores come from the towers. */
static void
begin_listener(Listener *listener, const ServingModel *serving, int32 user,
			   Basis basis)
{
	memset(listener, 0, sizeof(Listener));
	listener->basis = basis;
	listener->user = user;
	listener->D = serving->image->D;
	listener->vectors = serving->tower.candidates;
	listener->index = serving->index;
	listener->scorer.model = &serving->tower;
}

/* computes mean and deviation (D) of vectors (n, D) */
static void
describe(float *mean, float *deviation, const float *vectors, int n, int D)
{
	double		all = 0;

	for (int d = 0; d < D; d++)
	{
		double		sum = 0;
		double		squares = 0;

		for (int i = 0; i < n; i++)
		{
			double		x = vectors[(Size) i * D + d];

			sum += x;
			squares += x * x;
		}
		mean[d] = (float) (sum / n);
		deviation[d] = (float) sqrt(Max(squares / n - (sum / n) * (sum / n), 0));
		all += deviation[d];
	}
	/* if all users agree, a new one may still differ a little */
	for (int d = 0; d < D; d++)
		deviation[d] = Max(deviation[d], (float) (0.01 * all / D + 1e-6));
}

static void
unit_groups(float *q, int D, int groups)
{
	int			width = D / groups;

	for (int g = 0; g < groups; g++)
	{
		double		sum = 0;

		for (int d = g * width; d < (g + 1) * width; d++)
			sum += (double) q[d] * q[d];
		for (int d = g * width; sum > 0 && d < (g + 1) * width; d++)
			q[d] = (float) (q[d] / sqrt(sum));
	}
}

/* Fits a query vector to the played recordings. */
static void
fit(float *query, const ServingModel *serving, const Played *played,
	int64 time)
{
	const ImageHeader *image = serving->image;
	int			D = image->D;
	int			n_users = (int) Min(serving->tower.n_users, PRIOR_USERS);
	int			n_negatives = (int) Min(serving->tower.n_recordings, NEGATIVES);
	float	   *vectors = lbrec_alloc_aligned(CurrentMemoryContext,
											  (Size) n_users * D * sizeof(float),
											  "vectors of other users");
	float	   *mean = palloc(D * sizeof(float));
	float	   *deviation = palloc(D * sizeof(float));
	float	   *bias = palloc(n_negatives * sizeof(float));
	int32	   *positives = palloc(played->n * sizeof(int32));
	int32	   *negatives = palloc(n_negatives * sizeof(int32));
	int32	   *users = palloc(n_users * sizeof(int32));
	int64	   *times = palloc(n_users * sizeof(int64));
	LbFoldIn	f = {.c = serving->tower.candidates, .D = D};
	LbStatus	status;
	void	   *scratch;

	/*
	 * codes do not depend on users' tastes, so a fixed stride samples fairly
	 */
	for (int i = 0; i < n_users; i++)
	{
		users[i] = (int32) (1 + i * serving->tower.n_users / n_users);
		times[i] = time;
	}
	lbrec_query_vectors(vectors, &serving->tower, users, times, n_users, NULL,
						CurrentMemoryContext);
	describe(mean, deviation, vectors, n_users, D);
	for (int i = 0; i < played->n; i++)
		positives[i] = lbrec_candidate_with(played->codes[i]);

	/*
	 * A model trained without logQ correction saw negatives in proportion to
	 * their popularity, so the fit draws them likewise.
	 */
	for (int i = 0; i < n_negatives; i++)
	{
		negatives[i] = (int32) (i * serving->tower.n_recordings / n_negatives);
		bias[i] = image->config.logq ? 0 :
			(float) lb_log(Max(serving->tower.recording_listens[negatives[i]], 1));
	}
	f.positives = positives;
	f.n_positives = Min(played->n, MAX_POSITIVES);
	f.negatives = negatives;
	f.bias = bias;
	f.n_negatives = n_negatives;
	f.mean = mean;
	f.deviation = deviation;
	f.scale = (float) (1 / (image->config.temperature * image->config.ensemble));
	scratch = lbrec_alloc_aligned(CurrentMemoryContext, lb_fold_in_bytes(&f),
								  "new user");
	LBREC_RUN((status = lb_fold_in(query, &f, scratch,
								   lbrec_cancel_flag())) == LB_CANCELLED);
	lbrec_check_status(status, "a new user's vector");
	if (image->config.normalize)
		unit_groups(query, D, image->config.ensemble);
}

/* Latest time that a right clock can show now, in any time zone. */
static int64
end_of_today(void)
{
	return lbrec_unix_time(GetCurrentTimestamp()) + USECS_PER_DAY;
}

/*
 * Reads the arguments at, listens and fresh, which may be NO_ARGUMENT, and
 * finds the default for listens.
 */
Moment
lbrec_moment(FunctionCallInfo fcinfo, int at, int listens, int fresh)
{
	Moment		o;

	o.time = lbrec_time_argument(fcinfo, at);
	/* infinity is after all listens, as if no time were given */
	o.dated = !PG_ARGISNULL(at) && o.time < LBREC_LAST_TIME;
	o.named = !PG_ARGISNULL(listens);
	o.listens = o.named ? text_to_cstring(PG_GETARG_TEXT_PP(listens)) :
		lbrec_default_listens();
	o.fresh = fresh == NO_ARGUMENT || PG_ARGISNULL(fresh) ||
		PG_GETARG_BOOL(fresh);
	return o;
}

/*
 * Lets exclude_listened name a query of recordings without times: none of its
 * listens counts as later than the training.
 */
void
lbrec_read_for_exclusion(Moment *moment)
{
	if (moment->fresh && moment->named)
		moment->fresh = lbrec_listens_have_times(moment->listens);
}

/*
 * True if a known user's listens can be read.  needed: raise an error if not.
 */
static bool
can_read(const Moment *moment, bool needed)
{
	if (moment->named ||
		(lbrec_default_is_readable() &&
		 lbrec_default_is_cheap(moment->listens)))
		return true;
	if (needed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there are no listens to read"),
				 errdetail("at is before a user's last listen in the training; what the user had played until then is read from listens."),
				 errhint("Give the table or query of listens as the argument listens, or fresh => false for the answer as of the training.")));
	return false;
}

/*
 * Merges the model's recordings of a user with later listens or, for a time in
 * the past, takes the listens up to it.  False if there are none.
 */
static bool
catch_up(Listener *listener, const ServingModel *serving, int64 user_id,
		 const Moment *moment)
{
	const TwoTower *model = &serving->tower;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext working;
	Played		stored = lbrec_stored_plays(model, listener->user);
	Played		played;
	int64		last = model->counted.history_last[listener->user];
	bool		past = moment->dated && moment->time < last;
	int64		until = moment->dated ? moment->time : end_of_today();
	ListenPeriod period = {past ? NULL : &last, &until};
	ListenList	list = {0};
	LbPlay	   *plays;
	int64		n;
	bool		ages;

	working = AllocSetContextCreate(caller, "lbrec later listens",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(working);
	if (can_read(moment, past))
		list = lbrec_user_listens(moment->listens, user_id, period);
	plays = lbrec_known_plays(&n, serving, &list);
	MemoryContextSwitchTo(caller);
	ages = moment->dated && stored.recency != NULL && moment->time > last;
	if (past || n > 0 || ages)
	{
		played = lbrec_gather_plays(serving, plays, n, past ? NULL : &stored,
									last, moment->dated ? moment->time :
									plays[0].time);
		set_played(listener, serving, &played);
	}
	if (past)
		listener->basis = BASIS_LISTENS;
	else if (n > 0)
		listener->basis = BASIS_FRESH;
	MemoryContextDelete(working);
	return !past || listener->scorer.n_own > 0;
}

/*
 * Makes the listener of a known user, except for the query.  False if the user
 * had played nothing before the time.
 */
bool
lbrec_know(Listener *listener, const ServingModel *serving, int32 user,
		   int64 user_id, const Moment *moment)
{
	const TwoTower *model = &serving->tower;
	Played		stored = lbrec_stored_plays(model, user);

	begin_listener(listener, serving, user, BASIS_MODEL);
	listener->scorer = lbrec_scorer(model, user);
	listener->history = lbrec_history(model, stored.codes, stored.n);
	/* other models do not use a user's plays */
	if (!moment->fresh || !(model->mixed || lbrec_has_history(model)))
		return true;
	return catch_up(listener, serving, user_id, moment);
}

/*
 * Makes the listener of a user unknown to the model from the user's listens.
 * False if the model knows none of their recordings, or learned nothing about
 * tastes.
 */
bool
lbrec_fold_in(Listener *listener, const ServingModel *serving, int64 user_id,
			  const Moment *moment)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext working;
	ListenPeriod period = {NULL, moment->dated ? &moment->time : NULL};
	ListenList	list;
	LbPlay	   *plays;
	int64		n;
	Played		played;
	float	   *query;

	if (!serving->knows_tastes || !lbrec_has_listens(moment))
		return false;
	working = AllocSetContextCreate(caller, "lbrec new user",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(working);
	list = lbrec_user_listens(moment->listens, user_id, period);
	plays = lbrec_known_plays(&n, serving, &list);
	if (n > 0)
	{
		MemoryContextSwitchTo(caller);
		played = lbrec_gather_plays(serving, plays, n, NULL, 0,
									moment->dated ? moment->time :
									plays[0].time);
		begin_listener(listener, serving, 0, BASIS_LISTENS);
		set_played(listener, serving, &played);
		listener->query = query = lbrec_alloc_aligned(caller, listener->D *
													  sizeof(float), "query");
		MemoryContextSwitchTo(working);
		if (lbrec_has_history(&serving->tower))
			lbrec_query_vector_after(query, &serving->tower, listener->user,
									 moment->time, &listener->history,
									 working);
		else
			fit(query, serving, &played, moment->time);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(working);
	return n > 0;
}

/* Makes the listener of a user without listens. */
void
lbrec_popular_listener(Listener *listener, const ServingModel *serving,
					   const Moment *moment)
{
	static const float one = 1;

	memset(listener, 0, sizeof(Listener));
	listener->basis = BASIS_POPULAR;
	listener->D = 1;
	listener->query = &one;
	listener->vectors = lbrec_popularity(serving, moment->time);
}

/* Finds which kind of listener user_id is to this model, and makes it. */
void
lbrec_find_listener(Listener *listener, const ServingModel *serving, int64 user_id,
					const Moment *moment)
{
	int32		user = lbrec_warm_user(serving, user_id);
	float	   *query;

	if (user == 0 ? !lbrec_fold_in(listener, serving, user_id, moment) :
		!lbrec_know(listener, serving, user, user_id, moment))
		lbrec_popular_listener(listener, serving, moment);
	else if (user != 0)
	{
		listener->query = query =
			lbrec_alloc_aligned(CurrentMemoryContext,
								listener->D * sizeof(float), "query");
		lbrec_query_vector_after(query, &serving->tower, user, moment->time,
								 &listener->history, CurrentMemoryContext);
	}
	lbrec_find_related(&listener->scorer);
}

float
lbrec_listener_score(const Listener *listener, int64 candidate)
{
	return lbrec_full_score(&listener->scorer, candidate,
							lb_score(listener->query,
									 listener->vectors + candidate * listener->D,
									 listener->D));
}
