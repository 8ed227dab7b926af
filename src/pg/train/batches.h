/*
 * batches.h
 *		Training batches from listens or from users' lists.
 */
#ifndef LBREC_TRAIN_BATCHES_H
#define LBREC_TRAIN_BATCHES_H

#include "core/model/lb_gap.h"
#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/spool.h"
#include "pg/model/twotower.h"
#include "pg/train/feeder.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/split.h"

/* A row of a batch of users or sessions: one part of a list. */
typedef struct UserRow
{
	int32		list;
	int32		part;
} UserRow;

#define TEST_BATCH 4096			/* the preprint's */

/* The size of training batches. */
typedef struct BatchShape
{
	int			max_rows;		/* limit of B in a training batch */
	int			max_columns;	/* limit of N */
	int64		n_rows;			/* rows in an epoch, in batches of users */
	int			test_rows;		/* B and N of a batch of held-out listens */
} BatchShape;

typedef struct Batcher
{
	const Dataset *data;
	const TrainOptions *options;
	const TwoTower *model;		/* its inputs, shared by the members of an
								 * ensemble */
	const UserLists *lists;		/* recordings to train on, by user or session */
	const int32 *row_users;		/* user of each session, or NULL */
	const UserLists *sequence;	/* for history_window "before", else NULL */
	const Split *split;
	int32	   *played;			/* recordings to draw negatives from,
								 * (n_played); NULL: all */
	int64		n_played;
	LbRandom	rng;
	float	   *log_q;			/* (n_recordings + 1), or NULL */
	LbGap	   *gaps;			/* (n_recordings + 1) estimates that replace
								 * log_q */
	uint32		step;			/* number of batches so far */
	int			max_rows;		/* of the shape */
	int			max_columns;
	int64		n_rows;

	/* The current epoch: */
	Feeder		feeder;			/* for batches of listens */
	int64		next;			/* index in its window */
	UserRow    *rows;			/* for batches of users */
	uint32	   *row_order;
	uint64		epoch_key;

	/* The current batch: */
	InputBuffers query;
	InputBuffers candidate;
	Listen	   *listens;
	int32	   *users;
	int64	   *times;
	int32	   *recordings;		/* (N) */
	float	   *batch_log_q;	/* (N) */
	float	   *weights;
	LbSpan	   *histories;
	int32	   *arena;			/* codes of the histories */
	int64		arena_used;
	int32	   *positives;
	int32	   *positive_of;
	int32	   *column;			/* (n_recordings + 1) 1 + column of each
								 * recording */
	int32	   *seen;			/* (n_recordings + 1) the last history with it */
	int32		stamp;
	uint32	   *shuffled;		/* a user's list */
} Batcher;

extern BatchShape lbrec_batch_shape(const RunPlan *plan);
extern void lbrec_batcher_init(Batcher *b, const RunPlan *plan,
							   const BatchShape *shape, const TwoTower *model,
							   uint64 seed, MemoryContext context);
extern void lbrec_batcher_begin(Batcher *b);
extern bool lbrec_batcher_next(Batcher *b, LbBatch *batch);
extern double lbrec_batcher_done(const Batcher *b);
extern void lbrec_batcher_test(Batcher *b, LbBatch *batch,
							   const Listen *listens, int n);

#endif							/* LBREC_TRAIN_BATCHES_H */
