/*
 * trials.h
 *		Trains without the held-out listens, to find out how to train on all.
 */
#ifndef LBREC_TRAIN_TRIALS_H
#define LBREC_TRAIN_TRIALS_H

#include "pg/evaluate/metrics.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"

/* The result of a trial. */
typedef struct Trial
{
	TrainOptions options;
	double		metric;			/* metric of the best epoch */
	int			best_epoch;
	LbMix		mix;
	LbMomentWeights moment;		/* for one member */
	double		trend;
	EpochReport *reports;
	int			n_reports;
} Trial;

extern Trial lbrec_run_trial(const RunPlan *plan, const TrainOptions *options,
							 int n_members);
extern Trial *lbrec_best_trial(const RunPlan *plan);

#endif							/* LBREC_TRAIN_TRIALS_H */
