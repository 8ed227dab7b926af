/*
 * plan.h
 *		The plan of a run of epochs, and its result.
 *
 * A plan does not change while it is carried out, and several runs may share
 * its inputs: trials at different temperatures do.
 */
#ifndef LBREC_TRAIN_PLAN_H
#define LBREC_TRAIN_PLAN_H

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/train/options.h"
#include "pg/train/split.h"
#include "pg/train/warm.h"

typedef struct RunPlan RunPlan;

/* Called after each epoch. */
typedef void (*EpochCallback) (const RunPlan *plan, const EpochReport *report,
							   void *arg);

/* Measured times, from which the remaining time is estimated. */
typedef struct RunTimes
{
	double		epoch;			/* seconds of a member's epoch, or 0 */
	double		measure;		/* seconds of a measurement, or 0 */
} RunTimes;

/* Inputs of training beside the listens, without anything held out. */
typedef struct TrainingInputs
{
	Counted		counted;		/* for the trained model */
	UserLists  *histories;		/* recordings of a user, latest first */
	const UserLists *rows;		/* lists that rows of a batch are cut from:
								 * histories, or sessions */
	const int32 *row_users;		/* for sessions: (rows + 1) users, or NULL */
	UserLists  *sequence;		/* listens of a user by time, or NULL */
	float	   *trends;			/* (n_recordings + 1), or NULL */
} TrainingInputs;

struct RunPlan
{
	const char *name;			/* name of the model, for messages */
	const TrainOptions *options;
	const Dataset *data;
	const Split *split;
	const TrainingInputs *inputs;
	WarmStart  *warm;			/* the model to continue, or NULL */
	double		trend;			/* weight of trends in the logits; 0: none */
	int			n_members;		/* members of the ensemble */
	int			n_epochs;		/* maximum number of epochs */
	bool		keeps_best;		/* save the best epoch's weights, not the
								 * last's */
	EpochCallback callback;		/* or NULL */
	void	   *arg;
	LbThreads  *pool;

	/* For lbrec_progress: */
	const char *phase;
	RunTimes   *times;
	int			expected_epochs;	/* 0: unknown */
	double		epochs_after;	/* members' epochs after this run */
	double		measures_after;
};

/* The optimiser's states to continue from, of all members side by side. */
typedef struct States
{
	int			n;
	float	  **values[2];		/* by tensor: (rows, cols) */
	int		   *cols;
	int64		steps;			/* steps that made them */
} States;

typedef struct RunResult
{
	TwoTower   *model;			/* all members side by side */
	States		states;
	int			best_epoch;		/* 0: early stopping chose none */
	double		best_metric;
	LbMix		mix;			/* for one member */
	double		trend;			/* weight that fits the held-out listens best */
	EpochReport *reports;		/* report of each epoch */
	int			n_reports;
} RunResult;

extern int	lbrec_expected_epochs(const RunPlan *plan);
extern CountRequest lbrec_count_request(const Dataset *data,
										const TrainOptions *options,
										const WarmStart *warm,
										MemoryContext context);
extern TrainingInputs *lbrec_training_inputs(const Dataset *data,
											 const TrainOptions *options,
											 const Split *split,
											 const WarmStart *warm,
											 MemoryContext context);

#endif							/* LBREC_TRAIN_PLAN_H */
