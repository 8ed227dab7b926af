/*
 * evaluate.c
 *		lbrec_evaluate(), lbrec_record_evaluation(): how well a model finds what
 *		was listened to.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/scan/lb_scan.h"

#include "pg/evaluate/metrics.h"
#include "pg/evaluate/ranks.h"
#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/listens/dataset.h"
#include "pg/listens/default.h"
#include "pg/listens/query.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/toplist.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/baselines.h"
#include "pg/serve/listener.h"
#include "pg/serve/popularity.h"
#include "pg/serve/select.h"
#include "pg/server/kernels.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"
#include "pg/store/evaluations.h"

PG_FUNCTION_INFO_V1(lbrec_evaluate);
PG_FUNCTION_INFO_V1(lbrec_record_evaluation);

#define N_COLUMNS 12

/* Users that get their lists at a time. */
#define USER_BLOCK 256
#define LIST_ENTRIES ((int64) 1 << 24)	/* at most, of a block's lists */

static int32 *
read_ks(ArrayType *array, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	int32	   *ks;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &values, &nulls, n);
	if (*n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ks must not be empty"),
				 errdetail("It lists the K of top-K accuracy."),
				 errhint("For example: ks => '{1,5,10,50,100}'.")));
	ks = palloc(*n * sizeof(int32));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i] || DatumGetInt32(values[i]) < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("ks must hold numbers of at least 1"),
					 errdetail("It lists the K of top-K accuracy."),
					 errhint("For example: ks => '{1,5,10,50,100}'.")));
		ks[i] = DatumGetInt32(values[i]);
	}
	return ks;
}

/* Codes of the dataset's users and recordings in the model. */
static void
map_listens(const ServingModel *serving, const Dataset *data,
			int32 *users, int64 *times, int32 *truth)
{
	int32		n_users = lbrec_vocabulary_size(data->users);
	int32		n_recordings = lbrec_vocabulary_size(data->recordings);
	int32	   *user_codes = palloc_extended((n_users + 1) * sizeof(int32),
											 MCXT_ALLOC_HUGE);
	int32	   *candidates = palloc_extended((n_recordings + 1) *
											 sizeof(int32), MCXT_ALLOC_HUGE);
	SpoolScan	scan;

	for (int32 i = 1; i <= n_users; i++)
	{
		int64		key;

		CHECK_FOR_INTERRUPTS();
		memcpy(&key, lbrec_vocabulary_key(data->users, i, NULL),
			   sizeof(key));
		user_codes[i] = lbrec_user_code(serving, key);
	}
	for (int32 i = 1; i <= n_recordings; i++)
	{
		CHECK_FOR_INTERRUPTS();
		candidates[i] = lbrec_candidate_of(serving, (const pg_uuid_t *)
										   lbrec_vocabulary_key(data->recordings, i, NULL));
	}
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			users[scan.from + i] = user_codes[scan.block[i].user];
			truth[scan.from + i] = candidates[scan.block[i].recording];
			times[scan.from + i] = scan.block[i].time;
		}
}

typedef enum Recommender
{
	BY_MODEL,
	BY_POPULARITY,
	BY_OWN_PLAYS
} Recommender;

static const char *const recommender_names[] = {
	[BY_MODEL] = "model",
	[BY_POPULARITY] = "popular",
	[BY_OWN_PLAYS] = "most_played",
};

typedef struct Evaluation
{
	const ServingModel *serving;
	Baselines	baselines;
	int64		n;				/* listens */
	int32	   *users;
	int64	   *times;
	int32	   *truth;
	int64	   *ranks;
	int64	   *new_ranks;
	int64		unknown;		/* listens of recordings that are no
								 * candidates */
	bool		known;			/* some listen is of a user and a recording
								 * that the model knows */
	bool		any_new;		/* and of one that is new to its user */
	int64	   *by_user;		/* places of the listens, a user's together */
	int64		n_users;		/* distinct, each with the first time */
	int32	   *who;
	int64	   *when;
	int32	   *ks;
	int			n_ks;
	int64		most;			/* the largest of ks, or all candidates */
	LbThreads  *pool;
	EvaluationRow *rows;		/* of the result */
	int			n_rows;
	MemoryContext context;
} Evaluation;

/* Variety of lists of k recordings: coverage and popularity. */
typedef struct Spread
{
	uint64	   *shown;			/* bitmap of candidates in any list */
	int64		n_shown;
	double		listens;		/* sum over the entries of all lists */
	int64		entries;
} Spread;

/* The listens by user, and the users, each once. */
static void
find_users(Evaluation *e)
{
	int64	   *starts;
	int64		n = e->serving->tower.n_users + 1;
	int64	   *place = palloc_extended(n * sizeof(int64),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	e->who = palloc_extended(e->n * sizeof(int32), MCXT_ALLOC_HUGE);
	e->when = palloc_extended(e->n * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < e->n; i++)
	{
		int64	   *at = &place[e->users[i]];	/* plus one */

		CHECK_FOR_INTERRUPTS();
		if (*at == 0)
		{
			e->who[e->n_users] = e->users[i];
			e->when[e->n_users++] = e->times[i];
			*at = e->n_users;
		}
		e->when[*at - 1] = Min(e->when[*at - 1], e->times[i]);
	}
	pfree(place);
	starts = palloc_extended((n + 1) * sizeof(int64),
							 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int64 i = 0; i < e->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		starts[e->users[i] + 1]++;
	}
	for (int64 u = 0; u < n; u++)
		starts[u + 1] += starts[u];
	e->by_user = palloc_extended(e->n * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < e->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		e->by_user[starts[e->users[i]]++] = i;
	}
	pfree(starts);
}

static void
add_list(Spread *spreads, const Evaluation *e, const int64 *ids, int64 found)
{
	for (int j = 0; j < e->n_ks; j++)
	{
		Spread	   *s = &spreads[j];

		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < Min(found, e->ks[j]); i++)
		{
			uint64		bit = UINT64CONST(1) << (ids[i] % 64);

			if (!(s->shown[ids[i] / 64] & bit))
				s->n_shown++;
			s->shown[ids[i] / 64] |= bit;
			s->listens += e->serving->tower.recording_listens[ids[i]];
			s->entries++;
		}
	}
}

/* The list of users that the model knows nothing about, as serving gives it. */
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
	add_list(spreads, e, list.ids, list.n);
}

/* The lists that the model serves to a block of users. */
static void
add_model_lists(Spread *spreads, const Evaluation *e, int64 from, int64 m,
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
		if (!lbrec_is_warm(e->serving, e->who[i]))
		{
			add_popular_list(spreads, e, e->when[i]);
			continue;
		}
		scorers[known] = lbrec_scorer(tower, e->who[i]);
		each[known] = &scorers[known];
		users[known] = e->who[i];
		times[known++] = e->when[i];
	}
	if (known > 0)
	{
		lbrec_query_vectors(queries, tower, users, times, known, e->pool,
							scratch);
		request.m = known;
		lbrec_top_lists(lists, &request);
	}
	for (int i = 0; i < known; i++)
		add_list(spreads, e, lists[i].ids, lists[i].n);
	MemoryContextSwitchTo(old);
}

/* Coverage and popularity of the lists of all users, at each of ks. */
static Spread *
find_spreads(Evaluation *e, Recommender recommender)
{
	Size		words = (e->serving->tower.n_recordings + 63) / 64;
	Spread	   *spreads = palloc0(e->n_ks * sizeof(Spread));
	int64	   *ids = palloc_extended(e->most * sizeof(int64),
									  MCXT_ALLOC_HUGE);
	int64		block = Max(Min(USER_BLOCK, LIST_ENTRIES / e->most), 1);
	MemoryContext scratch = AllocSetContextCreate(e->context, "lbrec lists",
												  ALLOCSET_DEFAULT_SIZES);

	for (int j = 0; j < e->n_ks; j++)
		spreads[j].shown = palloc_extended(words * sizeof(uint64),
										   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int64 from = 0; from < e->n_users; from += block)
	{
		int64		m = Min(block, e->n_users - from);

		CHECK_FOR_INTERRUPTS();
		if (recommender == BY_MODEL)
			add_model_lists(spreads, e, from, m, scratch);
		else
			for (int64 i = 0; i < m; i++)
			{
				lbrec_baseline_user(&e->baselines, e->who[from + i]);
				add_list(spreads, e, ids,
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
 * The ranks of listens by users that the model knows nothing about, in the list
 * that is served to them at that time.
 */
static void
rank_strangers(Evaluation *e)
{
	int64	   *places = palloc_extended(e->n * sizeof(int64),
										 MCXT_ALLOC_HUGE);
	int64	   *times = palloc_extended(e->n * sizeof(int64),
										MCXT_ALLOC_HUGE);
	int32	   *truth = palloc_extended(e->n * sizeof(int32),
										MCXT_ALLOC_HUGE);
	int64	   *ranks = palloc_extended(e->n * sizeof(int64),
										MCXT_ALLOC_HUGE);
	int64		n = 0;

	for (int64 i = 0; i < e->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (e->truth[i] < 0 || lbrec_is_warm(e->serving, e->users[i]))
			continue;
		places[n] = i;
		times[n] = e->times[i];
		truth[n++] = e->truth[i];
	}
	lbrec_popular_ranks(ranks, e->serving, times, truth, n);
	for (int64 i = 0; i < n; i++)
		e->ranks[places[i]] = e->new_ranks[places[i]] = ranks[i];
	pfree(places);
	pfree(times);
	pfree(truth);
	pfree(ranks);
}

static void
find_ranks(Evaluation *e, Recommender recommender)
{
	RankRequest request = {.model = &e->serving->tower,
		.candidates = e->serving->tower.candidates, .n = e->n, .users = e->users,
		.times = e->times, .truth = e->truth, .most = e->most,
	.ranks = e->ranks, .new_ranks = e->new_ranks};

	if (recommender == BY_MODEL)
	{
		lbrec_rank_listens(&request, e->pool, e->context);
		rank_strangers(e);
		return;
	}
	for (int64 i = 0; i < e->n; i++)
	{
		int64		at = e->by_user[i];

		CHECK_FOR_INTERRUPTS();
		if (i == 0 || e->users[at] != e->users[e->by_user[i - 1]])
			lbrec_baseline_user(&e->baselines, e->users[at]);
		lbrec_baseline_rank(&e->ranks[at], &e->new_ranks[at], &e->baselines,
							recommender == BY_OWN_PLAYS, e->truth[at]);
	}
}

static void
put_rows(Evaluation *e, Recommender recommender, RowSink *sink)
{
	Spread	   *spreads = find_spreads(e, recommender);

	find_ranks(e, recommender);
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
		values[0] = CStringGetTextDatum(recommender_names[recommender]);
		values[1] = Int32GetDatum(e->ks[j]);
		values[2] = lbrec_figure_datum(m.top_k);
		values[3] = lbrec_figure_datum(m.ndcg);
		values[4] = lbrec_figure_datum(m.mrr);
		values[5] = lbrec_figure_datum(m.new_recall);
		values[6] = lbrec_figure_datum(m.new_ndcg);
		nulls[5] = nulls[6] = m.users == 0;
		e->any_new |= m.users > 0;
		values[7] = lbrec_figure_datum(coverage);
		values[8] = lbrec_figure_datum(popularity);
		values[9] = Int64GetDatum(e->n);
		values[10] = Int64GetDatum(e->unknown);
		values[11] = Int64GetDatum(m.users);
		lbrec_put_row(sink, values, nulls);
		e->rows[e->n_rows++] = (EvaluationRow)
		{
			.recommender = recommender_names[recommender], .k = e->ks[j],
				.top_k = m.top_k, .ndcg = m.ndcg, .mrr = m.mrr,
				.new_recall = nulls[5] ? NAN : m.new_recall,
				.new_ndcg = nulls[6] ? NAN : m.new_ndcg,
				.coverage = coverage, .mean_popularity = popularity,
				.users = m.users
		};
	}
}

/*
 * Evaluates as the arguments say, and keeps the rows if they are wanted.  A
 * recording that the model does not know is a miss; an unknown user is answered
 * with what is popular at that time, as lbrec_recommend() does it.
 */
static void
evaluate(FunctionCallInfo fcinfo, bool keep)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, EVALUATE_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListenSource source = {0};
	Evaluation	e = {.context = context};
	Dataset    *data;

	if (PG_ARGISNULL(EVALUATE_KS))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("ks must not be null"),
				 errhint("Leave the argument out to use its default.")));
	e.ks = read_ks(PG_GETARG_ARRAYTYPE_P(EVALUATE_KS), &e.n_ks);
	source.listens =
		lbrec_listens_columns(PG_ARGISNULL(EVALUATE_LISTENS) ?
							  lbrec_needed_listens() :
							  text_to_cstring(PG_GETARG_TEXT_PP(EVALUATE_LISTENS)),
							  "listens", "user_id, listened_at, recording_msid");
	data = lbrec_read_listens(&source, context);
	e.serving = lbrec_open_argument(fcinfo, EVALUATE_MODEL, EVALUATE_VERSION);
	e.n = data->n_listens;
	e.users = MemoryContextAllocHuge(context, e.n * sizeof(int32));
	e.truth = MemoryContextAllocHuge(context, e.n * sizeof(int32));
	e.times = MemoryContextAllocHuge(context, e.n * sizeof(int64));
	e.ranks = MemoryContextAllocHuge(context, e.n * sizeof(int64));
	e.new_ranks = MemoryContextAllocHuge(context, e.n * sizeof(int64));
	e.rows = palloc(3 * e.n_ks * sizeof(EvaluationRow));
	for (int j = 0; j < e.n_ks; j++)
		e.most = Max(e.most, e.ks[j]);
	e.most = Min(e.most, e.serving->tower.n_recordings);
	map_listens(e.serving, data, e.users, e.times, e.truth);
	lbrec_spool_free(data->listens);
	for (int64 i = 0; i < e.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		e.unknown += e.truth[i] < 0;
		e.known |= e.truth[i] >= 0 && e.users[i] > 0;
	}
	e.pool = lbrec_start_threads(context);
	find_users(&e);
	lbrec_baselines_init(&e.baselines, &e.serving->tower);
	for (int r = BY_MODEL; r <= BY_OWN_PLAYS; r++)
		put_rows(&e, r, &sink);
	if (e.known && !e.any_new)
		ereport(NOTICE,
				(errmsg("nothing that was evaluated is new to its user"),
				 errdetail("Model \"%s\" was trained on these listens, or on others of the same recordings by the same users; how well it finds them again says little.",
						   e.serving->image->row.name),
				 errhint("Evaluate listens that are later than those of the training.")));
	if (keep)
	{
		EvaluationHead head = {.model = e.serving->image->row.id,
			.kind = "evaluation", .listens = data->query,
			.first_time = data->first_time, .last_time = data->last_time,
		.n_listens = e.n, .unknown = e.unknown};

		SPI_connect();
		lbrec_keep_evaluation(&head, e.rows, e.n_rows);
		SPI_finish();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * lbrec_evaluate(model, listens, ks, version): the listens should be later
 * than those that the model was trained on.
 */
Datum
lbrec_evaluate(PG_FUNCTION_ARGS)
{
	evaluate(fcinfo, false);
	return (Datum) 0;
}

/*
 * lbrec_record_evaluation(model, listens, ks, version): the same, and keeps
 * the rows.
 */
Datum
lbrec_record_evaluation(PG_FUNCTION_ARGS)
{
	/* better now than after a long evaluation */
	PreventCommandIfReadOnly("lbrec_record_evaluation()");
	PreventCommandIfParallelMode("lbrec_record_evaluation()");
	evaluate(fcinfo, true);
	return (Datum) 0;
}
