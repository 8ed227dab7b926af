/*
 * plan.h
 *		The plan of a run of epochs, and its result.
 *
 * A plan does not change while it is carried out, and several runs may share
 * what it points to: trials at different temperatures read the same inputs.
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

/* Measured times, from which the time that is left is reckoned. */
typedef struct RunTimes
{
	double		epoch;			/* seconds of a member's epoch, or 0 */
	double		measure;		/* seconds of a measurement, or 0 */
} RunTimes;

/* Inputs of training beside the listens; nothing held out is in them. */
typedef struct TrainingInputs
{
	Counted		counted;		/* of the model that is trained */
	UserLists  *histories;		/* recordings of a user, latest first */
	const UserLists *rows;		/* lists that rows of a batch are parts of:
								 * histories, or sessions */
	const int32 *row_users;		/* of sessions: (rows + 1) users, or NULL */
	UserLists  *sequence;		/* listens of a user by time, or NULL */
	float	   *trends;			/* (n_recordings + 1), or NULL */
} TrainingInputs;

struct RunPlan
{
	const char *name;			/* of the model, for messages */
	const TrainOptions *options;
	const Dataset *data;
	const Split *split;
	const TrainingInputs *inputs;
	WarmStart  *warm;			/* the model to continue, or NULL */
	double		trend;			/* weight of trends in the logits; 0: none */
	int			n_members;		/* of the ensemble */
	int			n_epochs;		/* at most */
	bool		keeps_best;		/* the best epoch's weights, not the last's */
	EpochCallback callback;		/* or NULL */
	void	   *arg;
	LbThreads  *pool;

	/* for lbrec_progress */
	const char *phase;
	RunTimes   *times;
	int			expected_epochs;	/* 0: nothing is known */
	double		epochs_after;	/* members' epochs that follow this run */
	double		measures_after;
};

/* The optimiser's state, to continue from; of all members side by side. */
typedef struct States
{
	int			n;
	float	  **values[2];		/* by tensor: (rows, cols) */
	int		   *cols;
	int64		steps;			/* that made them */
} States;

typedef struct RunResult
{
	TwoTower   *model;			/* all members side by side */
	States		states;
	int			best_epoch;		/* 0: early stopping looked at none */
	double		best_metric;
	LbMix		mix;			/* of one member */
	double		trend;			/* weight that the held-out listens want */
	EpochReport *reports;		/* of the epochs */
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
