/*
 * trainer.h
 *		A training run over a dataset.
 */
#ifndef LBREC_TRAINER_H
#define LBREC_TRAINER_H

#include "lists.h"
#include "neighbours.h"
#include "options.h"
#include "twotower.h"

#define N_TOP_KS 5
extern const int lbrec_top_ks[N_TOP_KS];

/* The K of an epoch's recall and NDCG. */
#define REPORT_K 20

typedef struct EpochReport
{
	int			epoch;
	double		loss;			/* of a batch: mean over the epoch's batches */
	bool		evaluated;
	double		test_loss;
	double		top_k[N_TOP_KS];
	double		recall;			/* of new recordings, at REPORT_K */
	double		ndcg;
	double		ndcg_100;		/* the same at the largest of lbrec_top_ks */
	double		mrr;			/* of listens, at the largest of lbrec_top_ks */
	double		seconds;
	double		listens_per_second;
} EpochReport;

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

/* What a run leaves. */
typedef struct Trained
{
	TwoTower   *model;			/* weights of the best epoch */
	UserLists  *lists;			/* of all listens, as serving needs them */
	Neighbours *neighbours;		/* or NULL */
	int			n_states;		/* of the optimiser, to continue from */
	float	  **states[2];		/* by tensor: (rows, state_cols) */
	int		   *state_cols;
	int			best_epoch;
	double		temperature;	/* which trials may have found */
} Trained;

extern double lbrec_metric(Metric metric, const EpochReport *report);
extern Trained *lbrec_run_training(const TrainRequest *request,
								   MemoryContext context);

#endif							/* LBREC_TRAINER_H */
