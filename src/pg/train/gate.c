/*
 * gate.c
 *		Compares a training with the most popular recordings.
 *
 * A model that predicts held-out listens worse than a list of popular
 * recordings is useless, but answers like any other, so you need a warning.
 */
#include "pg/train/gate.h"

#include <math.h>

#include "pg/evaluate/metrics.h"
#include "pg/train/measure.h"
#include "pg/train/options.h"

/* A training must be worse by this many standard errors for a warning. */
#define SURE_ERRORS 2

/*
 * Returns the report of the saved epoch: the best, or the last measured one;
 * NULL if none was measured.
 */
const EpochReport *
lbrec_saved_report(const Trained *trained)
{
	if (trained->best_epoch > 0)
		return &trained->reports[trained->best_epoch - 1];
	for (int i = trained->n_reports - 1; i >= 0; i--)
		if (trained->reports[i].evaluated)
			return &trained->reports[i];
	return NULL;
}

/*
 * Returns the metric to compare by: the one that chose the epoch, if a list
 * has it, too.
 */
static Metric
compared_metric(const TrainOptions *o)
{
	if (o->early_stopping == METRIC_NONE ||
		o->early_stopping == METRIC_TEST_LOSS)
		return METRIC_NDCG_100;
	return o->early_stopping;
}

/*
 * Warns if the training is significantly worse than the most popular
 * recordings on its held-out listens.  With require_better, a model that is
 * not better, or that held out nothing, does not become active: options are
 * changed.
 *
 * A measure is a mean of values from 0 to 1, so its standard error is at most
 * sqrt(mean (1 - mean) / n).
 */
void
lbrec_compare_with_popular(const char *name, const Trained *trained,
						   TrainOptions *options)
{
	const EpochReport *report = lbrec_saved_report(trained);
	Metric		metric = compared_metric(options);
	bool		of_users = lbrec_metric_of_new(metric);
	bool		waits = options->activate && options->require_better;
	const Metrics *popular_kept = trained->held.baselines[BASELINE_POPULAR];
	int64		n = 0;
	double		value;
	double		popular;

	if (report != NULL)
		n = of_users ? report->kept[N_KEPT_KS - 1].users : trained->held.n;
	if (n == 0)
	{
		if (!waits)
			return;
		options->activate = options->make_default = false;
		ereport(WARNING,
				(errmsg("the new version of model \"%s\" is not active", name),
				 errdetail("Nothing was held out to compare it with popular recordings on, as require_better asks."),
				 errhint("Set split to \"last\", \"time\" or \"random\", or activate the version with lbrec_activate.")));
		return;
	}
	value = lbrec_metric_kept(metric, report->kept);
	popular = lbrec_metric_kept(metric, popular_kept);
	if (waits && value <= popular)
	{
		options->activate = options->make_default = false;
		ereport(WARNING,
				(errmsg("the new version of model \"%s\" is not active", name),
				 errdetail("It is not better than the most popular recordings, as require_better asks: %s is %.4f, theirs %.4f.",
						   lbrec_metric_name(metric), value, popular),
				 errhint("Look at its rows in lbrec.evaluation, and train with more listens or other settings.")));
	}
	else if (value + SURE_ERRORS * sqrt(popular * (1 - popular) / n) < popular)
		ereport(WARNING,
				(errmsg("model \"%s\" is worse than the most popular recordings",
						name),
				 errdetail("On the listens that were held out, %s is %.4f, theirs %.4f.",
						   lbrec_metric_name(metric), value, popular),
				 errhint("Train with more listens or other settings. The setting require_better keeps such a version from becoming active.")));
}
