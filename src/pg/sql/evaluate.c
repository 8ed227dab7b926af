/*
 * evaluate.c
 *		lbrec_evaluate(), lbrec_record_evaluation(), lbrec_evaluate_users(),
 *		lbrec_evaluate_lists(): measure how well a model, or lists made
 *		elsewhere, predict listens.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "access/xact.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/scan/lb_scan.h"

#include "pg/evaluate/metrics.h"
#include "pg/image/image.h"
#include "pg/model/toplist.h"
#include "pg/model/twotower.h"
#include "pg/serve/listener.h"
#include "pg/serve/select.h"
#include "pg/server/kernels.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"
#include "pg/sql/evaluation.h"
#include "pg/sql/wishes.h"
#include "pg/store/evaluations.h"

PG_FUNCTION_INFO_V1(lbrec_evaluate);
PG_FUNCTION_INFO_V1(lbrec_record_evaluation);
PG_FUNCTION_INFO_V1(lbrec_evaluate_users);
PG_FUNCTION_INFO_V1(lbrec_evaluate_lists);

#define N_COLUMNS 12
#define N_USER_COLUMNS 10

/* Users whose lists are made together. */
#define USER_BLOCK 256
#define LIST_ENTRIES ((int64) 1 << 24)	/* limit for all lists of a block */

/* Users whose lists are measured. */
typedef struct Lists
{
	int64		n;
	int32	   *who;
	int64	   *when;
} Lists;

/* Collects distinct users with their first times; all strangers are one. */
static void
find_users(Lists *l, const Evaluation *e)
{
	int64		n = e->serving->tower.n_users + 1;
	int64	   *place = palloc_extended(n * sizeof(int64),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	l->who = palloc_extended(e->n * sizeof(int32), MCXT_ALLOC_HUGE);
	l->when = palloc_extended(e->n * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < e->n; i++)
	{
		int64	   *at = &place[e->users[i]];	/* index plus one */

		CHECK_FOR_INTERRUPTS();
		if (*at == 0)
		{
			l->who[l->n] = e->users[i];
			l->when[l->n++] = e->times[i];
			*at = l->n;
		}
		l->when[*at - 1] = Min(l->when[*at - 1], e->times[i]);
	}
	pfree(place);
}

/* Makes the list of users without known tastes, as serving does. */
static void
add_popular_list(Spread *spreads, const Evaluation *e, int64 time)
{
	Wanted		wanted = {.k = e->most,
		.allowed = {.n = e->serving->tower.n_recordings}};
	Moment		moment = {.time = time};
	Listener	stranger;
	RankedList	list;

	lbrec_popular_listener(&stranger, e->serving, &moment);
	list = lbrec_select(e->serving, &stranger, &wanted);
	lbrec_add_list(spreads, e, list.ids, list.n);
}

/* Makes the lists that the model serves to a block of users. */
static void
add_model_lists(Spread *spreads, const Evaluation *e, const Lists *l,
				int64 from, int64 m,
				MemoryContext scratch)
{
	const TwoTower *tower = &e->serving->tower;
	float	   *queries = lbrec_alloc_aligned(scratch, m *
											  e->serving->image->D *
											  sizeof(float),
											  "block of queries");
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Scorer	   *scorers = palloc(m * sizeof(Scorer));
	const Scorer **each = palloc(m * sizeof(Scorer *));
	int32	   *users = palloc(m * sizeof(int32));
	int64	   *times = palloc(m * sizeof(int64));
	RankedList *lists = palloc(m * sizeof(RankedList));
	int			known = 0;
	TopRequest	request = {
		.set = {.c = e->serving->tower.candidates, .n = tower->n_recordings,
			.D = e->serving->image->D, .index = e->serving->index},
			.scorers = each, .queries = queries, .k = e->most, .pool = e->pool
		};

	for (int64 i = from; i < from + m; i++)
	{
		if (!lbrec_is_warm(e->serving, l->who[i]))
		{
			add_popular_list(spreads, e, l->when[i]);
			continue;
		}
		scorers[known] = lbrec_scorer(tower, l->who[i]);
		each[known] = &scorers[known];
		users[known] = l->who[i];
		times[known++] = l->when[i];
	}
	if (known > 0)
	{
		lbrec_query_vectors(queries, tower, users, times, known, e->pool,
							scratch);
		request.m = known;
		lbrec_top_lists(lists, &request);
	}
	for (int i = 0; i < known; i++)
		lbrec_add_list(spreads, e, lists[i].ids, lists[i].n);
	MemoryContextSwitchTo(old);
}

/* Measures coverage and popularity of all users' lists, at each of ks. */
static Spread *
find_spreads(Evaluation *e, const Lists *l, Recommender recommender)
{
	Spread	   *spreads = lbrec_make_spreads(e);
	int64	   *ids = palloc_extended(e->most * sizeof(int64),
									  MCXT_ALLOC_HUGE);
	int64		block = Max(Min(USER_BLOCK, LIST_ENTRIES / e->most), 1);
	MemoryContext scratch = AllocSetContextCreate(e->context, "lbrec lists",
												  ALLOCSET_DEFAULT_SIZES);

	for (int64 from = 0; from < l->n; from += block)
	{
		int64		m = Min(block, l->n - from);

		CHECK_FOR_INTERRUPTS();
		if (recommender == BY_MODEL)
			add_model_lists(spreads, e, l, from, m, scratch);
		else
			for (int64 i = 0; i < m; i++)
			{
				lbrec_baseline_user(&e->baselines, l->who[from + i]);
				lbrec_add_list(spreads, e, ids,
							   lbrec_baseline_top(ids, &e->baselines,
												  recommender == BY_OWN_PLAYS,
												  e->most));
			}
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	return spreads;
}

/*
 * Makes the rows of one recommender from its ranks; kept (n_ks) gets them too,
 * unless it is NULL.
 */
static void
put_rows(const Evaluation *e, const Spread *spreads, Recommender recommender,
		 RowSink *sink, EvaluationRow *kept)
{
	for (int j = 0; j < e->n_ks; j++)
	{
		Metrics		m;
		Datum		values[N_COLUMNS];
		bool		nulls[N_COLUMNS] = {0};
		double		coverage = (double) spreads[j].n_shown /
			e->serving->tower.n_recordings;
		double		popularity = spreads[j].listens /
			Max(spreads[j].entries, 1);

		lbrec_metrics(&m, e->ks[j], e->ranks, e->new_ranks, e->users,
					  e->times, e->truth, e->n);
		values[0] = CStringGetTextDatum(lbrec_recommender_name(recommender));
		values[1] = Int32GetDatum(e->ks[j]);
		values[2] = lbrec_figure_datum(m.top_k);
		values[3] = lbrec_figure_datum(m.ndcg);
		values[4] = lbrec_figure_datum(m.mrr);
		values[5] = lbrec_figure_datum(m.new_recall);
		values[6] = lbrec_figure_datum(m.new_ndcg);
		nulls[5] = nulls[6] = m.users == 0;
		values[7] = lbrec_figure_datum(coverage);
		values[8] = lbrec_figure_datum(popularity);
		values[9] = Int64GetDatum(e->n);
		values[10] = Int64GetDatum(e->unknown);
		values[11] = Int64GetDatum(m.users);
		lbrec_put_row(sink, values, nulls);
		if (kept)
			kept[j] = (EvaluationRow)
		{
			.recommender = lbrec_recommender_name(recommender),
				.k = e->ks[j], .top_k = m.top_k, .ndcg = m.ndcg,
				.mrr = m.mrr, .new_recall = nulls[5] ? NAN : m.new_recall,
				.new_ndcg = nulls[6] ? NAN : m.new_ndcg,
				.coverage = coverage, .mean_popularity = popularity,
				.users = m.users
		};
	}
}

/* Notes if no listen is of a known recording that is new to its user. */
static void
warn_if_seen(const Evaluation *e)
{
	bool		known = false;	/* some listen is of a known user and
								 * recording */

	for (int64 i = 0; i < e->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (e->truth[i] < 0 || e->users[i] == 0)
			continue;
		known = true;
		if (e->new_ranks[i] >= 0)
			return;
	}
	if (known)
		ereport(NOTICE,
				(errmsg("nothing that was evaluated is new to its user"),
				 errdetail("Model \"%s\" was trained on these listens, or on others of the same recordings by the same users; how well it finds them again says little.",
						   e->serving->image->row.name),
				 errhint("Evaluate listens that are later than those of the training.")));
}

/*
 * Carries out an evaluation, and stores the rows if keep is true.  A recording
 * that the model does not know is a miss; an unknown user gets what is popular
 * at that time, as in lbrec_recommend().
 */
static void
evaluate(FunctionCallInfo fcinfo, bool keep)
{
	static const EvaluationPlaces places = {EVALUATE_MODEL, EVALUATE_VERSION,
		EVALUATE_LISTENS, EVALUATE_KS, NO_ARGUMENT, EVALUATE_SINCE,
	EVALUATE_AS_OF};
	RowSink		sink = lbrec_begin_rows(fcinfo, EVALUATE_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Evaluation	e;
	Lists		lists = {0};
	EvaluationRow *kept;

	lbrec_begin_evaluation(&e, fcinfo, &places, context);
	kept = palloc((BY_OWN_PLAYS + 1) * e.n_ks * sizeof(EvaluationRow));
	find_users(&lists, &e);
	for (Recommender by = BY_MODEL; by <= BY_OWN_PLAYS; by++)
	{
		Spread	   *spreads = find_spreads(&e, &lists, by);

		lbrec_find_ranks(&e, by);
		put_rows(&e, spreads, by, &sink, kept + by * e.n_ks);
	}
	warn_if_seen(&e);
	if (keep)
	{
		EvaluationHead head = {.model = e.serving->image->row.id,
			.kind = "evaluation", .listens = e.data->query,
			.first_time = e.data->first_time, .last_time = e.data->last_time,
		.n_listens = e.n, .unknown = e.unknown};

		SPI_connect();
		lbrec_keep_evaluation(&head, kept, (BY_OWN_PLAYS + 1) * e.n_ks);
		SPI_finish();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * lbrec_evaluate(model, listens, ks, version, since, as_of): the listens should be later
 * than the model's training.
 */
Datum
lbrec_evaluate(PG_FUNCTION_ARGS)
{
	evaluate(fcinfo, false);
	return (Datum) 0;
}

/*
 * lbrec_record_evaluation(model, listens, ks, version, since, as_of): does the same, and
 * stores the rows.
 */
Datum
lbrec_record_evaluation(PG_FUNCTION_ARGS)
{
	/* fail now, not after a long evaluation */
	PreventCommandIfReadOnly("lbrec_record_evaluation()");
	PreventCommandIfParallelMode("lbrec_record_evaluation()");
	evaluate(fcinfo, true);
	return (Datum) 0;
}

/*
 * lbrec_evaluate_lists(rankings, listens, model, ks, version)
 *
 * The model decides which recordings are new to a user, and which exist.
 */
Datum
lbrec_evaluate_lists(PG_FUNCTION_ARGS)
{
	static const EvaluationPlaces places = {EVALUATE_LISTS_MODEL,
		EVALUATE_LISTS_VERSION, EVALUATE_LISTS_LISTENS, EVALUATE_LISTS_KS,
	EVALUATE_LISTS_RANKINGS, NO_ARGUMENT, NO_ARGUMENT};
	RowSink		sink = lbrec_begin_rows(fcinfo, EVALUATE_LISTS_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Evaluation	e;
	Spread	   *spreads;

	if (PG_ARGISNULL(EVALUATE_LISTS_RANKINGS))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rankings must not be null"),
				 errdetail("They are the lists to measure."),
				 errhint("Give a table or query with columns user_id, recording_msid and rank.")));
	lbrec_begin_evaluation(&e, fcinfo, &places, context);
	spreads = lbrec_make_spreads(&e);
	lbrec_rank_in_rankings(&e, spreads);
	put_rows(&e, spreads, BY_RANKINGS, &sink, NULL);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/* A user's listens, as lbrec_metrics() needs them. */
typedef struct UserListens
{
	int64		n;
	int64	   *ranks;
	int64	   *new_ranks;
	int32	   *users;
	int64	   *times;
	int32	   *truth;
} UserListens;

static void
put_user_rows(const Evaluation *e, UserListens *l, int32 person,
			  Recommender recommender, RowSink *sink)
{
	int64		first = e->person_starts[person];

	l->n = e->person_starts[person + 1] - first;
	for (int64 j = 0; j < l->n; j++)
	{
		int64		i = e->by_person[first + j];

		l->ranks[j] = e->ranks[i];
		l->new_ranks[j] = e->new_ranks[i];
		l->users[j] = e->users[i];
		l->times[j] = e->times[i];
		l->truth[j] = e->truth[i];
	}
	for (int j = 0; j < e->n_ks; j++)
	{
		Metrics		m;
		Datum		values[N_USER_COLUMNS];
		bool		nulls[N_USER_COLUMNS] = {0};

		lbrec_metrics(&m, e->ks[j], l->ranks, l->new_ranks, l->users,
					  l->times, l->truth, l->n);
		values[0] = Int64GetDatum(e->person_ids[person]);
		values[1] = CStringGetTextDatum(lbrec_recommender_name(recommender));
		values[2] = Int32GetDatum(e->ks[j]);
		values[3] = Float8GetDatum(m.top_k);
		values[4] = Float8GetDatum(m.ndcg);
		values[5] = Float8GetDatum(m.mrr);
		values[6] = Float8GetDatum(m.new_recall);
		values[7] = Float8GetDatum(m.new_ndcg);
		nulls[6] = nulls[7] = m.users == 0;
		values[8] = Int64GetDatum(l->n);
		values[9] = Int64GetDatum(m.targets);
		lbrec_put_row(sink, values, nulls);
	}
}

/* lbrec_evaluate_users(model, listens, ks, rankings, version) */
Datum
lbrec_evaluate_users(PG_FUNCTION_ARGS)
{
	static const EvaluationPlaces places = {EVALUATE_USERS_MODEL,
		EVALUATE_USERS_VERSION, EVALUATE_USERS_LISTENS, EVALUATE_USERS_KS,
	EVALUATE_USERS_RANKINGS, NO_ARGUMENT, NO_ARGUMENT};
	RowSink		sink = lbrec_begin_rows(fcinfo, EVALUATE_USERS_ARGS, N_USER_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Evaluation	e;
	UserListens l = {0};
	int64		most = 0;

	lbrec_begin_evaluation(&e, fcinfo, &places, context);
	for (int32 p = 1; p <= e.n_people; p++)
		most = Max(most, e.person_starts[p + 1] - e.person_starts[p]);
	l.ranks = MemoryContextAllocHuge(context, most * sizeof(int64));
	l.new_ranks = MemoryContextAllocHuge(context, most * sizeof(int64));
	l.users = MemoryContextAllocHuge(context, most * sizeof(int32));
	l.times = MemoryContextAllocHuge(context, most * sizeof(int64));
	l.truth = MemoryContextAllocHuge(context, most * sizeof(int32));
	for (Recommender by = BY_MODEL; by <= BY_RANKINGS; by++)
	{
		if (by == BY_RANKINGS && e.rankings.spool == NULL)
			break;
		lbrec_find_ranks(&e, by);
		for (int32 p = 1; p <= e.n_people; p++)
		{
			CHECK_FOR_INTERRUPTS();
			put_user_rows(&e, &l, p, by, &sink);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}
