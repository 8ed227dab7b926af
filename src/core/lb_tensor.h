/*
 * lb_tensor.h
 *		A named matrix of weights with its gradient and optimiser state.
 */
#ifndef LB_TENSOR_H
#define LB_TENSOR_H

#include "core/lb_random.h"
#include "core/lb_threads.h"

#define LB_NAME_LEN 64

/*
 * An embedding table is sparse: a step touches few rows, so its gradient holds
 * only these.  slot[row] is 1 + the row's place in grad while a step runs, 0
 * otherwise; touched[] is the way back.  max_touched bounds the rows of a step;
 * who fills batches keeps to it.
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
	float	   *grad;			/* (rows, cols), sparse: (max_touched, cols) */
	int32_t    *slot;			/* sparse: (rows) */
	int32_t    *touched;		/* sparse: (max_touched) */
	int64_t		max_touched;
	int64_t		n_touched;
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
extern int32_t lb_tensor_touch(LbTensor *t, int64_t row);
extern void lb_optimizer_apply(LbOptimizer *opt, LbTensor *tensors,
							   int n_tensors, LbThreads *pool);

#endif							/* LB_TENSOR_H */
