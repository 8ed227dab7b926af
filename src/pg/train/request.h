/*
 * request.h
 *		The request for a training, and its result.
 */
#ifndef LBREC_TRAIN_REQUEST_H
#define LBREC_TRAIN_REQUEST_H

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/model/twotower.h"
#include "pg/train/measure.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/warm.h"

typedef struct TrainRequest
{
	const char *name;
	Dataset    *data;
	const TrainOptions *options;
	const char *test_listens;	/* SPLIT_QUERY: a query */
	WarmStart  *warm;			/* the model to continue, or NULL */
	double		epochs_after;	/* members' epochs that follow this training,
								 * for lbrec_progress */
	EpochCallback callback;		/* or NULL */
	void	   *arg;
} TrainRequest;

typedef struct Trained
{
	TwoTower   *model;			/* with its counts over all listens */
	States		states;
	int			best_epoch;
	double		temperature;	/* chosen by trials, or that of the settings */
	double		trend;			/* weight in the logits of training */
	EpochReport *reports;		/* with refit, those of the best trial */
	int			n_reports;
	HeldOut		held;			/* the listens of these reports */
} Trained;

#endif							/* LBREC_TRAIN_REQUEST_H */
