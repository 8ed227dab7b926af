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
 * A part of the gradient of a row: scale times a row of a tower's input
 * gradient, which stays there until the step is applied.
 */
typedef struct LbShare
{
	const float *from;			/* (cols) */
	float		scale;
	int32_t		next;			/* share of the same row, or -1 */
} LbShare;

/*
 * An embedding table is sparse: a step touches few rows.  Their gradients are
 * never written down: shares[] tells what they are sums of, and each is summed
 * when its row is moved.  slot[row] is 1 + the row's place in touched[] while
 * a step runs, 0 otherwise; first[] has the place's shares.  max_shares bounds
 * how often a step uses rows; batches must keep to it, and a step that
 * does not is refused.
 */
typedef struct LbTensor
{
	char		name[LB_NAME_LEN];
	int64_t		rows;
	int			cols;
	bool		sparse;
	float	   *value;			/* (rows, cols) */
	float	   *state[2];		/* (rows, cols) each as the optimiser needs;
								 * row-wise: (rows) */
	float	   *grad;			/* (rows, cols); sparse: a row for each of
								 * LB_MAX_THREADS workers, to sum in */
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
	LB_ROWWISE_ADAGRAD			/* one accumulator for a row of a table */
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
	float		clip_norm;		/* gradients together are at most that long;
								 * 0: no limit */
	int64_t		step;			/* steps taken, for Adam's bias */
} LbOptimizer;

extern int	lb_optimizer_states(const LbOptimizer *opt);
extern size_t lb_tensor_bytes(const LbTensor *t, const LbOptimizer *opt);
extern size_t lb_tensor_state_size(const LbTensor *t, const LbOptimizer *opt);
extern size_t lb_tensor_value_bytes(const LbTensor *t);
extern void lb_tensor_place(LbTensor *t, const LbOptimizer *opt, void *block,
							const LbThreads *pool);
extern LbStatus lb_tensor_fill_uniform(LbTensor *t, float limit,
									   LbRandom *rng, LbCancel cancel);

/* LB_NOT_FINITE when a weight is. */
extern LbStatus lb_tensor_check_finite(const LbTensor *t, LbCancel cancel);

/* LB_BAD_ARGUMENT: no such row, or max_shares are in use; nothing is added. */
extern LbStatus lb_tensor_add_share(LbTensor *t, int64_t row,
									const float *from, float scale);
extern void lb_optimizer_apply(LbOptimizer *opt, LbTensor *tensors,
							   int n_tensors, LbThreads *pool);

#endif							/* LB_TENSOR_H */
