/*
 * ensemble.h
 *		What the files of a training run share: the wide model and its members.
 */
#ifndef LBREC_TRAIN_ENSEMBLE_H
#define LBREC_TRAIN_ENSEMBLE_H

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/model/neighbours.h"
#include "pg/model/twotower.h"
#include "pg/train/batches.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/split.h"

#define TEST_BATCH 4096			/* the preprint's */

typedef struct Member
{
	TwoTower   *model;
	LbOptimizer optimizer;
	Batcher		batcher;
	MemoryContext context;		/* of its weights and batches */
} Member;

typedef struct Trainer
{
	const TrainRequest *request;
	Dataset    *data;
	const TrainOptions *options;
	MemoryContext context;
	TwoTower   *model;			/* the wide one */
	Member	   *members;
	int			n_members;
	LbThreads  *pool;
	LbObjective objective;
	LbSchedule	schedule;
	LbWorkspace workspace;
	bool		reports;		/* calls back after each epoch */
	EpochReport *kept;			/* reports of the epochs, or NULL */
	int			n_kept;
	Split		split;
	UserLists  *lists;			/* recordings trained on, by user */
	UserLists  *sequence;
	Neighbours *neighbours;		/* or NULL */
	States		states;
	float	   *trends;			/* (n_recordings + 1), or NULL */
	double		trend;			/* their weight in the logits of training */
	double		fitted_trend;	/* that a trial found; the best epoch's */
	LbMix		mix;			/* of one member */
	float	  **best;			/* the best epoch's values, by tensor, or NULL */
	LbMix		best_mix;
	double		best_trend;
	double		best_metric;
	int			best_epoch;
} Trainer;

extern Trainer *lbrec_prepare_run(const TrainRequest *request,
								  const Split *split, LbThreads *pool,
								  MemoryContext context);
extern Trainer *lbrec_run(const Trainer *prepared, const TrainOptions *options,
						  int n_members, int n_epochs, bool reports,
						  EpochReport *kept);
extern void lbrec_set_lists(TwoTower *model, const UserLists *lists,
							const Neighbours *neighbours);
extern void lbrec_build_members(Trainer *trainer);
extern void lbrec_begin_member(Trainer *trainer, int m);
extern void lbrec_lay_member(Trainer *trainer, int m);
extern void lbrec_end_member(Trainer *trainer, int m);

#endif							/* LBREC_TRAIN_ENSEMBLE_H */
