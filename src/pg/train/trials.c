/*
 * trials.c
 *		Trains without the held-out listens, to find out how to train on all.
 *
 * A trial trains one member of the ensemble.  It finds the best number of
 * epochs and the weights of the score's parts (score_fit.c); trials at several
 * temperatures find the best temperature.  Then the model is trained anew on
 * everything (train.c).
 */
#include "pg/train/trials.h"

#include <math.h>

#include "utils/memutils.h"

#include "pg/evaluate/metrics.h"
#include "pg/train/epochs.h"
#include "pg/train/moment_fit.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"

/* Members that a trial trains: one finds nearly as much as all. */
#define TRIAL_MEMBERS 1

/* Factor between the temperatures of trials, and the limits of the search. */
#define TEMPERATURE_STEP 1.41421356237309505
#define MAX_STEPS 3

/* Usual number of trials in such a search. */
#define USUAL_TRIALS 4

/* Trains n_members with these options, and frees everything but the result. */
Trial
lbrec_run_trial(const RunPlan *plan, const TrainOptions *options,
				int n_members)
{
	Trial		trial = {.options = *options};
	RunPlan		own = *plan;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec trial run",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	RunResult  *result;

	own.options = &trial.options;
	own.n_members = n_members;
	result = lbrec_run(&own);
	MemoryContextSwitchTo(old);
	trial.metric = result->best_metric;
	trial.best_epoch = result->best_epoch;
	trial.mix = result->mix;
	trial.moment = lbrec_fit_moment(&own, result->model);
	trial.trend = result->trend;
	trial.n_reports = result->n_reports;
	trial.reports = palloc(result->n_reports * sizeof(EpochReport));
	memcpy(trial.reports, result->reports,
		   result->n_reports * sizeof(EpochReport));
	MemoryContextDelete(scratch);

	if (options->verbose && options->find_temperature)
		ereport(INFO,
				(errmsg("trial at temperature %g: %.4f after epoch %d, the best of %d",
						options->temperature, trial.metric, trial.best_epoch,
						trial.n_reports)));
	return trial;
}

/*
 * Runs the next trial of a search for a temperature, which few more will
 * follow; before, unless NULL, tells how many epochs a trial takes.
 */
static Trial
run_trial(const RunPlan *plan, const TrainOptions *options, int number,
		  const Trial *before)
{
	RunPlan		own = *plan;
	int			members = Min(TRIAL_MEMBERS, options->ensemble);
	double		more = !options->find_temperature ||
		number == MAX_STEPS + 2 ? 0 : Max(USUAL_TRIALS - number, 0.5);
	double		epochs;

	if (before)
		own.expected_epochs = before->n_reports;
	epochs = lbrec_expected_epochs(&own);
	own.phase = options->find_temperature ?
		psprintf("trial %d of at most %d", number, MAX_STEPS + 2) : "trial";
	own.epochs_after += more * epochs * members;
	own.measures_after += more * epochs / options->evaluate_every;
	return lbrec_run_trial(&own, options, members);
}

/* Runs trials at falling or rising temperatures as long as they improve. */
static bool
try_temperatures(Trial *best, int *number, const RunPlan *plan, double factor)
{
	bool		better = false;

	for (int i = 0; i < MAX_STEPS; i++)
	{
		TrainOptions options = best->options;
		Trial		trial;

		/* rounded, so that you can write it down */
		options.temperature = rint(options.temperature * factor * 1000) / 1000;
		trial = run_trial(plan, &options, ++*number, best);
		if (trial.best_epoch == 0 || trial.metric <= best->metric)
			break;
		*best = trial;
		better = true;
	}
	return better;
}

/*
 * Returns the trial whose options, epochs and weights the model is then
 * trained with, in the current context.
 *
 * The best temperature depends on the listens: catalogues with strong local
 * structure need a low one; sparse ones, in which many unplayed recordings
 * could have been played, a high one. A temperature that is off by a third
 * costs more quality than training a third fewer members. So unless the caller
 * sets one, trials search for it, starting from the preset's.
 */
Trial *
lbrec_best_trial(const RunPlan *plan)
{
	Trial	   *best = palloc(sizeof(Trial));
	int			number = 1;

	*best = run_trial(plan, plan->options, number, NULL);
	if (plan->options->find_temperature && best->best_epoch > 0 &&
		!try_temperatures(best, &number, plan, 1 / TEMPERATURE_STEP))
		try_temperatures(best, &number, plan, TEMPERATURE_STEP);
	return best;
}
