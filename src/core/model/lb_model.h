/*
 * lb_model.h
 *		Two towers, their tensors, and one training step.
 */
#ifndef LB_MODEL_H
#define LB_MODEL_H

#include "core/model/lb_softmax.h"
#include "core/model/lb_tower.h"

#define LB_MAX_TENSORS 96

typedef struct LbModel
{
	int			n_tensors;
	LbTensor	tensors[LB_MAX_TENSORS];
	LbTower		query;
	LbTower		candidate;
} LbModel;

/* Options of the loss, compared with the plain in-batch softmax. */
typedef struct LbObjective
{
	bool		mean;			/* loss of the batch: mean if true, else sum */
	float		temperature;	/* divides the logits */
	bool		logq;			/* subtract log q of each candidate */
	bool		mask_hits;		/* accidental hits are no negatives */
	int			hard_negatives; /* negatives that count for a row; 0: all */
	float		dropout;		/* share of hidden units to drop */
} LbObjective;

/*
 * One batch: B queries, N >= B candidates, the first B of them the positives
 * of the queries in order, the rest extra negatives.
 *
 * With positive_of, a query has several positives: those of query i are the
 * columns positives[positive_of[i]] to positives[positive_of[i + 1] - 1], each
 * a term of the loss against every candidate (the multinomial likelihood of
 * Liang et al., WWW 2018).  Candidates are then distinct, and weight applies
 * to each term of the row.
 */
typedef struct LbBatch
{
	int			B;
	int			N;
	LbInputValues query[LB_MAX_INPUTS];
	LbInputValues candidate[LB_MAX_INPUTS];
	const int32_t *ids;			/* (N) candidate identities */
	const float *log_q;			/* (N) log sampling probability, or NULL */
	const float *weight;		/* (B) or NULL */
	const int32_t *positives;
	const int32_t *positive_of; /* (B + 1) or NULL */
} LbBatch;

/* Scratch of training steps with up to B queries and N candidates. */
typedef struct LbWorkspace
{
	LbTowerPass query;
	LbTowerPass candidate;
	float	   *dq;				/* (B, D) */
	float	   *dc;				/* (N, D) */
	float	   *bias;			/* (N) */
	float	   *weight;			/* (B): for several positives */
	void	   *softmax;
} LbWorkspace;

extern int	lb_model_add_table(LbModel *model, const char *name,
							   int64_t rows, int cols, int64_t max_shares);
extern void lb_model_add_input(LbTower *tower, LbInputKind kind, int table);
extern LbStatus lb_model_add_layers(LbModel *model, LbTower *tower,
									const char *tower_name,
									const int *layers, int n_layers);
extern int	lb_model_find_tensor(const LbModel *model, const char *name);
extern size_t lb_model_bytes(const LbModel *model, const LbOptimizer *opt);
extern void lb_model_place(LbModel *model, const LbOptimizer *opt,
						   void *block, const LbThreads *pool);
extern LbStatus lb_model_initialize(LbModel *model, uint64_t seed,
									LbCancel cancel);
extern size_t lb_workspace_bytes(const LbModel *model, int B, int N,
								 int n_threads);
extern void lb_workspace_place(LbWorkspace *ws, const LbModel *model,
							   int B, int N, int n_threads, void *block);
extern LbStatus lb_model_step(double *loss, LbModel *model, LbOptimizer *opt,
							  const LbObjective *objective,
							  const LbBatch *batch, LbWorkspace *ws,
							  LbThreads *pool, LbCancel cancel);
extern LbStatus lb_model_loss(double *loss, const LbModel *model,
							  const LbObjective *objective,
							  const LbBatch *batch, LbWorkspace *ws,
							  LbThreads *pool, LbCancel cancel);

#endif							/* LB_MODEL_H */
