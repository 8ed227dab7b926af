/*
 * request.h
 *		What a training run is asked for, and what it leaves.
 */
#ifndef LBREC_TRAIN_REQUEST_H
#define LBREC_TRAIN_REQUEST_H

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/model/neighbours.h"
#include "pg/model/twotower.h"
#include "pg/train/options.h"

/* Called after each epoch; false ends the training there. */
typedef bool (*EpochCallback) (const EpochReport *report, void *arg);

typedef struct WarmStart WarmStart;

typedef struct TrainRequest
{
	const char *name;
	Dataset    *data;
	const TrainOptions *options;
	const char *test_listens;	/* SPLIT_QUERY: a query */
	WarmStart  *warm;			/* the model to continue, or NULL */
	EpochCallback callback;
	void	   *arg;
} TrainRequest;

/* The optimiser's, to continue from; of all members side by side. */
typedef struct States
{
	int			n;
	float	  **values[2];		/* by tensor: (rows, cols) */
	int		   *cols;
} States;

/* What a run leaves. */
typedef struct Trained
{
	TwoTower   *model;			/* weights of the best epoch */
	UserLists  *lists;			/* of all listens, as serving needs them */
	Neighbours *neighbours;		/* or NULL */
	States		states;
	int			best_epoch;
	double		temperature;	/* which trials may have found */
	double		trend;			/* weight in the logits of training */
} Trained;

#endif							/* LBREC_TRAIN_REQUEST_H */
