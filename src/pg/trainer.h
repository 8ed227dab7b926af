/*
 * trainer.h
 *		A training run over a dataset.
 */
#ifndef LBREC_TRAINER_H
#define LBREC_TRAINER_H

#include "options.h"
#include "twotower.h"

#define N_TOP_KS 5
extern const int lbrec_top_ks[N_TOP_KS];

typedef struct EpochReport
{
	int			epoch;
	double		loss;			/* of a batch: mean over the epoch's batches */
	bool		evaluated;
	double		test_loss;
	double		top_k[N_TOP_KS];
	double		seconds;
	double		listens_per_second;
} EpochReport;

typedef void (*EpochCallback) (const EpochReport *report, void *arg);

extern TwoTower *lbrec_run_training(const char *name, Dataset *data,
									const TrainOptions *options,
									EpochCallback callback, void *arg,
									MemoryContext context);

#endif							/* LBREC_TRAINER_H */
