/*
 * tune.c
 *		lbrec_tune(): finds good settings by successive halving.
 *
 * Trials differ in the settings for which the caller gives several values.
 * All are trained for a few epochs, the better half for twice as many, and so
 * on (Jamieson and Talwalkar, AISTATS 2016), on one split of listens that are
 * read once.  Trial 0 has the settings of a training without search, with the
 * temperature that trials would find, and is never dropped.
 *
 * The best of many trials is in part the luckiest.  So it is compared with
 * trial 0 once more, with another seed and, if the split is random, other
 * held-out listens; unless it is better again, trial 0 wins.  The winner is
 * trained anew as lbrec_train does, finally on all listens.
 *
 * A round trains from the beginning: continuing would save at most half of the
 * time, but keep every trial's weights in memory.
 */
#include "pg/server/lbrec.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pg/evaluate/metrics.h"
#include "pg/image/ready.h"
#include "pg/listens/dataset.h"
#include "pg/listens/default.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/server/progress.h"
#include "pg/server/srf.h"
#include "pg/store/versions.h"
#include "pg/train/gate.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/request.h"
#include "pg/train/save.h"
#include "pg/train/search.h"
#include "pg/train/setting_values.h"
#include "pg/train/settings.h"
#include "pg/train/train.h"
#include "pg/train/trials.h"

PG_FUNCTION_INFO_V1(lbrec_tune);

#define N_COLUMNS 7
#define MAX_TRIALS 1000

typedef struct TuneTrial
{
	int			number;			/* 0: the settings without search */
	const int  *choice;			/* indices of its values in the search; NULL
								 * for trial 0 */
	double		metric;			/* larger is better */
	int			epochs;			/* epochs of its last round; 0: not started */
	double		seconds;
} TuneTrial;

typedef struct Tuning
{
	const char *model;
	Search		search;
	TuneTrial  *trials;			/* trial 0 comes first */
	int			n_trials;
	Metric		metric;
	bool		nothing_new;	/* no held-out recording is new to its user,
								 * so mrr orders the trials */
	double		temperature;	/* for settings without a searched one; 0: the
								 * preset's */
	TimestampTz deadline;		/* 0: no deadline */
	double		epochs_after;	/* estimated epochs after the current trial */
	Dataset    *data;
} Tuning;

static bool
past_deadline(const Tuning *t)
{
	return t->deadline != 0 && GetCurrentTimestamp() >= t->deadline;
}

/* Makes the settings of a trial with at most that number of epochs. */
static void
trial_options(TrainOptions *o, const Tuning *t, const TuneTrial *trial,
			  int epochs)
{
	lbrec_search_options(o, &t->search, trial->choice);
	if (t->temperature > 0 && !lbrec_is_given(o, "temperature"))
		o->temperature = t->temperature;
	o->find_temperature = false;
	o->epochs = epochs;
	o->evaluate_every = Min(o->evaluate_every, epochs);
	o->early_stopping = t->metric;
	lbrec_check_options(o);
}

/* Makes trial 0 and the trials of the search. */
static void
choose_trials(Tuning *t, int wanted)
{
	int			n;
	int		   *choices = lbrec_search_choices(&n, &t->search, wanted);

	t->n_trials = n + 1;
	t->trials = palloc0(t->n_trials * sizeof(TuneTrial));
	for (int i = 1; i <= n; i++)
	{
		t->trials[i].number = i;
		t->trials[i].choice = choices + (i - 1) * t->search.n_knobs;
	}
}

/* Trains a trial and measures it; adds up the seconds. */
static double
measure(Tuning *t, const RunPlan *plan, const TuneTrial *trial,
		int epochs, double *seconds)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec trial",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	TrainOptions options;
	RunPlan		own = *plan;
	Trial		found;

	trial_options(&options, t, trial, epochs);
	own.n_epochs = epochs;
	own.phase = trial->number == 0 ? "trial without a search" :
		psprintf("trial %d of %d", trial->number, t->n_trials - 1);
	own.epochs_after = t->epochs_after;
	own.inputs = lbrec_training_inputs(plan->data, &options, plan->split,
									   NULL, scratch);
	found = lbrec_run_trial(&own, &options,
							t->search.tunes_ensemble ? options.ensemble : 1);
	t->nothing_new = lbrec_metric_of_new(t->metric) && found.n_reports > 0 &&
		found.reports[found.n_reports - 1].new_users == 0;
	for (int i = 0; i < found.n_reports; i++)
		*seconds += found.reports[i].seconds;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return found.metric;
}

/* Returns the temperature that trials find for the settings without search. */
static double
default_temperature(const Tuning *t, const RunPlan *plan)
{
	MemoryContext scratch;
	MemoryContext old;
	TrainOptions options;
	RunPlan		own = *plan;
	double		temperature;

	lbrec_search_options(&options, &t->search, NULL);
	if (!options.find_temperature)
		return 0;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "lbrec trial",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	own.options = &options;
	own.inputs = lbrec_training_inputs(plan->data, &options, plan->split,
									   NULL, scratch);
	temperature = lbrec_best_trial(&own)->options.temperature;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return temperature;
}

/* Makes a plan for trials, with the seed of the settings or the next one. */
static RunPlan *
tuning_plan(const Tuning *t, int seed_step)
{
	TrainOptions options;
	TrainRequest request = {.name = t->model, .data = t->data,
		.options = &options};

	lbrec_search_options(&options, &t->search, NULL);
	options.seed += seed_step;
	return lbrec_trial_plan(&request);
}

/* Orders trials: those trained longest first, then the better ones. */
static int
compare_trials(const void *a, const void *b)
{
	const TuneTrial *x = a;
	const TuneTrial *y = b;

	if (x->epochs != y->epochs)
		return x->epochs > y->epochs ? -1 : 1;
	if (x->metric != y->metric)
		return x->metric > y->metric ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/*
 * Numbers the places: ties share a place; trials that were not started come
 * last.
 */
static void
put_trials(const Tuning *t, int saved, RowSink *sink)
{
	int			place = 1;

	for (int i = 0; i < t->n_trials; i++)
	{
		const TuneTrial *trial = &t->trials[i];
		Datum		values[N_COLUMNS];
		bool		nulls[N_COLUMNS] = {0};

		if (i > 0 && (trial->epochs != trial[-1].epochs ||
					  trial->metric != trial[-1].metric))
			place = i + 1;
		values[0] = Int32GetDatum(place);
		values[1] = Int32GetDatum(trial->number);
		values[2] = JsonbPGetDatum(lbrec_search_json(&t->search,
													 trial->choice));
		values[3] = Int32GetDatum(trial->epochs);
		values[4] = lbrec_figure_datum(t->metric == METRIC_TEST_LOSS ?
									   -trial->metric : trial->metric);
		nulls[4] = trial->epochs == 0 || t->nothing_new;
		values[5] = lbrec_figure_datum(trial->seconds);
		values[6] = BoolGetDatum(trial->number == saved);
		lbrec_put_row(sink, values, nulls);
	}
}

/*
 * Estimates the epochs after a trial of round r, with left trials to come in
 * it: those, as many in each later round, the second comparison, and the last
 * training.
 */
static double
epochs_to_come(const Tuning *t, int left, int r, int max_epochs)
{
	TrainOptions options;

	lbrec_search_options(&options, &t->search, NULL);
	return (double) Max(left, 0) * Max(max_epochs >> r, 1) +
		(double) r * Max(t->n_trials / 2, 1) * Max(max_epochs >> r, 1) +
		2.0 * max_epochs + (double) options.epochs * (options.ensemble + 1) / 2;
}

/* Runs rounds of trials, each with half of them for twice as many epochs. */
static void
run_rounds(Tuning *t, const RunPlan *plan, int max_epochs)
{
	int			rounds = 0;
	int			in_round = t->n_trials;

	while ((t->n_trials >> rounds) > 1 && (max_epochs >> (rounds + 1)) > 0)
		rounds++;
	for (int r = rounds; r >= 0; r--)
	{
		int			epochs = Max(max_epochs >> r, 1);

		for (int i = 0; i < t->n_trials; i++)
		{
			TuneTrial  *trial = &t->trials[i];

			if (i >= in_round && trial->number > 0)
				continue;
			if (r < rounds || i > 0)
				if (past_deadline(t))
					break;
			t->epochs_after = epochs_to_come(t, in_round - i - 1, r, max_epochs);
			trial->metric = measure(t, plan, trial, epochs, &trial->seconds);
			trial->epochs = epochs;
		}
		qsort(t->trials, t->n_trials, sizeof(TuneTrial), compare_trials);
		if (past_deadline(t))
			break;
		in_round = Max(in_round / 2, 1);
	}
}

/* Finds trial 0 in the sorted array. */
static TuneTrial *
default_trial(const Tuning *t)
{
	for (int i = 0; i < t->n_trials; i++)
		if (t->trials[i].number == 0)
			return &t->trials[i];
	return NULL;
}

/*
 * Returns the first trial if it beats trial 0 a second time, with another
 * seed; else trial 0.
 */
static const TuneTrial *
find_winner(Tuning *t, int epochs)
{
	TuneTrial  *best = &t->trials[0];
	TuneTrial  *none = default_trial(t);
	MemoryContext scratch;
	MemoryContext old;
	RunPlan    *plan;
	double		of_best;
	double		of_none;

	if (best->number == 0 || best->epochs == 0)
		return none;
	/* compare after equal epochs; a tie does not win */
	if (none->epochs == best->epochs && best->metric <= none->metric)
		return none;
	if (past_deadline(t))
		return none->epochs == best->epochs ? best : none;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "lbrec second look",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	plan = tuning_plan(t, 1);
	of_best = measure(t, plan, best, epochs, &best->seconds);
	of_none = measure(t, plan, none, epochs, &none->seconds);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return of_best > of_none ? best : none;
}

/* Trains the winner as lbrec_train does, and saves it. */
static int32
train_winner(const Tuning *t, const TuneTrial *winner, bool activate,
			 MemoryContext context)
{
	TrainOptions options;
	TrainRequest request = {.name = t->model, .data = t->data,
		.options = &options};
	Trained    *trained;

	lbrec_search_options(&options, &t->search, winner->choice);
	options.activate = activate;
	trained = lbrec_run_training(&request, context);
	options.temperature = trained->temperature;
	lbrec_compare_with_popular(t->model, trained, &options);
	lbrec_progress_phase("saving");
	return lbrec_save_model(t->model, trained, t->data, &options,
							trained->reports, trained->n_reports);
}

/* Reads the listens, with the settings that all trials share. */
static void
read_listens(Tuning *t, const char *listens, MemoryContext context)
{
	ListenSource source = {.with_features = true, .listens = listens};
	TrainOptions options;

	lbrec_search_options(&options, &t->search, NULL);
	if (options.split == SPLIT_NONE || options.split == SPLIT_QUERY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trials cannot be compared with this split"),
				 errdetail("Trials are measured on held-out listens of the query."),
				 errhint("Set split to \"last\", \"time\" or \"random\".")));
	source.bucketize = options.bucketize;
	source.number_buckets = options.number_buckets;
	t->data = lbrec_read_listens(&source, context);
}

/* Positions of the arguments. */
enum
{
	ARG_MODEL,
	ARG_LISTENS,
	ARG_SEARCH,
	ARG_TRIALS,
	ARG_METRIC,
	ARG_EPOCHS,
	ARG_TIME_LIMIT,
	ARG_PRESET,
	ARG_SETTINGS,
	ARG_ACTIVATE,
	N_ARGS
};

/*
 * lbrec_tune(model, listens, search, trials, metric, epochs, time_limit,
 *			  preset, settings, activate)
 */
Datum
lbrec_tune(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, N_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec tuning",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Tuning		t = {0};
	MemoryContext scratch;
	const TuneTrial *winner;
	RunPlan    *plan;
	int			trials;
	int			max_epochs;
	int32		version;

	for (int i = 0; i < N_ARGS; i++)
		if (PG_ARGISNULL(i) && i != ARG_LISTENS && i != ARG_TIME_LIMIT &&
			i != ARG_SETTINGS)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("arguments of lbrec_tune must not be null"),
					 errdetail("Only listens, time_limit and settings may be."),
					 errhint("Leave the argument out to use its default, if it has one.")));
	PreventCommandIfReadOnly("lbrec_tune()");
	PreventCommandIfParallelMode("lbrec_tune()");
	t.model = text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODEL));
	trials = PG_GETARG_INT32(ARG_TRIALS);
	max_epochs = PG_GETARG_INT32(ARG_EPOCHS);
	t.search.preset = text_to_cstring(PG_GETARG_TEXT_PP(ARG_PRESET));
	if (trials < 1 || trials > MAX_TRIALS || max_epochs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trials is %d and epochs %d", trials, max_epochs),
				 errdetail("There may be 1 to %d trials, of at least one epoch.",
						   MAX_TRIALS),
				 errhint("Leave the arguments out to use their defaults.")));
	lbrec_check_name(t.model);
	t.metric = lbrec_setting_choice("early_stopping", "metric",
									text_to_cstring(PG_GETARG_TEXT_PP(ARG_METRIC)));
	if (t.metric == METRIC_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metric \"none\" cannot order trials"),
				 errhint("Use \"ndcg_20\", for example.")));
	if (!PG_ARGISNULL(ARG_TIME_LIMIT))
		t.deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
															 TimestampTzGetDatum(GetCurrentTimestamp()),
															 PG_GETARG_DATUM(ARG_TIME_LIMIT)));
	if (!PG_ARGISNULL(ARG_SETTINGS))
		t.search.settings = PG_GETARG_JSONB_P(ARG_SETTINGS);
	lbrec_read_search(&t.search, PG_GETARG_JSONB_P(ARG_SEARCH));
	choose_trials(&t, trials);
	lbrec_progress_start("lbrec_tune", t.model, context);
	lbrec_progress("reading", -1, 0);
	read_listens(&t, PG_ARGISNULL(ARG_LISTENS) ? lbrec_needed_listens() :
				 text_to_cstring(PG_GETARG_TEXT_PP(ARG_LISTENS)), context);

	scratch = AllocSetContextCreate(context, "lbrec rounds",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	plan = tuning_plan(&t, 0);
	t.temperature = default_temperature(&t, plan);
	run_rounds(&t, plan, max_epochs);
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);

	winner = find_winner(&t, max_epochs);
	if (t.nothing_new)
		ereport(NOTICE,
				(errmsg("nothing that was held out is new to its user"),
				 errdetail("The metric counts recordings that a user has not played before, so value is NULL; mrr ordered the trials."),
				 errhint("Use metric => 'mrr', or a split that holds out later listens.")));
	if (winner->number == 0)
		ereport(NOTICE,
				(errmsg("no trial is reliably better than the settings without a search"),
				 errdetail("Model \"%s\" is trained with those.", t.model)));
	version = train_winner(&t, winner, PG_GETARG_BOOL(ARG_ACTIVATE), context);
	MemoryContextSwitchTo(old);
	put_trials(&t, winner->number, &sink);
	lbrec_spool_free(t.data->listens);
	if (PG_GETARG_BOOL(ARG_ACTIVATE))
		lbrec_prepare_image(t.model);
	lbrec_tell_default(t.model, version);
	MemoryContextDelete(context);
	return (Datum) 0;
}
