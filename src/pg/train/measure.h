/*
 * measure.h
 *		Measures a model during training on the held-out listens.
 */
#ifndef LBREC_TRAIN_MEASURE_H
#define LBREC_TRAIN_MEASURE_H

#include "pg/evaluate/metrics.h"
#include "pg/serve/baselines.h"
#include "pg/train/ensemble.h"
#include "pg/train/plan.h"

#include "core/model/lb_model.h"

/* The weights of the score's parts, fitted on the held-out listens. */
typedef struct FittedScore
{
	LbMix		mix;			/* for one member */
	double		trend;			/* in the logits of training */
} FittedScore;

/* The held-out listens, and the measures of the baselines. */
typedef struct HeldOut
{
	int64		n;				/* number of listens; 0: none */
	int64		unknown;		/* listens of recordings that are no
								 * candidates */
	int64		first_time;		/* microseconds since 1970 */
	int64		last_time;
	Metrics		baselines[N_BASELINES][N_KEPT_KS];
} HeldOut;

extern void lbrec_measure(EpochReport *report, FittedScore *fitted,
						  Ensemble *e, const LbObjective *objective);
extern void lbrec_measure_baselines(HeldOut *held, const RunPlan *plan);

#endif							/* LBREC_TRAIN_MEASURE_H */
