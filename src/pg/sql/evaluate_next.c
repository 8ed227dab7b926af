/*
 * evaluate_next.c
 *		lbrec_evaluate_next(): ranks each listen of a period just before it
 *		happens.
 *
 * Users are processed one after another, their listens in the order of time.
 * The model stays as trained, and knows the user's earlier plays.  The
 * baselines know the same:
 *
 *		popular			listens in the training
 *		own_decayed		w, the sum over plays of 1 / (1 + days)
 *		last_to_next	all users' transitions from the last play
 *		blend			0.4 w / W + 0.3 last_to_next + 0.3 the user's own
 *						transitions from the last play
 *
 * Recordings to which a baseline gives no value follow by popularity.
 */
#include "pg/server/lbrec.h"

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
#include "pg/serve/listener.h"
#include "pg/serve/moment_ranks.h"
#include "pg/server/kernels.h"
#include "pg/server/srf.h"
#include "pg/server/time.h"
#include "pg/sql/calls.h"

PG_FUNCTION_INFO_V1(lbrec_evaluate_next);

#define N_COLUMNS 9

/* Listens ranked together, and capacity for their plays. */
#define BATCH 4096
#define PLAYS ((int64) 1 << 20)

static const char *const ranker_names[N_MOMENT_RANKERS] = {
	[RANKED_BY_MODEL] = "model",
	[RANKED_BY_POPULARITY] = "popular",
	[RANKED_BY_OWN_PLAYS] = "own_decayed",
	[RANKED_BY_LAST] = "last_to_next",
	[RANKED_BY_BLEND] = "blend"
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
	int32	   *codes;			/* (recordings of the data + 1) their codes in
								 * the model */
	LbPlay	   *plays;			/* plays of the batch's users */
	int64		n_plays;
	int64		room;
	MomentRanks *ranks;
	RankedMoment *moments;		/* (BATCH) */
	int64		n_moments;
	int64		n;
	int64		n_new;
	int64		unknown;
	Sums		sums[N_MOMENT_RANKERS];
} Evaluation;

static void
add_rank(Evaluation *e, MomentRanker by, int64 rank, bool is_new)
{
	Sums	   *s = &e->sums[by];
	double	   *hits = is_new ? s->new_hits : s->hits;

	*(is_new ? &s->new_reciprocal : &s->reciprocal) += 1.0 / rank;
	for (int j = 0; j < e->n_ks; j++)
		hits[j] += rank <= e->ks[j];
}

/* True if lbrec_next() can only answer with popular recordings. */
static bool
is_stranger(const Evaluation *e, const RankedMoment *m)
{
	if (!e->serving->knows_tastes)
		return true;
	for (int64 i = 0; m->user == 0 && i < m->n; i++)
		if (m->plays[i].code > 0)
			return false;
	return m->user == 0;
}

/* Ranks the waiting moments. */
static void
take_moments(Evaluation *e)
{
	lbrec_rank_moments(e->ranks, e->moments, e->n_moments);
	for (int64 i = 0; i < e->n_moments; i++)
	{
		const RankedMoment *m = &e->moments[i];

		e->n_new += m->is_new;
		for (MomentRanker by = 0; by < N_MOMENT_RANKERS; by++)
		{
			MomentRanker as = by == RANKED_BY_MODEL && is_stranger(e, m) ?
				RANKED_BY_POPULARITY : by;

			add_rank(e, by, m->ranks[as], false);
			if (m->is_new)
				add_rank(e, by, m->new_ranks[as], true);
		}
	}
	e->n_moments = 0;
}

/* Returns room for one more user's plays, behind those of waiting moments. */
static LbPlay *
reserve_plays(Evaluation *e, int64 n)
{
	if (e->n_plays + n > e->room)
	{
		take_moments(e);
		e->n_plays = 0;
	}
	if (n > e->room)
	{
		e->room = n;
		e->plays = repalloc_huge(e->plays, n * sizeof(LbPlay));
	}
	e->n_plays += n;
	return e->plays + e->n_plays - n;
}

static void
visit_user(int32 code, Listen *listens, int64 n, void *arg)
{
	Evaluation *e = arg;
	LbPlay	   *plays;
	int64		key;
	int32		user;

	if (n == 0)
		return;
	plays = reserve_plays(e, n);
	memcpy(&key, lbrec_vocabulary_key(e->data->users, code, NULL),
		   sizeof(key));
	user = lbrec_warm_user(e->serving, key);
	for (int64 i = 0; i < n; i++)
	{
		int32		recording = e->codes[listens[i].recording];

		CHECK_FOR_INTERRUPTS();
		plays[i] = (LbPlay)
		{
			recording, listens[i].time
		};
		if (listens[i].time < e->since || listens[i].time >= e->until)
			continue;
		e->n++;
		if (recording == 0)
		{
			e->unknown++;
			continue;
		}
		if (e->n_moments == BATCH)
			take_moments(e);
		e->moments[e->n_moments++] = (RankedMoment)
		{
			.user = user, .truth = recording - 1, .plays = plays, .n = i,
				.time = listens[i].time
		};
	}
}

/* Looks up the model's code of each recording of the data; 0 if unknown. */
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
	for (MomentRanker by = 0; by < N_MOMENT_RANKERS; by++)
		for (int j = 0; j < e->n_ks; j++)
		{
			const Sums *s = &e->sums[by];
			Datum		values[N_COLUMNS];
			bool		nulls[N_COLUMNS] = {0};

			values[0] = CStringGetTextDatum(ranker_names[by]);
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
	Evaluation	e = {.until = PG_INT64_MAX, .room = PLAYS};

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
	e.ks = lbrec_read_ks(PG_GETARG_ARRAYTYPE_P(EVALUATE_NEXT_KS), &e.n_ks);
	source.listens = PG_ARGISNULL(EVALUATE_NEXT_LISTENS) ?
		lbrec_needed_listens() :
		text_to_cstring(PG_GETARG_TEXT_PP(EVALUATE_NEXT_LISTENS));
	e.data = lbrec_read_listens(&source, context);
	e.serving = lbrec_open_argument(fcinfo, EVALUATE_NEXT_MODEL,
									EVALUATE_NEXT_VERSION);
	e.plays = palloc(e.room * sizeof(LbPlay));
	e.moments = palloc(BATCH * sizeof(RankedMoment));
	for (int by = 0; by < N_MOMENT_RANKERS; by++)
	{
		e.sums[by].hits = palloc0(e.n_ks * sizeof(double));
		e.sums[by].new_hits = palloc0(e.n_ks * sizeof(double));
	}
	lbrec_baselines_init(&e.baselines, &e.serving->tower);
	e.ranks = lbrec_make_moment_ranks(e.serving, &e.baselines,
									  lbrec_start_threads(context), context);
	map_recordings(&e);
	lbrec_visit_users(e.data, NULL, visit_user, &e);
	take_moments(&e);
	MemoryContextSwitchTo(old);
	put_rows(&e, &sink);
	lbrec_spool_free(e.data->listens);
	MemoryContextDelete(context);
	return (Datum) 0;
}
