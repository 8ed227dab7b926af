/*
 * measure.h
 *		Measures a model in training on the listens held out.
 */
#ifndef LBREC_TRAIN_MEASURE_H
#define LBREC_TRAIN_MEASURE_H

#include "pg/evaluate/metrics.h"
#include "pg/train/ensemble.h"

#include "core/model/lb_model.h"

/* The weights of the score's parts, as the listens held out want them. */
typedef struct FittedScore
{
	LbMix		mix;			/* of one member */
	double		trend;			/* in the logits of training */
} FittedScore;

extern void lbrec_measure(EpochReport *report, FittedScore *fitted,
						  Ensemble *e, const LbObjective *objective);

#endif							/* LBREC_TRAIN_MEASURE_H */
