/*
 * listener.c
 *		The user of a call: known to the model, known by listens, or unknown.
 *
 * A stranger is a user without recordings in the model.
 * A stranger's listens are read now, as the transaction sees them, through the
 * table or query that the caller names and with the caller's rights; never
 * through the query that the model was trained on, which another role wrote.
 *
 * A model with a history input takes them as it takes a known user's, so the
 * answer is the one that it would give after training on those that enter the
 * history.  For other models the query vector is fitted with the candidates
 * frozen (src/core/model/lb_foldin.c).  A user without listens gets what is
 * popular (popularity.c).
 */
#include "pg/serve/listener.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/lb_math.h"
#include "core/model/lb_foldin.h"

#include "pg/image/image.h"
#include "pg/listens/default.h"
#include "pg/model/score.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/popularity.h"
#include "pg/serve/queries.h"
#include "pg/server/kernels.h"

/* Trained users that make the prior, and candidates sampled for the fit. */
#define PRIOR_USERS 256
#define NEGATIVES 512

/* Distinct recordings that a vector is fitted to, the latest. */
#define MAX_POSITIVES 200

static const char *const basis_names[] = {
	[BASIS_MODEL] = "model",
	[BASIS_LISTENS] = "listens",
	[BASIS_POPULAR] = "popular",
};

/*
 * True if the model has recordings of the user with this code.  A user all of
 * whose recordings were left out (min_listens) has a code, but an embedding
 * that was never trained.
 */
bool
lbrec_is_warm(const ServingModel *serving, int32 user)
{
	const int64 *offsets = serving->tower.counted.history_offsets;

	return user != 0 && offsets[user] < offsets[user + 1];
}

/* The code of a user whose recordings the model has; 0: a stranger. */
int32
lbrec_warm_user(const ServingModel *serving, int64 user_id)
{
	int32		user = lbrec_user_code(serving, user_id);

	return lbrec_is_warm(serving, user) ? user : 0;
}

/* The query vector (D) of a user at a time. */
float *
lbrec_user_vector(const ServingModel *serving, int32 user, int64 time)
{
	float	   *query = lbrec_alloc_aligned(CurrentMemoryContext,
											serving->image->D * sizeof(float),
											"query");

	lbrec_query_vectors(query, &serving->tower, &user, &time, 1, NULL,
						CurrentMemoryContext);
	return query;
}

const char *
lbrec_basis_name(Basis basis)
{
	return basis_names[basis];
}

/*
 * True if there are listens to read.  The default table may be missing, of
 * another kind or out of the caller's reach: then there are none.  The same of
 * a table or query that the caller names is an error.
 */
bool
lbrec_has_listens(const Moment *moment)
{
	return moment->named || lbrec_default_is_readable();
}

/*
 * Recordings considered for an unknown user, unless the history input takes
 * more.
 */
#define STRANGER_LENGTH 100

/* A user's recordings, distinct, latest first. */
typedef struct Played
{
	int			n;
	int32	   *codes;			/* candidates plus one */
	float	   *plays;
	float	   *recency;		/* log of what they count, at the last listen */
} Played;

static void
collect(Played *played, const ServingModel *serving, const ListenList *list)
{
	const ImageHeader *image = serving->image;
	int			most = Max(image->config.history_length, STRANGER_LENGTH);

	most = Max(most, MAX_POSITIVES);
	played->n = 0;
	played->codes = palloc(most * sizeof(int32));
	played->plays = palloc0(most * sizeof(float));
	played->recency = palloc0(most * sizeof(float));
	for (int64 i = 0; i < list->n; i++)
	{
		int32		code =
			lbrec_code_of(lbrec_candidate_of(serving, &list->keys[i]));
		int			at = 0;

		if (code == 0)
			continue;
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		while (at < played->n && played->codes[at] != code)
			at++;
		if (at == most)
			continue;
		if (at == played->n)
			played->codes[played->n++] = code;
		played->plays[at]++;
		played->recency[at] +=
			lb_mix_decay((double) (list->times[0] - list->times[i]) /
						 USECS_PER_DAY, image->config.repeat_power);
	}
	for (int i = 0; i < played->n; i++)
		played->recency[i] = (float) lb_log(played->recency[i]);
}

static void *
copy_array(const void *array, Size bytes, MemoryContext context)
{
	void	   *copy = MemoryContextAlloc(context, bytes);

	memcpy(copy, array, bytes);
	return copy;
}

/* The scorer, as of users that the model knows. */
static void
set_scorer(Listener *listener, const ServingModel *serving,
		   const Played *played, MemoryContext context)
{
	const ImageHeader *image = serving->image;
	int			n = Min(played->n, Max(image->config.history_length, STRANGER_LENGTH));
	Scorer	   *s = &listener->scorer;

	s->model = &serving->tower;
	s->n_own = n;
	s->codes = copy_array(played->codes, n * sizeof(int32), context);
	s->plays = copy_array(played->plays, n * sizeof(float), context);
	if (image->config.repeat_power > 0)
		s->recency = copy_array(played->recency, n * sizeof(float), context);
}

/* mean and deviation (D) over vectors (n, D) */
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
	/* where all users agree, a new one may still differ a little */
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

/* Fits a query vector to what was played. */
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

	/* codes are in the order in which users were met: any stride will do */
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
	 * Without logQ correction a model was trained against negatives in
	 * proportion to their popularity; it is asked in the same way.
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

/* The arguments at and listens; the default of listens is looked up. */
Moment
lbrec_moment(FunctionCallInfo fcinfo, int at, int listens)
{
	Moment		o;

	o.time = lbrec_time_argument(fcinfo, at);
	o.dated = !PG_ARGISNULL(at);
	o.named = !PG_ARGISNULL(listens);
	o.listens = o.named ? text_to_cstring(PG_GETARG_TEXT_PP(listens)) :
		lbrec_default_listens();
	return o;
}

/*
 * Makes the listener of a user unknown to the model from the user's listens.
 * False if they have no recording that the model knows.
 */
bool
lbrec_fold_in(Listener *listener, const ServingModel *serving, int64 user_id,
			  const Moment *moment)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext working;
	ListenList	list;
	Played		played;
	float	   *query;

	if (!lbrec_has_listens(moment))
		return false;
	working = AllocSetContextCreate(caller, "lbrec new user",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(working);
	list = lbrec_user_listens(moment->listens, user_id,
							  moment->dated ? &moment->time : NULL);
	collect(&played, serving, &list);
	if (played.n > 0)
	{
		listener->basis = BASIS_LISTENS;
		listener->user = 0;
		listener->D = serving->image->D;
		listener->vectors = serving->tower.candidates;
		listener->index = serving->index;
		listener->query = query = lbrec_alloc_aligned(caller, listener->D *
													  sizeof(float), "query");
		if (lbrec_has_history(&serving->tower))
		{
			LbSpan		history = lbrec_history(&serving->tower, played.codes,
												played.n);

			lbrec_query_vectors_from(query, &serving->tower, &listener->user,
									 &moment->time, &history, 1, NULL,
									 working);
		}
		else
			fit(query, serving, &played, moment->time);
		set_scorer(listener, serving, &played, caller);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(working);
	return played.n > 0;
}

/* The listener of a user without listens. */
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

/*
 * Finds the listener that user_id is to this model.  Listens are read only for
 * a user that it does not know.
 */
void
lbrec_find_listener(Listener *listener, const ServingModel *serving, int64 user_id,
					const Moment *moment)
{
	memset(listener, 0, sizeof(Listener));
	listener->user = lbrec_warm_user(serving, user_id);
	if (listener->user != 0)
	{
		listener->basis = BASIS_MODEL;
		listener->D = serving->image->D;
		listener->vectors = serving->tower.candidates;
		listener->index = serving->index;
		listener->query = lbrec_user_vector(serving, listener->user, moment->time);
		listener->scorer = lbrec_scorer(&serving->tower, listener->user);
	}
	else if (!lbrec_fold_in(listener, serving, user_id, moment))
		lbrec_popular_listener(listener, serving, moment);
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
