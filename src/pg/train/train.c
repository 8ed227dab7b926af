/*
 * train.c
 *		Trains a model: trials if the options want them, then the last run.
 */
#include "pg/train/train.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/rare.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/count.h"
#include "pg/model/score.h"
#include "pg/server/kernels.h"
#include "pg/server/progress.h"
#include "pg/train/epochs.h"
#include "pg/train/lift.h"
#include "pg/train/measure.h"
#include "pg/train/moment_fit.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/request.h"
#include "pg/train/score_fit.h"
#include "pg/train/split.h"
#include "pg/train/trials.h"
#include "pg/train/warm.h"

/* Raises an error if there are too few users or recordings to compare. */
static void
check_dataset(const Dataset *data, const TrainOptions *options)
{
	if (lbrec_vocabulary_size(data->recordings) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the listens are all of one recording"),
				 errdetail("Training compares recordings with each other."),
				 errhint("Widen the query of listens.")));
	if (strcmp(options->preset, "paper") == 0)
	{
		bool		found = false;

		for (int i = 0; i < data->n_features; i++)
			if (strcmp(data->features[i].name, "artist_name") == 0)
				found = true;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the query of listens has no column \"artist_name\""),
					 errdetail("The preset \"paper\" feeds it to the candidate tower."),
					 errhint("For example: listens => 'SELECT user_id, listened_at, recording_msid, artist_name FROM listen JOIN recording USING (recording_msid)'.")));
	}
}

/*
 * Makes the model of a run.  For serving, its counts include held-out listens.
 */
static Trained *
finish(const RunPlan *plan, const RunResult *result, LbMix mix,
	   const LbMomentWeights *moment)
{
	const TrainOptions *o = plan->options;
	CountRequest request = lbrec_count_request(plan->data, o, plan->warm,
											   CurrentMemoryContext);
	Counted		counted = plan->inputs->counted;
	Trained    *trained = palloc0(sizeof(Trained));

	if (plan->split->excluded)
		lbrec_count_listens(&counted, &request);
	trained->model = result->model;
	trained->states = result->states;
	lbrec_set_counted(trained->model, &counted);
	trained->model->mix = lbrec_mix_of_members(mix, o->ensemble);
	trained->model->moment = lbrec_moment_of_members(moment, 1, o->ensemble);
	lbrec_lift_new(trained->model, plan);
	trained->temperature = o->temperature;
	trained->trend = plan->trend;
	trained->best_epoch = result->best_epoch;
	trained->reports = result->reports;
	trained->n_reports = result->n_reports;
	return trained;
}

static void
measure_baselines(HeldOut *held, const RunPlan *plan)
{
	if (plan->split->n_test == 0)
		return;
	lbrec_progress_phase("measuring baselines");
	lbrec_measure_baselines(held, plan);
}

/* Notes once that batches have sessions instead of users. */
static void
tell_sessions(const RunPlan *plan)
{
	if (plan->inputs->row_users && plan->options->batch_by == BATCH_AUTO)
		ereport(NOTICE,
				(errmsg("with few users, rows of a batch are sessions"),
				 errdetail("The number of users is %d. So few show no difference in taste, but %lld sessions show which recordings are played together.",
						   lbrec_vocabulary_size(plan->data->users),
						   (long long) plan->inputs->rows->n_users),
				 errhint("Set \"batch_by\" in settings to choose yourself.")));
}

/* Trains once, without the held-out listens; common has no inputs yet. */
static Trained *
train_once(const RunPlan *common)
{
	RunPlan		plan = *common;
	RunResult  *result;
	LbMomentWeights moment;
	Trained    *trained;

	plan.keeps_best = true;
	plan.inputs = lbrec_training_inputs(plan.data, plan.options, plan.split,
										plan.warm, CurrentMemoryContext);
	tell_sessions(&plan);
	result = lbrec_run(&plan);
	moment = lbrec_fit_moment(&plan, result->model);
	trained = finish(&plan, result, result->mix, &moment);
	measure_baselines(&trained->held, &plan);
	return trained;
}

/*
 * Numbers the recordings by plays that are not held out, and removes rare
 * ones.  Held-out listens do not decide which are rare, unless a last training
 * on all listens follows: then all decide, and the plays returned, by the new
 * codes, are for the trials.
 */
static int64 *
settle_recordings(Dataset *data, const Split *split, const TrainOptions *o,
				  bool last_follows)
{
	int32		n_before = lbrec_vocabulary_size(data->recordings);
	int64	   *before = lbrec_training_plays(data, split->excluded);
	int32	   *map = lbrec_number_recordings(data, before, last_follows ?
											  data->recording_listens : before,
											  o->hash_buckets > 0 ? 1 :
											  o->min_listens);
	int32		n = lbrec_vocabulary_size(data->recordings);
	int64	   *plays = palloc_extended(((Size) n + 1) * sizeof(int64),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (int32 r = 0; r <= n_before; r++)
		plays[map[r]] += before[r];
	for (int64 i = 0; i < split->n_test; i++)
		split->test[i].recording = map[split->test[i].recording];
	pfree(before);
	pfree(map);
	return plays;
}

/*
 * Makes the dataset of trials.  Recordings that are rare without the held-out
 * listens come last: they are no candidates and are not trained on.
 */
static Dataset *
trial_dataset(const Dataset *data, Split *split, const TrainOptions *o,
			  int64 *plays)
{
	int32		size = lbrec_vocabulary_size(data->recordings);
	Dataset    *trial = palloc(sizeof(Dataset));
	int32		n = size;
	SpoolScan	scan;

	*trial = *data;
	trial->recording_listens = plays;
	while (o->hash_buckets == 0 && n > data->n_known_recordings &&
		   plays[n] < o->min_listens && !(data->listed && data->listed[n]))
		n--;
	if (n == size || n < 2)
		return trial;
	trial->recordings = lbrec_vocabulary_head(data->recordings, n);
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
			if (scan.block[i].recording > n)
				lbrec_exclude(split, scan.from + i);
	for (int64 i = 0; i < split->n_test; i++)
		if (split->test[i].recording > n)
			split->test[i].recording = 0;
	return trial;
}

/*
 * Runs trials without the held-out listens, then trains on all; common has no
 * inputs yet.
 */
static Trained *
train_again(const RunPlan *common, const Dataset *trial_data)
{
	RunPlan		trial = *common;
	RunPlan		last = *common;
	Split		all = {.n_train = common->data->n_listens};
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec inputs of trials",
												  ALLOCSET_DEFAULT_SIZES);
	HeldOut		held = {0};
	Trial	   *best;
	Trained    *trained;

	trial.data = trial_data;
	trial.epochs_after += (double) last.n_members *
		lbrec_expected_epochs(common);
	trial.inputs = lbrec_training_inputs(trial.data, trial.options,
										 trial.split, trial.warm, scratch);
	best = lbrec_best_trial(&trial);
	measure_baselines(&held, &trial);
	MemoryContextDelete(scratch);

	last.options = &best->options;
	last.split = &all;
	last.trend = best->trend;
	last.phase = "last training";
	if (best->best_epoch > 0)
		last.n_epochs = best->best_epoch;
	if (last.options->verbose)
		ereport(INFO,
				(errmsg("now on all listens: %d epochs of %d models side by side",
						last.n_epochs, last.n_members)));
	last.inputs = lbrec_training_inputs(last.data, last.options, &all,
										last.warm, CurrentMemoryContext);
	tell_sessions(&last);
	trained = finish(&last, lbrec_run(&last), best->mix, &best->moment);
	trained->best_epoch = best->best_epoch;
	trained->reports = best->reports;
	trained->n_reports = best->n_reports;
	trained->held = held;
	return trained;
}

/*
 * Splits the listens and numbers the recordings: makes a plan without inputs,
 * and the plays that are not held out.  True if a last training on all listens
 * follows; after trials one may, whatever the options say.
 */
static bool
prepare(RunPlan *plan, TrainOptions *options, Split *split, int64 **plays,
		const TrainRequest *request, bool only_trials)
{
	bool		last_follows;

	check_dataset(request->data, options);
	lbrec_split(split, request->data, options, request->test_listens,
				CurrentMemoryContext);
	if (split->n_test == 0)
	{
		/* for example, the last fifth of users with one listen each */
		lbrec_fix_epochs(options);
		split->excluded = NULL;
	}
	last_follows = options->refit && split->excluded;
	/* without a last training, no trial fits the weight of trends */
	options->refit = last_follows;
	*plays = settle_recordings(request->data, split, options,
							   last_follows || only_trials);
	plan->name = request->name;
	plan->options = options;
	plan->data = request->data;
	plan->split = split;
	plan->warm = request->warm;
	plan->trend = lbrec_warm_trend(request->warm, options);
	plan->callback = request->callback;
	plan->arg = request->arg;
	plan->n_members = options->ensemble;
	plan->n_epochs = options->epochs;
	plan->pool = lbrec_start_threads(CurrentMemoryContext);
	plan->epochs_after = request->epochs_after;
	plan->phase = "training";
	plan->times = palloc0(sizeof(RunTimes));
	return last_follows;
}

/*
 * Makes a plan for trials, which set its options and inputs; it lives in the
 * current context.  The dataset's recordings are numbered anew.
 */
RunPlan *
lbrec_trial_plan(const TrainRequest *request)
{
	RunPlan    *plan = palloc0(sizeof(RunPlan));
	TrainOptions *options = palloc(sizeof(TrainOptions));
	Split	   *split = palloc(sizeof(Split));
	int64	   *plays;

	*options = *request->options;
	prepare(plan, options, split, &plays, request, true);
	if (split->excluded == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("nothing is held out to compare trials on"),
				 errdetail("Users have too few listens for this split, or the settings hold none out."),
				 errhint("Set split to \"last\", \"time\" or \"random\", or widen the query of listens.")));
	plan->data = trial_dataset(request->data, split, options, plays);
	return plan;
}

/*
 * Trains a model; the result lives in context.  The dataset's recordings are
 * numbered anew.
 */
Trained *
lbrec_run_training(const TrainRequest *request, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TrainOptions options = *request->options;
	RunPlan		plan = {0};
	Split		split;
	int64	   *plays;
	Trained    *trained;

	if (prepare(&plan, &options, &split, &plays, request, false))
		trained = train_again(&plan, trial_dataset(request->data, &split,
												   &options, plays));
	else
	{
		memcpy(request->data->recording_listens, plays,
			   ((Size) lbrec_vocabulary_size(request->data->recordings) + 1) *
			   sizeof(int64));
		trained = train_once(&plan);
	}
	if (!lbrec_knows_tastes(trained->model))
		ereport(NOTICE,
				(errmsg("almost no user has played two recordings, so model \"%s\" knows no tastes",
						request->name),
				 errdetail("Everybody gets what is popular."),
				 errhint("Train again when users have played more.")));
	MemoryContextSwitchTo(old);
	return trained;
}

/*
 * The older model with the recordings of a catalogue, which the request's data
 * has beside no listens, as nothing is trained; it lives in context.
 */
Trained *
lbrec_extend_model(const TrainRequest *request, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TrainOptions options = *request->options;
	Split		none = {0};
	RunPlan		plan = {.name = request->name, .options = &options,
		.data = request->data, .split = &none, .warm = request->warm,
	.n_members = options.ensemble, .phase = "adding recordings"};
	RunResult  *result;
	LbMomentWeights moment = {0};
	Trained    *trained;

	plan.trend = lbrec_warm_trend(request->warm, &options);
	plan.pool = lbrec_start_threads(CurrentMemoryContext);
	plan.times = palloc0(sizeof(RunTimes));
	plan.inputs = lbrec_training_inputs(plan.data, &options, &none, plan.warm,
										CurrentMemoryContext);
	result = lbrec_run(&plan);
	trained = finish(&plan, result, result->mix, &moment);
	lbrec_warm_moment(request->warm, &options, &trained->model->moment);
	MemoryContextSwitchTo(old);
	return trained;
}
