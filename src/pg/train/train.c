/*
 * train.c
 *		Trains a model: trials where they are wanted, then the last run.
 */
#include "pg/train/train.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/neighbours.h"
#include "pg/server/kernels.h"
#include "pg/train/ensemble.h"
#include "pg/train/epochs.h"
#include "pg/train/moment_fit.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/request.h"
#include "pg/train/score_fit.h"
#include "pg/train/split.h"
#include "pg/train/trials.h"
#include "pg/train/warm.h"

/* Users and recordings enough for one to be told from the other. */
static void
check_dataset(const Dataset *data, const TrainOptions *options)
{
	if (lbrec_vocabulary_size(data->recordings) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the listens are all of one recording"),
				 errdetail("Recordings are learnt by telling them from each other."),
				 errhint("Widen the query of listens.")));
	if (lbrec_vocabulary_size(data->users) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the listens are all of one user"),
				 errdetail("Tastes are learnt by telling users from each other."),
				 errhint("Add listens of other users, for example from a ListenBrainz dump.")));
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
 * The model of a run, with the lists that serving reads: of all listens, held
 * out or not.
 */
static Trained *
finish(const RunPlan *plan, const RunResult *result, LbMix mix,
	   const LbMomentWeights *moment)
{
	const TrainOptions *o = plan->options;
	ListRequest request = {.power = o->repeat_power};
	Trained    *trained = palloc0(sizeof(Trained));

	if (plan->warm)
		request.older = lbrec_warm_lists(plan->warm);
	trained->model = result->model;
	trained->states = result->states;
	trained->lists = lbrec_make_lists(plan->data, &request,
									  CurrentMemoryContext);
	trained->neighbours = plan->lists->neighbours;
	if (trained->neighbours && plan->split->excluded)
		trained->neighbours =
			lbrec_count_neighbours(plan->data, NULL, o->neighbours,
								   plan->warm ?
								   lbrec_warm_neighbours(plan->warm) : NULL,
								   CurrentMemoryContext);
	trained->followers = plan->lists->followers;
	if (trained->followers && plan->split->excluded)
		trained->followers =
			lbrec_count_followers(plan->data, NULL, o->neighbours,
								  plan->warm ?
								  lbrec_warm_followers(plan->warm) : NULL,
								  CurrentMemoryContext);
	lbrec_set_lists(trained->model, trained->lists, trained->neighbours,
					trained->followers);
	trained->model->mix = lbrec_mix_of_members(mix, o->ensemble);
	trained->model->moment = lbrec_moment_of_members(moment, 1, o->ensemble);
	trained->temperature = o->temperature;
	trained->trend = plan->trend;
	trained->best_epoch = result->best_epoch;
	trained->reports = result->reports;
	trained->n_reports = result->n_reports;
	return trained;
}

/* Trains once, on what is not held out; common has no lists yet. */
static Trained *
train_once(const RunPlan *common)
{
	RunPlan		plan = *common;
	RunResult  *result;
	LbMomentWeights moment;

	plan.keeps_best = true;
	plan.lists = lbrec_training_lists(plan.data, plan.options, plan.split,
									  plan.warm, CurrentMemoryContext);
	result = lbrec_run(&plan);
	moment = lbrec_fit_moment(&plan, result->model);
	return finish(&plan, result, result->mix, &moment);
}

/*
 * Trials without what is held out, then a training on all listens; common has
 * no lists yet.
 */
static Trained *
train_again(const RunPlan *common)
{
	RunPlan		trial = *common;
	RunPlan		last = *common;
	Split		all = {.n_train = common->data->n_listens};
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec lists of trials",
												  ALLOCSET_DEFAULT_SIZES);
	Trial	   *best;
	Trained    *trained;

	trial.lists = lbrec_training_lists(trial.data, trial.options, trial.split,
									   trial.warm, scratch);
	best = lbrec_best_trial(&trial);
	MemoryContextDelete(scratch);

	last.options = &best->options;
	last.split = &all;
	last.trend = best->trend;
	last.callback = NULL;
	if (best->best_epoch > 0)
		last.n_epochs = best->best_epoch;
	if (last.options->verbose)
		ereport(INFO,
				(errmsg("now on all listens: %d epochs of %d models side by side",
						last.n_epochs, last.n_members)));
	last.lists = lbrec_training_lists(last.data, last.options, &all, last.warm,
									  CurrentMemoryContext);
	trained = finish(&last, lbrec_run(&last), best->mix, &best->moment);
	trained->best_epoch = best->best_epoch;
	trained->reports = best->reports;
	trained->n_reports = best->n_reports;
	return trained;
}

/* Trains a model; the result lives in context. */
Trained *
lbrec_run_training(const TrainRequest *request, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TrainOptions options = *request->options;
	RunPlan		plan = {.name = request->name, .options = &options,
		.data = request->data, .warm = request->warm,
	.callback = request->callback, .arg = request->arg};
	Split		split;
	Trained    *trained;

	check_dataset(request->data, &options);
	lbrec_split(&split, request->data, &options, request->test_listens,
				context);
	if (split.n_test == 0)
	{
		/* such as the last fifth of users with a listen each */
		lbrec_fix_epochs(&options);
		split.excluded = NULL;
	}
	plan.split = &split;
	plan.n_members = options.ensemble;
	plan.n_epochs = options.epochs;
	plan.pool = lbrec_start_threads(context);
	trained = options.refit && split.excluded ? train_again(&plan) :
		train_once(&plan);
	MemoryContextSwitchTo(old);
	return trained;
}
