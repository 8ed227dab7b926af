/*
 * trials.c
 *		Training without what is held out, to find out how to train on all.
 *
 * A trial is one member of the ensemble.  It tells how many epochs are best
 * and how the parts of a score are to be weighed (weigh.c), and trials at
 * several temperatures tell which one the listens want; then the model is
 * trained anew on everything (trainer.c).
 */
#include "pg/train/trials.h"

#include <math.h>

#include "utils/memutils.h"

#include "pg/evaluate/metrics.h"
#include "pg/train/ensemble.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/split.h"

/* Members of an ensemble whose quality is that of all, nearly enough. */
#define TRIAL_MEMBERS 1

/* Between the temperatures of trials, and how far they go either way. */
#define TEMPERATURE_STEP 1.41421356237309505
#define MAX_STEPS 3

/*
 * A trial: a member is trained without what is held out, to learn how many
 * epochs are best and how a score's parts are to be weighed.
 */
static Trial
run_trial(const Trainer *prepared, const TrainOptions *options)
{
	Trial		trial = {.options = *options};
	MemoryContext scratch;
	MemoryContext old;
	Trainer    *trainer;

	trial.reports = palloc(options->epochs * sizeof(EpochReport));
	scratch = AllocSetContextCreate(CurrentMemoryContext, "lbrec trial run",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	trainer = lbrec_run(prepared, &trial.options,
						Min(TRIAL_MEMBERS, options->ensemble), options->epochs,
						!options->find_temperature, trial.reports);
	trial.metric = trainer->best_metric;
	trial.best_epoch = trainer->best_epoch;
	trial.mix = trainer->mix;
	trial.trend = trainer->fitted_trend;
	trial.n_reports = trainer->n_kept;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);

	/* its epochs are not shown before the last trial: say that it goes on */
	if (options->verbose && options->find_temperature)
		ereport(INFO,
				(errmsg("trial at temperature %g: %.4f after epoch %d, the best of %d",
						options->temperature, trial.metric, trial.best_epoch,
						trial.n_reports)));
	return trial;
}

/* Trials at temperatures that fall, or rise, for as long as that is better. */
static bool
try_temperatures(Trial *best, const Trainer *prepared, double factor)
{
	bool		better = false;

	for (int i = 0; i < MAX_STEPS; i++)
	{
		TrainOptions options = best->options;
		Trial		trial;

		/* a number that people can say again */
		options.temperature = rint(options.temperature * factor * 1000) / 1000;
		trial = run_trial(prepared, &options);
		if (trial.best_epoch == 0 || trial.metric <= best->metric)
			break;
		*best = trial;
		better = true;
	}
	return better;
}

/*
 * The trial whose options, epochs and weights the model is trained with.
 *
 * How sharply a user's vector must tell recordings apart depends on the
 * listens: catalogues with strong local structure want a low temperature,
 * sparse ones, where much of what was not played might have been, a high one.
 * A third too low or too high costs more than a third of the members, so
 * unless the caller gave one, it is searched from the preset's, downhill.
 */
Trial
lbrec_best_trial(const TrainRequest *request, const Split *split,
				 LbThreads *pool, MemoryContext context)
{
	MemoryContext scratch = AllocSetContextCreate(context, "lbrec trials",
												  ALLOCSET_DEFAULT_SIZES);
	Trainer    *prepared = lbrec_prepare_run(request, split, pool, scratch);
	Trial		best = run_trial(prepared, request->options);

	if (!request->options->find_temperature)
	{
		MemoryContextDelete(scratch);
		return best;
	}
	if (best.best_epoch > 0 &&
		!try_temperatures(&best, prepared, 1 / TEMPERATURE_STEP))
		try_temperatures(&best, prepared, TEMPERATURE_STEP);
	for (int i = 0; i < best.n_reports; i++)
		if (!request->callback(&best.reports[i], request->arg))
			break;
	MemoryContextDelete(scratch);
	return best;
}
