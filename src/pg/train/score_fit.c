/*
 * score_fit.c
 *		Fits the weights of a score's parts on listens that were held out.
 *
 * The values of towers, neighbours and repeats differ between data sets: if
 * users play albums, neighbours predict more; if plays have no order, nothing.
 * So the weights are not settings but fitted, by two conditional logits
 * (core/score/lb_mix.c):
 *
 *	1.	of all recordings new to the user, which are played: the weights of the
 *		dot product, of the parts SCORE_FOUND and of trends (trends.c).  Each
 *		user counts as the root of how many there are, or a few heavy listeners
 *		would decide;
 *	2.	of all recordings, which is played next: the weights of those together,
 *		and of the parts that count for recordings played before.
 *
 * Users choose from the whole catalogue. Of a large one, the fit uses the rows
 * that matter, which are the best by dot product and by neighbours, the user's
 * own and those played; a sample represents the rest.
 *
 * Without held-out listens the weights are the priors' means (for parts, in
 * the table of src/pg/model/score.c), and few users move them little.
 */
#include "pg/train/score_fit.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_batch.h"
#include "core/scan/lb_scan_top.h"

#include "pg/listens/spool.h"
#include "pg/model/config.h"
#include "pg/model/score.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"

#define STREAM_SCORE_FIT 1003

#define MAX_USERS 1000
#define USERS_AT_ONCE 256
#define HEAD 200				/* best by dot product, and best by neighbours */
#define TAIL 400				/* sample of the rest */

/* Prior weight of a dot product of cosines, times the temperature. */
#define PRIOR_DOT 0.6

/*
 * Features: the parts, and before them the dot product, the trend and found.
 */
#define MAX_FIT_FEATURES (LB_N_PARTS + 2)

/*
 * Plays of one user resemble each other: together they say as much about other
 * users and later months as this many plays by different users.  So a handful
 * of users move the weights little from the priors.
 */
#define PLAYS_OF_USER 1

/* A user with listens held out, and where these are. */
typedef struct Chooser
{
	int32		user;
	int64		first;			/* index in the sorted listens */
	int64		n;
} Chooser;

typedef struct Fitter
{
	const ScoreFitRequest *request;
	MemoryContext context;
	LbRandom	rng;
	Listen	   *sorted;			/* by user and recording */
	Chooser    *choosers;
	int			n_choosers;
	int32	   *row_of;			/* (n_recordings) row for the current user, or
								 * a lower number than its first */
	/* Rows, by chooser: */
	int64	   *offsets;		/* (n_choosers + 1) */
	int64		n_rows;
	int64		room;
	int32	   *codes;
	float	   *dot;			/* mean over the members */
	float	   *values[LB_N_PARTS]; /* values of the parts; NULL for
									 * SCORE_SHARE */
	bool	   *own;
	float	   *log_count;
	float	   *plays;			/* number of held-out listens */
} Fitter;

static int
compare_listens(const void *a, const void *b)
{
	const Listen *x = a;
	const Listen *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	return x->recording < y->recording ? -1 : x->recording > y->recording;
}

/*
 * True for recordings in some user's list.  Others can only be found by
 * chance, and would make all weights look worse than they are.
 */
static bool *
known_recordings(const TwoTower *model)
{
	const Counted *c = &model->counted;
	bool	   *known = palloc_extended(model->n_recordings + 1,
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (int64 i = 0; i < c->history_offsets[model->n_users + 1]; i++)
	{
		CHECK_FOR_INTERRUPTS();
		known[c->history_codes[i]] = true;
	}
	return known;
}

/*
 * Selects users with listens that can be found, at most MAX_USERS, evenly
 * spread.
 */
static void
find_choosers(Fitter *w)
{
	const ScoreFitRequest *q = w->request;
	int64		n = 0;
	int64		n_users = 0;
	int64		seen = 0;
	bool	   *known;

	if (q->n_test == 0)
		return;
	known = known_recordings(q->model);
	w->sorted = palloc_extended(Max(q->n_test, 1) * sizeof(Listen),
								MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < q->n_test; i++)
	{
		const Listen *l = &q->test[i];

		CHECK_FOR_INTERRUPTS();
		if (l->user > 0 && known[l->recording] &&
			q->model->counted.history_offsets[l->user + 1] >
			q->model->counted.history_offsets[l->user])
			w->sorted[n++] = *l;
	}
	qsort(w->sorted, n, sizeof(Listen), compare_listens);
	for (int64 i = 0; i < n; i++)
		n_users += i == 0 || w->sorted[i].user != w->sorted[i - 1].user;
	w->choosers = palloc(Max(Min(n_users, MAX_USERS), 1) * sizeof(Chooser));
	for (int64 i = 0; i < n;)
	{
		int64		first = i;

		CHECK_FOR_INTERRUPTS();
		while (i < n && w->sorted[i].user == w->sorted[first].user)
			i++;
		/* takes every n_users / MAX_USERS-th */
		if (n_users <= MAX_USERS ||
			seen * MAX_USERS / n_users != (seen + 1) * MAX_USERS / n_users)
			w->choosers[w->n_choosers++] = (Chooser)
		{
			w->sorted[first].user, first, i - first
		};
		seen++;
	}
}

static void
reserve_rows(Fitter *w, int64 more)
{
	if (w->n_rows + more <= w->room)
		return;
	w->room = Max(w->n_rows + more, 2 * w->room);
#define GROW(array) \
	(array) = (array) ? repalloc_huge((array), w->room * sizeof(*(array))) : \
		palloc_extended(w->room * sizeof(*(array)), MCXT_ALLOC_HUGE)
	GROW(w->codes);
	GROW(w->dot);
	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].add)
			GROW(w->values[p]);
	GROW(w->own);
	GROW(w->log_count);
	GROW(w->plays);
#undef GROW
}

/* Returns the user's row of a recording, a new one if it has none. */
static int64
take_row(Fitter *w, int64 first, int32 code, double log_count)
{
	if (w->row_of[code] < first)
	{
		reserve_rows(w, 1);
		w->codes[w->n_rows] = code;
		w->log_count[w->n_rows] = (float) log_count;
		w->plays[w->n_rows] = 0;
		w->row_of[code] = (int32) w->n_rows++;
	}
	return w->row_of[code];
}

/* Adds the neighbours with the highest sums. */
static void
take_neighbours(Fitter *w, int64 first, const Scorer *s)
{
	const LbRelated *t = &s->related;
	uint64	   *keys = palloc_extended(Max(t->n, 1) * sizeof(uint64),
									   MCXT_ALLOC_HUGE);

	for (int64 i = 0; i < t->n; i++)
		keys[i] = lb_key_make((float) t->sums[i], (uint32) i);
	if (t->n > HEAD)
		lb_key_select(keys, t->n, HEAD);
	for (int64 i = 0; i < Min(t->n, HEAD); i++)
		take_row(w, first, t->codes[lb_key_index(keys[i])], 0);
	pfree(keys);
}

/* Adds the rest of the catalogue, or a sample of it. */
static void
take_tail(Fitter *w, int64 first)
{
	int64		n = w->request->model->n_recordings;
	int64		rest = n - (w->n_rows - first);

	if (rest <= TAIL)
	{
		for (int32 code = 1; code <= n; code++)
			take_row(w, first, code, 0);
		return;
	}
	for (int64 end = w->n_rows + TAIL; w->n_rows < end;)
		take_row(w, first, 1 + (int32) lb_random_below(&w->rng, n),
				 log((double) rest / TAIL));
}

/* Collects the recordings that one user could choose from. */
static void
take_chooser(Fitter *w, int g, const Scorer *s, const float *query,
			 const int64 *head, int64 n_head)
{
	const ScoreFitRequest *q = w->request;
	int			D = lb_tower_width(&q->model->core.query);
	const Chooser *c = &w->choosers[g];
	int64		first = w->n_rows;
	int32	   *rows;

	w->offsets[g] = first;
	for (int64 i = c->first; i < c->first + c->n; i++)
	{
		/* take the row first: that may move the array */
		int64		row = take_row(w, first, w->sorted[i].recording, 0);

		w->plays[row]++;
	}
	for (int i = 0; i < s->n_own; i++)
		take_row(w, first, s->codes[i], 0);
	for (int64 i = 0; i < n_head; i++)
		take_row(w, first, lbrec_code_of(head[i]), 0);
	take_neighbours(w, first, s);
	take_tail(w, first);
	rows = palloc((w->n_rows - first) * sizeof(int32));
	for (int64 r = first; r < w->n_rows; r++)
		rows[r - first] = lbrec_candidate_with(w->codes[r]);
	lb_score_rows(w->dot + first, query, q->candidates, D, rows,
				  (int) (w->n_rows - first));
	pfree(rows);
	for (int64 r = first; r < w->n_rows; r++)
	{
		int64		place = lb_related_find(&s->related, w->codes[r]);

		w->dot[r] /= q->n_members;
		w->own[r] = place >= 0 && place < s->n_own;
		for (int p = 0; p < LB_N_PARTS; p++)
			if (w->values[p])
				w->values[p][r] = (float)
					lbrec_part_value(&lbrec_score_parts[p], s, place);
	}
	w->offsets[g + 1] = w->n_rows;
}

static void
take_block(Fitter *w, int from, int m, LbThreads *pool)
{
	const ScoreFitRequest *q = w->request;
	int			D = lb_tower_width(&q->model->core.query);
	LbCandidates set = {.c = q->candidates, .n = q->model->n_recordings, .D = D};
	int64		k = Min(HEAD, set.n);
	MemoryContext scratch = AllocSetContextCreate(w->context,
												  "lbrec choices of users",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int32	   *users = palloc(m * sizeof(int32));
	int64	   *times = palloc(m * sizeof(int64));
	int64	   *found = palloc(m * sizeof(int64));
	int64	   *ids = palloc(m * k * sizeof(int64));
	float	   *scores = palloc(m * k * sizeof(float));
	LbBest		best = {k, found, ids, scores};
	float	   *queries = lbrec_alloc_aligned(scratch, (Size) m * D *
											  sizeof(float), "queries");
	void	   *work = lbrec_alloc_aligned(scratch,
										   lb_topk_batch_bytes(&set, m, k,
															   lb_threads_count(pool)),
										   "selection");
	LbStatus	status;

	for (int i = 0; i < m; i++)
	{
		users[i] = w->choosers[from + i].user;
		times[i] = w->sorted[w->choosers[from + i].first].time;
	}
	lbrec_query_vectors(queries, q->model, users, times, m, pool, scratch);
	LBREC_RUN((status = lb_topk_batch(&best, queries, m, &set, work, pool,
									  lbrec_cancel_flag())) == LB_CANCELLED);
	lbrec_check_status(status, "a score");
	for (int i = 0; i < m; i++)
	{
		Scorer		s = lbrec_scorer(q->model, users[i]);

		CHECK_FOR_INTERRUPTS();
		lbrec_find_related(&s);
		MemoryContextSwitchTo(w->context);
		take_chooser(w, from + i, &s, queries + (Size) i * D, ids + i * k,
					 found[i]);
		MemoryContextSwitchTo(scratch);
		lbrec_free_related(&s);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

static void
fit(double *weights, const LbChoices *choices)
{
	LbStatus	status;

	LBREC_RUN((status = lb_mix_fit(weights, choices, lbrec_cancel_flag())) ==
			  LB_CANCELLED);
	lbrec_check_status(status, "a score");
}

/* The features of a fit, with bounds and priors of their weights. */
typedef struct Features
{
	int			n;
	double		prior[MAX_FIT_FEATURES];
	double		precision[MAX_FIT_FEATURES];
	double		least[MAX_FIT_FEATURES];
	double		weight[MAX_FIT_FEATURES];	/* the fitted weights */
} Features;

static int
add_feature(Features *f, double prior, double precision, double least)
{
	f->prior[f->n] = prior;
	f->precision[f->n] = precision;
	f->least[f->n] = least;
	return f->n++;
}

static int
add_part(Features *f, LbPart p)
{
	const ScorePart *part = &lbrec_score_parts[p];

	return add_feature(f, part->prior, part->precision, part->fitted_least);
}

/* Describes rows of choices with F features each. */
static LbChoices
make_choices(const Fitter *w, const Features *f)
{
	int64		n = Max(w->n_rows, 1);
	float	   *x = palloc_extended(n * f->n * sizeof(float), MCXT_ALLOC_HUGE);

	return (LbChoices)
	{
		f->n, w->n_choosers, w->offsets, x, w->log_count, w->plays, f->prior,
			f->precision, f->least
	};
}

/*
 * Fits the weights for new recordings: dot product, SCORE_FOUND, trend.  found
 * (n_rows) becomes the sum of the first two for all recordings, in logits.
 */
static double
fit_new(LbMix *mix, double *trend, float *found, const Fitter *w)
{
	const ScoreFitRequest *q = w->request;
	Features	f = {0};
	int			place[LB_N_PARTS];
	int			dot;
	int			of_trend;
	LbChoices	c;
	int64	   *offsets = palloc((w->n_choosers + 1) * sizeof(int64));
	float	   *log_count = palloc_extended(Max(w->n_rows, 1) * sizeof(float),
											MCXT_ALLOC_HUGE);
	float	   *chosen = palloc_extended(Max(w->n_rows, 1) * sizeof(float),
										 MCXT_ALLOC_HUGE);
	float	   *x;
	int64		n = 0;

	dot = add_feature(&f, PRIOR_DOT / q->temperature, 1 / 4.0,
					  PRIOR_DOT / q->temperature / 20);
	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].kind == SCORE_FOUND)
			place[p] = add_part(&f, p);
	of_trend = add_feature(&f, 0, 1, -INFINITY);
	c = make_choices(w, &f);
	c.offsets = offsets;
	c.log_count = log_count;
	c.chosen = chosen;
	x = unconstify(float *, c.x);
	offsets[0] = 0;
	for (int g = 0; g < w->n_choosers; g++)
	{
		int64		first = n;
		int			targets = 0;

		CHECK_FOR_INTERRUPTS();
		for (int64 r = w->offsets[g]; r < w->offsets[g + 1]; r++)
		{
			float	   *row = x + f.n * n;

			if (w->own[r])
				continue;
			row[dot] = w->dot[r];
			for (int p = 0; p < LB_N_PARTS; p++)
				if (lbrec_score_parts[p].kind == SCORE_FOUND)
					row[place[p]] = w->values[p][r];
			row[of_trend] = q->trends ? q->trends[w->codes[r]] : 0;
			log_count[n] = w->log_count[r];
			chosen[n] = w->plays[r] > 0;
			targets += w->plays[r] > 0;
			n++;
		}
		for (int64 r = first; r < n; r++)
			chosen[r] /= sqrtf(Max(targets, 1));
		offsets[g + 1] = n;
	}
	fit(f.weight, &c);
	pfree(offsets);
	pfree(x);
	pfree(log_count);
	pfree(chosen);

	for (int64 r = 0; r < w->n_rows; r++)
	{
		double		sum = f.weight[dot] * w->dot[r];

		for (int p = 0; p < LB_N_PARTS; p++)
			if (lbrec_score_parts[p].kind == SCORE_FOUND)
				sum += f.weight[place[p]] * w->values[p][r];
		sum += f.weight[of_trend] *
			(q->trends ? q->trends[w->codes[r]] : 0);
		found[r] = (float) sum;
	}
	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].kind == SCORE_FOUND &&
			lbrec_score_parts[p].present(q->model))
			mix->weight[p] = f.weight[place[p]] / f.weight[dot];
	if (trend)
		*trend = fmin(fmax(q->trend + f.weight[of_trend] /
						   (f.weight[dot] * q->temperature), -MAX_TREND),
					  MAX_TREND);
	return f.weight[dot];
}

/*
 * Fits the weights of the parts for recordings that the user has played, over
 * all recordings.  found comes from fit_new(), as does scale, the logits per
 * unit of dot product.
 */
static void
fit_played(LbMix *mix, const Fitter *w, const float *found, double scale)
{
	Features	f = {0};
	int			place[LB_N_PARTS];
	int			new;			/* feature: found, for recordings new to the
								 * user */
	LbChoices	c;
	float	   *x;
	float	   *plays;
	double		total = 0;
	double		each;			/* weight of a play */

	new = add_feature(&f, 1, 4, 0.05);
	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].kind != SCORE_FOUND)
			place[p] = add_part(&f, p);
	c = make_choices(w, &f);
	x = unconstify(float *, c.x);
	c.chosen = plays = palloc_extended(Max(w->n_rows, 1) * sizeof(float),
									   MCXT_ALLOC_HUGE);
	for (int64 r = 0; r < w->n_rows; r++)
		total += w->plays[r];
	each = fmin(PLAYS_OF_USER * w->n_choosers / fmax(total, 1), 1);
	for (int64 r = 0; r < w->n_rows; r++)
	{
		float	   *row = x + f.n * r;

		plays[r] = (float) (w->plays[r] * each);
		CHECK_FOR_INTERRUPTS();
		row[new] = w->own[r] ? 0 : found[r];
		for (int p = 0; p < LB_N_PARTS; p++)
			if (lbrec_score_parts[p].kind == SCORE_PLAYED)
				row[place[p]] = w->values[p][r];
			else if (lbrec_score_parts[p].kind == SCORE_SHARE)
				row[place[p]] = w->own[r] ? found[r] : 0;
	}
	fit(f.weight, &c);
	pfree(x);
	pfree(plays);
	for (int p = 0; p < LB_N_PARTS; p++)
	{
		const ScorePart *part = &lbrec_score_parts[p];

		if (part->kind == SCORE_FOUND || !part->present(w->request->model))
			continue;
		/* found counts once by itself, so subtract that from the share */
		mix->weight[p] = part->kind == SCORE_SHARE ?
			f.weight[place[p]] / f.weight[new] - 1 :
			f.weight[place[p]] / (scale * f.weight[new]);
	}
}

/* True if the model has parts for recordings that a user has played. */
static bool
knows_played(const TwoTower *model)
{
	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].kind != SCORE_FOUND &&
			lbrec_score_parts[p].present(model))
			return true;
	return false;
}

LbMix
lbrec_fit_score(double *trend, const ScoreFitRequest *request,
				LbThreads *pool, MemoryContext context)
{
	const TwoTower *model = request->model;
	Fitter		w = {.request = request};
	MemoryContext old;
	LbMix		mix = {0};
	float	   *found;
	double		scale;

	w.context = AllocSetContextCreate(context, "lbrec choices",
									  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(w.context);
	lb_random_seed(&w.rng, request->seed, STREAM_SCORE_FIT);
	find_choosers(&w);
	w.offsets = palloc0((w.n_choosers + 1) * sizeof(int64));
	w.row_of = palloc_extended((model->n_recordings + 1) * sizeof(int32),
							   MCXT_ALLOC_HUGE);
	memset(w.row_of, 0xff, (model->n_recordings + 1) * sizeof(int32));
	for (int from = 0; from < w.n_choosers; from += USERS_AT_ONCE)
		take_block(&w, from, Min(USERS_AT_ONCE, w.n_choosers - from), pool);
	found = palloc_extended(Max(w.n_rows, 1) * sizeof(float),
							MCXT_ALLOC_HUGE);
	scale = fit_new(&mix, trend, found, &w);
	if (knows_played(model))
		fit_played(&mix, &w, found, scale);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(w.context);
	return mix;
}
