/*
 * lb_softmax.h
 *		In-batch softmax cross entropy: loss and both gradients in one pass.
 *
 * Row i is a query, its positive is candidate i, every other candidate a
 * negative:
 *		logit[i][j] = scale * <q_i, c_j> + bias[j]
 *		loss[i]     = weight[i] * (log(sum_j exp(logit[i][j])) - logit[i][i])
 * Operations have the order of TFRS's Retrieval task: product, temperature,
 * minus log(q) for sampled candidates, masking of accidental hits, selection
 * of hard negatives.
 *
 * Same inputs, same thread count, same CPU level: the same bits.
 */
#ifndef LB_SOFTMAX_H
#define LB_SOFTMAX_H

#include "core/lb_core.h"
#include "core/lb_threads.h"

#define LB_SOFTMAX_MAX_D 1024

typedef struct LbSoftmax
{
	int			B;				/* rows: queries; row i's positive is column i */
	int			N;				/* columns, N >= B: the batch's candidates,
								 * then extra negatives */
	int			D;				/* embedding width, 1 to LB_SOFTMAX_MAX_D;
								 * fast for multiples of 16 */
	float		scale;			/* 1 / temperature */
	const float *bias;			/* (N), such as -log q, or NULL */
	const int32_t *ids;			/* (N) identity of each column's candidate:
								 * column j != i with ids[j] == ids[i] is
								 * masked. Or NULL */
	const float *weight;		/* (B) factor of each row's loss, or NULL: 1 */
	int			hard_negatives; /* 0: all; n: only each row's n highest
								 * negatives */
} LbSoftmax;

/* Returns the bytes of scratch (aligned to LB_ALIGN) for either call below. */
extern size_t lb_softmax_bytes(const LbSoftmax *p, int n_threads);

/*
 * Overwrites dq (B,D) and dc (N,D) with the gradient of the sum of row losses,
 * and *loss with that sum; q is (B,D), c (N,D).  pool may be NULL.  cancel is
 * polled about every millisecond.  After LB_CANCELLED or LB_NOT_FINITE (an
 * input or the loss is not), dq, dc and *loss are garbage.
 */
extern LbStatus lb_softmax_step(double *loss, float *dq, float *dc,
								const float *q, const float *c,
								const LbSoftmax *p, void *scratch,
								LbThreads *pool, LbCancel cancel);

/* Computes the same loss without gradients. */
extern LbStatus lb_softmax_loss(double *loss, const float *q, const float *c,
								const LbSoftmax *p, void *scratch,
								LbThreads *pool, LbCancel cancel);

#endif							/* LB_SOFTMAX_H */
