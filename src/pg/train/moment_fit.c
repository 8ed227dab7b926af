/*
 * moment_fit.c
 *		Fits the weights of the next recording's score on held-out listens.
 *
 * Each listen held out is an event: of all recordings, this one was played
 * next, after all that the user had played before.  Towers, neighbours and
 * transitions come from the other listens, so the fit does not see the answers
 * in advance.  Two conditional logits (core/score/lb_mix.c), of events in a
 * session and of others, give the weights of core/score/lb_moment.h.
 *
 * Events of new and of played recordings are sampled apart and weighted back,
 * as the former are few.  An event's choices are the likely recordings, and a
 * sample that represents the rest.
 *
 * The prior's means are the weights of other data sets, with the strength of
 * PRIOR_EVENTS; without held-out listens they are the result.
 */
#include "pg/train/moment_fit.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/lb_random.h"
#include "core/scan/lb_scan.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/spool.h"
#include "pg/model/count.h"
#include "pg/server/kernels.h"
#include "pg/server/search.h"
#include "pg/train/options.h"
#include "pg/train/split.h"
#include "pg/train/warm.h"

#define STREAM_MOMENT 1004

/* Events to fit on, of recordings new to the user and of others. */
#define NEW_EVENTS 800
#define PLAYED_EVENTS 1200

/*
 * An event's choices: the latest own recordings, and a sample of the others.
 */
#define OWN_CHOICES 200
#define SAMPLED_CHOICES 300

/* Strength of the prior and of the ridge, in events and per event. */
#define PRIOR_EVENTS 10
#define RIDGE 1e-4

/* Number of members that the prior's weight of taste is for. */
#define PRIOR_MEMBERS 4

StaticAssertDecl(LB_MOMENT_WEIGHTS <= LB_MAX_CHOICE_FEATURES,
				 "a moment has more weights than lb_mix_fit() takes");

/* The rows of one logit. */
typedef struct Choices
{
	int64		n_events;
	int64		n_rows;
	int64		room;
	int64	   *offsets;		/* (NEW_EVENTS + PLAYED_EVENTS + 1) */
	float	   *x;				/* (rows, LB_MOMENT_WEIGHTS) */
	float	   *log_count;
	float	   *chosen;
} Choices;

typedef struct Fitter
{
	const RunPlan *plan;
	const TwoTower *model;
	LbMomentModel rows;
	const float *candidates;	/* (n_recordings, D) */
	int			D;
	Listen	   *test;			/* by user and time */
	int64		n_test;
	LbRandom	rng;
	bool		counting;		/* only count the events */
	int64		n_events[2];	/* number of events with new recordings, with
								 * played ones */
	double		probability[2];
	MemoryContext context;		/* of the choices */
	MemoryContext event;		/* reset after each */
	int32	   *seen;			/* (n_recordings + 1) the last event with it */
	int32		n_seen;			/* number of events so far */
	Choices		choices[2];		/* outside and inside a session */
} Fitter;

static int
compare_listens(const void *a, const void *b)
{
	const Listen *x = a;
	const Listen *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->recording < y->recording ? -1 : x->recording > y->recording;
}

/* Returns the index of the first of a user's held-out listens. */
static int64
first_test(const Fitter *f, int32 user)
{
	int64		at;

	LBREC_SEARCH(at, 0, f->n_test, f->test[at].user < user);
	return at;
}

static void
reserve(Choices *c, int64 more, MemoryContext context)
{
	if (c->n_rows + more <= c->room)
		return;
	c->room = Max(c->n_rows + more, 2 * c->room);
#define GROW(array, cols) \
	(array) = (array) ? \
		repalloc_huge((array), c->room * (cols) * sizeof(float)) : \
		MemoryContextAllocHuge(context, c->room * (cols) * sizeof(float))
	GROW(c->x, LB_MOMENT_WEIGHTS);
	GROW(c->log_count, 1);
	GROW(c->chosen, 1);
#undef GROW
}

/*
 * Collects the codes that an event chose from, n_certain first; returns their
 * number.
 */
static int
list_choices(Fitter *f, int32 *codes, int *n_certain, const LbMoment *m,
			 int32 truth)
{
	int64		N = f->model->n_recordings;
	int			n = 0;
	int32		event = ++f->n_seen;

	codes[n++] = truth;
	f->seen[truth] = event;
	for (int64 i = 0; i < m->n; i++)
	{
		const LbMomentRow *row = &m->rows[i];

		if ((i < Min(m->n_own, OWN_CHOICES) || row->all[0] > 0 ||
			 row->own[0] > 0) && f->seen[row->code] != event)
		{
			f->seen[row->code] = event;
			codes[n++] = row->code;
		}
	}
	*n_certain = n;
	if (N - n <= SAMPLED_CHOICES)
	{
		for (int32 code = 1; code <= N; code++)
			if (f->seen[code] != event)
				codes[n++] = code;
		return n;
	}
	for (int i = 0; i < SAMPLED_CHOICES; i++)
	{
		int32		code = 1 + (int32) lb_random_below(&f->rng, N);

		if (f->seen[code] == event)
			continue;
		f->seen[code] = event;
		codes[n++] = code;
	}
	return n;
}

/* Computes the query vector (D) of a user with these own recordings. */
static void
find_query(Fitter *f, float *query, int32 user, int64 time, const LbMoment *m)
{
	int			n = (int) Min(m->n_own, f->model->history_length);
	int32	   *codes = palloc(Max(n, 1) * sizeof(int32));
	LbSpan		history;

	for (int i = 0; i < n; i++)
		codes[i] = m->rows[i].code;
	history = lbrec_history(f->model, codes, n);
	lbrec_query_vector_after(query, f->model, user, time,
							 lbrec_has_history(f->model) ? &history : NULL,
							 f->event);
}

/* Adds the choices of one event: plays (n), then truth was played at time. */
static void
add_event(Fitter *f, int32 user, const LbPlay *plays, int64 n, int32 truth,
		  int64 time, double weight)
{
	MemoryContext old = MemoryContextSwitchTo(f->event);
	LbMoment	own;
	LbMoment	m;
	int64		most;
	int32	   *codes;
	float	   *dots;
	float	   *query = lbrec_alloc_aligned(f->event, f->D * sizeof(float),
											"query");
	Choices    *c;
	int			n_codes;
	int			n_certain;
	double		rest;

	lb_moment_place(&own, n, palloc_extended(lb_moment_bytes(n),
											 MCXT_ALLOC_HUGE));
	lb_moment_gather_own(&own, plays, n, time);
	most = lb_moment_most(&own, &f->rows, plays, n);
	lb_moment_place(&m, most, palloc_extended(lb_moment_bytes(most),
											  MCXT_ALLOC_HUGE));
	lb_moment_gather(&m, &f->rows, plays, n, time);
	find_query(f, query, user, time, &m);
	codes = palloc((m.n + SAMPLED_CHOICES + 1) * sizeof(int32));
	n_codes = list_choices(f, codes, &n_certain, &m, truth);
	dots = palloc(n_codes * sizeof(float));
	for (int i = 0; i < n_codes; i++)
		codes[i]--;
	lb_score_rows(dots, query, f->candidates, f->D, codes, n_codes);
	c = &f->choices[m.in_session];
	reserve(c, n_codes, f->context);
	rest = log((double) (f->model->n_recordings - n_certain) /
			   Max(n_codes - n_certain, 1));
	for (int i = 0; i < n_codes; i++)
	{
		int64		place = lb_moment_find(&m, codes[i] + 1);

		lb_moment_features(c->x + c->n_rows * LB_MOMENT_WEIGHTS, &m,
						   place < 0 ? NULL : &m.rows[place], dots[i]);
		c->log_count[c->n_rows] = i < n_certain ? 0 : (float) rest;
		c->chosen[c->n_rows++] = i == 0 ? (float) weight : 0;
	}
	c->offsets[++c->n_events] = c->n_rows;
	MemoryContextSwitchTo(old);
	MemoryContextReset(f->event);
}

/*
 * Makes a user's plays before the held-out ones, from the training listens (n)
 * and from those that a continued model knows, each recording once.  Their
 * number is in n_plays.
 */
static LbPlay *
gather_plays(const Fitter *f, int32 user, const Listen *listens, int64 n,
			 int64 *n_plays)
{
	UserLists	older = {0};
	int64		n_older;
	int64	   *times;
	LbPlay	   *plays;
	int64		next = 0;
	int64		i = 0;

	if (f->plan->warm)
		older = lbrec_histories_of(lbrec_warm_model(f->plan->warm));
	n_older = user <= older.n_users ? lbrec_list_length(&older, user) : 0;
	times = palloc_extended(Max(n_older, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	plays = palloc_extended((n + n_older + 1) * sizeof(LbPlay),
							MCXT_ALLOC_HUGE);
	if (n_older > 0)
		n_older = lbrec_last_plays(times, &older, user);
	/* the older model's list has the latest first */
	while (i < n || n_older > 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (n_older == 0 || (i < n && listens[i].time < times[n_older - 1]))
		{
			plays[next++] = (LbPlay)
			{
				listens[i].recording, listens[i].time
			};
			i++;
		}
		else
		{
			n_older--;
			plays[next++] = (LbPlay)
			{
				older.codes[older.offsets[user] + n_older], times[n_older]
			};
		}
	}
	pfree(times);
	*n_plays = next;
	return plays;
}

/* Processes a user's training listens (n) together with the held-out ones. */
static void
visit_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Fitter	   *f = arg;
	int64		next = first_test(f, user);
	int64		done = 0;
	int64		n_plays = 0;
	int64		end = next;
	LbPlay	   *before;
	int64		n_before;
	LbPlay	   *plays;

	while (end < f->n_test && f->test[end].user == user)
		end++;
	if (end == next)
		return;
	before = gather_plays(f, user, listens, n, &n_before);
	plays = palloc_extended((n_before + end - next) * sizeof(LbPlay),
							MCXT_ALLOC_HUGE);
	for (; next < end; next++)
	{
		const Listen *l = &f->test[next];
		bool		played = false;
		double		p;

		CHECK_FOR_INTERRUPTS();
		while (done < n_before && before[done].time <= l->time)
			plays[n_plays++] = before[done++];
		for (int64 i = n_plays - 1; i >= 0 && !played; i--)
			played = plays[i].code == l->recording;
		if (l->recording > 0 && n_plays > 0)
		{
			p = f->probability[played];
			if (f->counting)
				f->n_events[played]++;
			else if (lb_random_below(&f->rng, 1 << 24) < p * (1 << 24) &&
					 f->choices[0].n_events + f->choices[1].n_events <
					 NEW_EVENTS + PLAYED_EVENTS)
				add_event(f, user, plays, n_plays, l->recording, l->time,
						  1 / p);
		}
		plays[n_plays++] = (LbPlay)
		{
			l->recording, l->time
		};
	}
	pfree(plays);
	pfree(before);
}

/* Fits one vector of weights, starting from the prior in b. */
static void
fit(double *b, const Choices *c)
{
	double		prior[LB_MOMENT_WEIGHTS];
	double		precision[LB_MOMENT_WEIGHTS];
	double		lower[LB_MOMENT_WEIGHTS];
	double		total = 0;
	LbChoices	choices = {LB_MOMENT_WEIGHTS, c->n_events, c->offsets, c->x,
		c->log_count, c->chosen, prior, precision, lower};
	LbStatus	status;

	if (c->n_events == 0)
		return;
	for (int64 r = 0; r < c->n_rows; r++)
		total += c->chosen[r];
	for (int f = 0; f < LB_MOMENT_WEIGHTS; f++)
	{
		double		sum = 0;
		double		squares = 0;
		double		variance;

		for (int64 r = 0; r < c->n_rows; r++)
		{
			double		x = c->x[r * LB_MOMENT_WEIGHTS + f];

			if (r % 65536 == 0)
				CHECK_FOR_INTERRUPTS();
			sum += x;
			squares += x * x;
		}
		variance = squares / c->n_rows - sum / c->n_rows * (sum / c->n_rows);
		prior[f] = b[f];
		/* a part without values stays at the prior */
		precision[f] = (RIDGE * total + PRIOR_EVENTS) * Max(variance, 1e-6);
		lower[f] = lb_moment_least(f);
	}
	LBREC_RUN((status = lb_mix_fit(b, &choices, lbrec_cancel_flag())) ==
			  LB_CANCELLED);
	lbrec_check_status(status, "a score");
}

/*
 * Converts weights fitted with one number of members for another: dot products
 * add up over the members.
 */
LbMomentWeights
lbrec_moment_of_members(const LbMomentWeights *fitted, int from, int to)
{
	LbMomentWeights w = *fitted;

	for (int i = 0; i < 2; i++)
		for (int f = 0; f < LB_MOMENT_WEIGHTS; f++)
			if (lb_moment_part_of(f) == LB_MOMENT_TASTE)
				w.of[i][f] = Max(w.of[i][f] * from / to, lb_moment_least(f));
	return w;
}

/* Limits the wanted number of events to the existing ones. */
static void
set_probabilities(Fitter *f)
{
	f->probability[0] = Min(1, (double) NEW_EVENTS / Max(f->n_events[0], 1));
	f->probability[1] = Min(1, (double) PLAYED_EVENTS /
							Max(f->n_events[1], 1));
}

/*
 * Returns the weights of the next recording's score, for a model with one
 * member, trained by plan.
 */
LbMomentWeights
lbrec_fit_moment(const RunPlan *plan, const TwoTower *model)
{
	LbMomentWeights weights;
	MemoryContext old;
	Fitter		f = {.plan = plan, .model = model,
		.rows = {model->counted.neighbours, model->counted.follow},
	.n_test = plan->split->n_test, .counting = true};
	float	   *candidates;

	weights = lbrec_moment_of_members(&lb_moment_prior, PRIOR_MEMBERS, 1);
	if (!model->mixed)
		return weights;
	if (f.n_test == 0)
	{
		if (plan->warm && lbrec_warm_moment(plan->warm, plan->options,
											&weights))
			weights = lbrec_moment_of_members(&weights,
											  plan->options->ensemble, 1);
		return weights;
	}
	f.context = AllocSetContextCreate(CurrentMemoryContext,
									  "lbrec choices of moments",
									  ALLOCSET_DEFAULT_SIZES);
	f.event = AllocSetContextCreate(f.context, "lbrec moment",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(f.context);
	f.D = lb_tower_width(&model->core.query);
	f.candidates = candidates =
		lbrec_alloc_aligned(f.context, (Size) model->n_recordings * f.D *
							sizeof(float), "candidate vectors");
	lbrec_candidate_vectors(candidates, model, plan->pool, f.context);
	f.test = palloc_extended(f.n_test * sizeof(Listen), MCXT_ALLOC_HUGE);
	lbrec_copy(f.test, plan->split->test, f.n_test * sizeof(Listen));
	qsort(f.test, f.n_test, sizeof(Listen), compare_listens);
	f.seen = palloc_extended((model->n_recordings + 1) * sizeof(int32),
							 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < 2; i++)
		f.choices[i].offsets = palloc0((NEW_EVENTS + PLAYED_EVENTS + 1) *
									   sizeof(int64));
	lb_random_seed(&f.rng, plan->options->seed, STREAM_MOMENT);
	lbrec_visit_users(plan->data, plan->split->excluded, visit_user, &f);
	set_probabilities(&f);
	f.counting = false;
	lbrec_visit_users(plan->data, plan->split->excluded, visit_user, &f);
	for (int i = 0; i < 2; i++)
		fit(weights.of[i], &f.choices[i]);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(f.context);
	return weights;
}
