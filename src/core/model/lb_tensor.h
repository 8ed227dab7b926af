/*
 * lb_tensor.h
 *		A named matrix of weights with its gradient and optimiser state.
 */
#ifndef LB_TENSOR_H
#define LB_TENSOR_H

#include "core/lb_random.h"
#include "core/lb_threads.h"

#define LB_NAME_LEN 96

/*
 * A term of a row's gradient: scale times a row of a tower's input gradient,
 * which must not change until the step is applied.
 */
typedef struct LbShare
{
	const float *from;			/* (cols) */
	float		scale;
	int32_t		next;			/* next term of the same row, or -1 */
} LbShare;

/*
 * An embedding table is sparse: a step touches few rows.  Their gradients are
 * never stored: shares[] lists their terms, which are summed when the row is
 * updated.  During a step slot[row] is 1 + the row's index in touched[], else
 * 0; first[] has the first term at that index.  A step may use at most
 * max_shares terms; one with more is refused.
 */
typedef struct LbTensor
{
	char		name[LB_NAME_LEN];
	int64_t		rows;
	int			cols;
	bool		sparse;
	float	   *value;			/* (rows, cols) */
	float	   *state[2];		/* (rows, cols) as many as the optimiser
								 * needs; row-wise: (rows) */
	float	   *grad;			/* (rows, cols); sparse: a row for each of
								 * LB_MAX_THREADS workers, for sums */
	int32_t    *slot;			/* sparse: (rows) */
	int32_t    *touched;		/* sparse: (max_touched) */
	int32_t    *first;			/* sparse: (max_touched) */
	LbShare    *shares;			/* sparse: (max_shares) */
	int64_t		max_shares;
	int64_t		n_touched;
	int64_t		n_shares;
} LbTensor;

typedef enum LbOptimizerKind
{
	LB_ADAGRAD,
	LB_ADAM,
	LB_SGD,
	LB_ROWWISE_ADAGRAD			/* one accumulator for each row of a table */
} LbOptimizerKind;

typedef struct LbOptimizer
{
	LbOptimizerKind kind;
	float		learning_rate;
	float		initial_accumulator;	/* Adagrad; Keras: 0.1 */
	float		epsilon;		/* Keras: 1e-7 */
	float		beta1;			/* Adam: 0.9 */
	float		beta2;			/* Adam: 0.999 */
	float		weight_decay;	/* decoupled, times the learning rate */
	float		clip_norm;		/* limit for the joint norm of all gradients;
								 * 0: none */
	int64_t		step;			/* steps taken; Adam's bias correction needs
								 * it */
} LbOptimizer;

extern int	lb_optimizer_states(const LbOptimizer *opt);
extern size_t lb_tensor_bytes(const LbTensor *t, const LbOptimizer *opt);
extern size_t lb_tensor_state_size(const LbTensor *t, const LbOptimizer *opt);
extern size_t lb_tensor_value_bytes(const LbTensor *t);
extern void lb_tensor_place(LbTensor *t, const LbOptimizer *opt, void *block,
							const LbThreads *pool);
extern LbStatus lb_tensor_fill_uniform(LbTensor *t, float limit,
									   LbRandom *rng, LbCancel cancel);

/* Returns LB_NOT_FINITE if a weight is not finite. */
extern LbStatus lb_tensor_check_finite(const LbTensor *t, LbCancel cancel);

/*
 * Returns LB_BAD_ARGUMENT if the row does not exist or max_shares are used up;
 * nothing is added then.
 */
extern LbStatus lb_tensor_add_share(LbTensor *t, int64_t row,
									const float *from, float scale);
extern void lb_optimizer_apply(LbOptimizer *opt, LbTensor *tensors,
							   int n_tensors, LbThreads *pool);

#endif							/* LB_TENSOR_H */
