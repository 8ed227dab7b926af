/*
 * backtest.c
 *		lbrec_backtest(): how good settings would have been in the past.
 *
 * For each step a model is trained as of its beginning, on listens before it
 * alone, and measured on those of the step, which it has not seen.  Nothing is
 * saved.
 */
#include "pg/server/lbrec.h"

#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/listens/default.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/server/progress.h"
#include "pg/server/srf.h"
#include "pg/server/time.h"
#include "pg/train/judge.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/setting_values.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(lbrec_backtest);

#define N_COLUMNS 14

/* Of the judgement's recommenders. */
#define OF_MODEL 1
#define OF_POPULAR (2 + BASELINE_POPULAR)
#define OF_OWN_PLAYS (2 + BASELINE_OWN_PLAYS)

/* Places of the arguments. */
enum
{
	ARG_SETTINGS,
	ARG_START,
	ARG_STEP,
	ARG_STEPS,
	ARG_LISTENS,
	ARG_ITEMS,
	ARG_PRESET,
	ARG_USER_FEATURES,
	N_ARGS
};

typedef struct Backtest
{
	const char *listens;
	const char *items;			/* or NULL */
	ArrayType  *user_features;
	TrainOptions options;
	Interval   *step;
	int			steps;			/* at most */
} Backtest;

/* One step, from as_of on and before until. */
typedef struct Step
{
	TimestampTz as_of;
	TimestampTz until;
	int64		n_trained;
	int64		n_later;		/* listens after the step */
	Judgement	judgement;
} Step;

static void
needed(FunctionCallInfo fcinfo, int place, const char *name)
{
	if (PG_ARGISNULL(place))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 errhint("Leave the argument out to use its default, if it has one.")));
}

static TimestampTz
after(TimestampTz time, const Backtest *b)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(time),
												   PointerGetDatum(b->step)));
}

static void
read_arguments(Backtest *b, FunctionCallInfo fcinfo)
{
	TimestampTz start;

	if (PG_ARGISNULL(ARG_START))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("start is missing"),
				 errdetail("The first model is trained on the listens before it."),
				 errhint("For example: start => now() - interval '8 weeks'.")));
	needed(fcinfo, ARG_STEP, "step");
	needed(fcinfo, ARG_PRESET, "preset");
	start = PG_GETARG_TIMESTAMPTZ(ARG_START);
	if (TIMESTAMP_NOT_FINITE(start))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("start must be finite"),
				 errdetail("The first model is trained on the listens before it."),
				 errhint("For example: start => now() - interval '8 weeks'.")));
	lbrec_argument_time(start, "start");
	b->step = PG_GETARG_INTERVAL_P(ARG_STEP);
	if (after(start, b) <= start)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step is %s, but must be above 0",
						DatumGetCString(DirectFunctionCall1(interval_out,
															PointerGetDatum(b->step)))),
				 errdetail("It is the time from one training to the next."),
				 errhint("For example: step => '1 week'.")));
	b->steps = PG_ARGISNULL(ARG_STEPS) ? PG_INT32_MAX :
		PG_GETARG_INT32(ARG_STEPS);
	if (b->steps < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("steps is %d, but must be at least 1", b->steps),
				 errdetail("It is the number of models that are trained."),
				 errhint("Leave it out to go on to the last listen.")));
	b->listens = PG_ARGISNULL(ARG_LISTENS) ? lbrec_needed_listens() :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_LISTENS));
	b->items = PG_ARGISNULL(ARG_ITEMS) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_ITEMS));
	b->user_features = PG_ARGISNULL(ARG_USER_FEATURES) ? NULL :
		PG_GETARG_ARRAYTYPE_P(ARG_USER_FEATURES);
	lbrec_preset(&b->options,
				 text_to_cstring(PG_GETARG_TEXT_PP(ARG_PRESET)));
	if (!PG_ARGISNULL(ARG_SETTINGS))
		lbrec_set_settings(&b->options, PG_GETARG_JSONB_P(ARG_SETTINGS));
	if (b->options.split == SPLIT_QUERY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lbrec_backtest takes no split \"query\""),
				 errdetail("It has no test_listens: it measures on the listens of each step."),
				 errhint("Leave split out of settings.")));
	if (b->items)
		lbrec_drop_ids(&b->options);
	lbrec_fit_options(&b->options);
	lbrec_check_options(&b->options);
}

/* Trains as of the step's beginning, and measures on the step. */
static void
run_step(Step *step, const Backtest *b, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TrainOptions options = b->options;
	ListenSource before = {.listens = b->listens, .items = b->items,
		.with_features = true, .user_features = b->user_features,
		.bucketize = options.bucketize,
		.number_buckets = options.number_buckets, .bounded = true,
	.until = lbrec_unix_time(step->as_of) - 1};
	ListenSource during = {.listens = b->listens, .has_since = true,
		.since = lbrec_unix_time(step->as_of), .bounded = true,
	.until = lbrec_unix_time(step->until) - 1};
	TrainRequest request = {.name = "backtest", .options = &options};
	JudgeRequest to_judge = {.until = before.until,
		.metric = METRIC_NDCG_100};
	Dataset    *data;

	lbrec_progress("reading", -1, 0);
	request.data = lbrec_read_listens(&before, context);
	step->n_trained = request.data->n_listens;
	if (step->n_trained == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no listen is before start"),
				 errdetail("The first model is trained on the listens before %s.",
						   timestamptz_to_str(step->as_of)),
				 errhint("Give a later start, or widen the query of listens.")));
	to_judge.candidate = lbrec_run_training(&request, context);
	to_judge.candidate_data = request.data;
	data = lbrec_read_listens(&during, context);
	step->n_later = data->n_later;
	to_judge.data = data;
	lbrec_progress_phase("measuring");
	if (data->n_listens > 0)
		lbrec_judge(&step->judgement, &to_judge, context);
	lbrec_spool_free(request.data->listens);
	lbrec_spool_free(data->listens);
	MemoryContextSwitchTo(old);
}

/* The measures of a recommender at one of the kept K. */
static const Metrics *
at_k(const Judgement *j, int recommender, int k)
{
	for (int i = 0; i < N_KEPT_KS; i++)
		if (lbrec_kept_ks[i] == k)
			return &j->kept[recommender][i];
	elog(ERROR, "no measures are kept at %d", k);
	return NULL;				/* keep compiler quiet */
}

static void
put_row(const Step *step, instr_time start, RowSink *sink)
{
	const Judgement *j = &step->judgement;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};
	instr_time	now;
	int			c = 0;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	values[c++] = TimestampTzGetDatum(step->as_of);
	values[c++] = TimestampTzGetDatum(step->until);
	values[c++] = Int64GetDatum(step->n_trained);
	values[c++] = Int64GetDatum(j->n);
	values[c++] = Int64GetDatum(j->unknown);
	values[c++] = Int64GetDatum(at_k(j, OF_MODEL, REPORT_K)->users);
	values[c++] = lbrec_figure_datum(at_k(j, OF_MODEL, REPORT_K)->top_k);
	values[c++] = lbrec_figure_datum(at_k(j, OF_POPULAR, REPORT_K)->top_k);
	values[c++] = lbrec_figure_datum(at_k(j, OF_OWN_PLAYS, REPORT_K)->top_k);
	values[c++] = lbrec_figure_datum(at_k(j, OF_MODEL, REPORT_K)->new_recall);
	values[c++] = lbrec_figure_datum(at_k(j, OF_POPULAR, REPORT_K)->new_recall);
	values[c++] = lbrec_figure_datum(at_k(j, OF_MODEL, 100)->new_ndcg);
	values[c++] = lbrec_figure_datum(at_k(j, OF_POPULAR, 100)->new_ndcg);
	for (int i = 6; i < 9; i++)
		nulls[i] = j->n == 0;
	for (int i = 9; i < 13; i++)
		nulls[i] = at_k(j, OF_MODEL, REPORT_K)->users == 0;
	values[c++] = lbrec_figure_datum(INSTR_TIME_GET_DOUBLE(now));
	Assert(c == N_COLUMNS);
	lbrec_put_row(sink, values, nulls);
}

/*
 * lbrec_backtest(settings, start, step, steps, listens, items, preset,
 *				  user_features)
 */
Datum
lbrec_backtest(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, N_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec backtest",
												  ALLOCSET_DEFAULT_SIZES);
	Backtest	b = {0};
	Step		step = {0};

	read_arguments(&b, fcinfo);
	lbrec_progress_start("lbrec_backtest", "backtest", CurrentMemoryContext);
	step.as_of = PG_GETARG_TIMESTAMPTZ(ARG_START);
	for (int i = 0; i < b.steps; i++)
	{
		instr_time	start;

		CHECK_FOR_INTERRUPTS();
		INSTR_TIME_SET_CURRENT(start);
		step.until = after(step.as_of, &b);
		memset(&step.judgement, 0, sizeof(Judgement));
		lbrec_progress_stage(psprintf("step %d: ", i + 1));
		run_step(&step, &b, context);
		MemoryContextReset(context);
		put_row(&step, start, &sink);
		if (step.n_later == 0)
			break;
		step.as_of = step.until;
	}
	MemoryContextDelete(context);
	return (Datum) 0;
}
