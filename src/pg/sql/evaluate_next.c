/*
 * evaluate_next.c
 *		lbrec_evaluate_next(): each listen of a period, ranked just before it.
 *
 * Users are taken one after another, their listens in the order of time; the
 * model stays as it was trained, and what the user has played until then is
 * known.  The baselines see the same:
 *
 *		popular			listens in the training
 *		own_decayed		w, the sum over plays of 1 / (1 + days)
 *		last_to_next	everybody's transitions from the last play
 *		blend			0.4 w / W + 0.3 last_to_next + 0.3 the user's own
 *						transitions from the last play
 *
 * Recordings that a baseline gives nothing follow by popularity.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/listens/dataset.h"
#include "pg/listens/default.h"
#include "pg/listens/histories.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/serve/arguments.h"
#include "pg/serve/baselines.h"
#include "pg/serve/next.h"
#include "pg/server/kernels.h"
#include "pg/server/srf.h"
#include "pg/server/time.h"
#include "pg/sql/calls.h"

PG_FUNCTION_INFO_V1(lbrec_evaluate_next);

#define N_COLUMNS 9

typedef enum Recommender
{
	BY_MODEL,
	BY_POPULARITY,
	BY_OWN_PLAYS,
	BY_LAST,
	BY_BLEND,
	N_RECOMMENDERS
} Recommender;

static const char *const recommender_names[N_RECOMMENDERS] = {
	[BY_MODEL] = "model",
	[BY_POPULARITY] = "popular",
	[BY_OWN_PLAYS] = "own_decayed",
	[BY_LAST] = "last_to_next",
	[BY_BLEND] = "blend"
};

typedef struct Sums
{
	double	   *hits;			/* (n_ks) */
	double		reciprocal;
	double	   *new_hits;		/* (n_ks) */
	double		new_reciprocal;
} Sums;

typedef struct Evaluation
{
	const ServingModel *serving;
	const Dataset *data;
	Baselines	baselines;
	int64		since;			/* microseconds since 1970 */
	int64		until;
	int		   *ks;
	int			n_ks;
	int32	   *codes;			/* (recordings of the data + 1) of the model */
	LbPlay	   *plays;
	int64		room;
	MemoryContext scratch;		/* of one listen */
	int64		n;
	int64		n_new;
	int64		unknown;
	Sums		sums[N_RECOMMENDERS];
} Evaluation;

/* A baseline's score of a recording with a row. */
static double
baseline_value(Recommender by, const LbMoment *m, const LbMomentRow *row)
{
	switch (by)
	{
		case BY_OWN_PLAYS:
			return row->w;
		case BY_LAST:
			return row->all[0];
		case BY_BLEND:
			return (m->w_sum > 0 ? 0.4 * row->w / m->w_sum : 0) +
				0.3 * row->all[0] +
				(m->own_sums[0] > 0 ? 0.3 * row->own[0] / m->own_sums[0] : 0);
		default:
			return 0;
	}
}

/* The rank of a recording by a baseline; new_only: among the not played. */
static int64
baseline_rank(const Evaluation *e, Recommender by, const LbMoment *m,
			  int32 truth, bool new_only)
{
	const int64 *listens = e->serving->tower.recording_listens;
	int64		place = lb_moment_find(m, truth + 1);
	double		mine = place < 0 ? 0 :
	baseline_value(by, m, &m->rows[place]);
	int64		rank = mine > 0 ? 1 : 1 + e->baselines.above[truth];

	for (int64 i = 0; i < m->n; i++)
	{
		const LbMomentRow *row = &m->rows[i];
		double		value = baseline_value(by, m, row);
		bool		counts = !new_only || row->w == 0;

		if (mine > 0)
			rank += counts && value > mine;
		else if (counts && value > 0)
			/* before it, whether it is more popular or not */
			rank += listens[row->code - 1] <= listens[truth];
		else if (!counts)
			rank -= listens[row->code - 1] > listens[truth];
	}
	return rank;
}

static void
add_rank(Evaluation *e, Recommender by, int64 rank, bool is_new)
{
	Sums	   *s = &e->sums[by];
	double	   *hits = is_new ? s->new_hits : s->hits;

	*(is_new ? &s->new_reciprocal : &s->reciprocal) += 1.0 / rank;
	for (int j = 0; j < e->n_ks; j++)
		hits[j] += rank <= e->ks[j];
}

/* One listen, after the first n plays. */
static void
take_listen(Evaluation *e, int32 user, int64 n, int32 truth, int64 time)
{
	MemoryContext old = MemoryContextSwitchTo(e->scratch);
	NextListener next;
	int64		place;
	bool		is_new;

	e->n++;
	if (truth < 0)
	{
		e->unknown++;
		MemoryContextSwitchTo(old);
		return;
	}
	lbrec_find_next(&next, e->serving, user, e->plays, n, time);
	place = lb_moment_find(&next.moment, truth + 1);
	is_new = place < 0 || place >= next.moment.n_own;
	e->n_new += is_new;
	for (Recommender by = BY_MODEL; by < N_RECOMMENDERS; by++)
	{
		add_rank(e, by, by == BY_MODEL ? lbrec_next_rank(&next, truth, false) :
				 baseline_rank(e, by, &next.moment, truth, false), false);
		if (is_new)
			add_rank(e, by, by == BY_MODEL ?
					 lbrec_next_rank(&next, truth, true) :
					 baseline_rank(e, by, &next.moment, truth, true), true);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(e->scratch);
}

static void
visit_user(int32 code, Listen *listens, int64 n, void *arg)
{
	Evaluation *e = arg;
	int64		key;
	int32		user;

	if (n == 0)
		return;
	if (n > e->room)
	{
		e->room = Max(n, 2 * e->room);
		e->plays = repalloc_huge(e->plays, e->room * sizeof(LbPlay));
	}
	memcpy(&key, lbrec_vocabulary_key(e->data->users, code, NULL),
		   sizeof(key));
	user = lbrec_user_code(e->serving, key);
	for (int64 i = 0; i < n; i++)
	{
		int32		recording = e->codes[listens[i].recording];

		CHECK_FOR_INTERRUPTS();
		if (listens[i].time >= e->since && listens[i].time < e->until)
			take_listen(e, user, i, recording - 1, listens[i].time);
		e->plays[i] = (LbPlay)
		{
			recording, listens[i].time
		};
	}
}

/* The model's code of each recording of the data, 0 for unknown ones. */
static void
map_recordings(Evaluation *e)
{
	int32		n = lbrec_vocabulary_size(e->data->recordings);

	e->codes = palloc_extended(((Size) n + 1) * sizeof(int32),
							   MCXT_ALLOC_HUGE);
	e->codes[0] = 0;
	for (int32 code = 1; code <= n; code++)
	{
		CHECK_FOR_INTERRUPTS();
		e->codes[code] = 1 +
			lbrec_candidate_of(e->serving, (const pg_uuid_t *)
							   lbrec_vocabulary_key(e->data->recordings, code,
													NULL));
	}
}

static void
put_rows(const Evaluation *e, RowSink *sink)
{
	for (Recommender by = BY_MODEL; by < N_RECOMMENDERS; by++)
		for (int j = 0; j < e->n_ks; j++)
		{
			const Sums *s = &e->sums[by];
			Datum		values[N_COLUMNS];
			bool		nulls[N_COLUMNS] = {0};

			values[0] = CStringGetTextDatum(recommender_names[by]);
			values[1] = Int32GetDatum(e->ks[j]);
			values[2] = lbrec_figure_datum(s->hits[j] / Max(e->n, 1));
			values[3] = lbrec_figure_datum(s->reciprocal / Max(e->n, 1));
			values[4] = lbrec_figure_datum(s->new_hits[j] / Max(e->n_new, 1));
			values[5] = lbrec_figure_datum(s->new_reciprocal / Max(e->n_new, 1));
			nulls[2] = nulls[3] = e->n == 0;
			nulls[4] = nulls[5] = e->n_new == 0;
			values[6] = Int64GetDatum(e->n);
			values[7] = Int64GetDatum(e->n_new);
			values[8] = Int64GetDatum(e->unknown);
			lbrec_put_row(sink, values, nulls);
		}
}

static void
read_ks(Evaluation *e, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &values, &nulls, &e->n_ks);
	e->ks = palloc(Max(e->n_ks, 1) * sizeof(int));
	for (int j = 0; j < e->n_ks; j++)
	{
		if (nulls[j])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", "ks"),
					 errdetail("It lists lengths of rankings."),
					 errhint("Use array_remove(…, NULL).")));
		e->ks[j] = DatumGetInt32(values[j]);
		if (e->ks[j] < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("ks must hold numbers of at least 1"),
					 errdetail("One of them is %d.", e->ks[j]),
					 errhint("Each K gives rows of its own: '{1,10,20}'.")));
	}
}

/* lbrec_evaluate_next(since, until, model, listens, ks) */
Datum
lbrec_evaluate_next(PG_FUNCTION_ARGS)
{
	static const char *const names[EVALUATE_NEXT_ARGS] = {
		[EVALUATE_NEXT_SINCE] = "since",[EVALUATE_NEXT_KS] = "ks"
	};
	RowSink		sink = lbrec_begin_rows(fcinfo, EVALUATE_NEXT_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListenSource source = {0};
	Evaluation	e = {.until = PG_INT64_MAX, .room = 1024};

	for (int arg = 0; arg < EVALUATE_NEXT_ARGS; arg++)
		if (names[arg] && PG_ARGISNULL(arg))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", names[arg]),
					 errhint(arg == EVALUATE_NEXT_SINCE ?
							 "Give the time from which on listens are foretold, such as that of the training's last listen." :
							 "Leave the argument out to use its default.")));
	e.since = lbrec_argument_time(PG_GETARG_TIMESTAMPTZ(EVALUATE_NEXT_SINCE),
								  "since");
	if (!PG_ARGISNULL(EVALUATE_NEXT_UNTIL))
		e.until = lbrec_argument_time(PG_GETARG_TIMESTAMPTZ(EVALUATE_NEXT_UNTIL),
									  "until");
	read_ks(&e, PG_GETARG_ARRAYTYPE_P(EVALUATE_NEXT_KS));
	source.listens = PG_ARGISNULL(EVALUATE_NEXT_LISTENS) ?
		lbrec_needed_listens() :
		text_to_cstring(PG_GETARG_TEXT_PP(EVALUATE_NEXT_LISTENS));
	e.data = lbrec_read_listens(&source, context);
	e.serving = lbrec_open_argument(fcinfo, EVALUATE_NEXT_MODEL,
									EVALUATE_NEXT_VERSION);
	e.plays = palloc(e.room * sizeof(LbPlay));
	e.scratch = AllocSetContextCreate(context, "lbrec moment",
									  ALLOCSET_DEFAULT_SIZES);
	for (int by = 0; by < N_RECOMMENDERS; by++)
	{
		e.sums[by].hits = palloc0(Max(e.n_ks, 1) * sizeof(double));
		e.sums[by].new_hits = palloc0(Max(e.n_ks, 1) * sizeof(double));
	}
	lbrec_baselines_init(&e.baselines, &e.serving->tower);
	map_recordings(&e);
	lbrec_visit_users(e.data, NULL, visit_user, &e);
	MemoryContextSwitchTo(old);
	put_rows(&e, &sink);
	lbrec_spool_free(e.data->listens);
	MemoryContextDelete(context);
	return (Datum) 0;
}
