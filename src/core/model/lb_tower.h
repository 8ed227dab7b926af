/*
 * lb_tower.h
 *		A tower: concatenated inputs and dense layers, or the sum of inputs;
 *		optionally normalised.
 */
#ifndef LB_TOWER_H
#define LB_TOWER_H

#include "core/model/lb_tensor.h"

#define LB_MAX_LAYERS 8
#define LB_MAX_INPUTS 32
#define LB_MAX_LAYER_WIDTH 4096

typedef enum LbInputKind
{
	LB_INPUT_EMBEDDING,			/* one row of a table */
	LB_INPUT_BAG,				/* several rows, summed and scaled */
	LB_INPUT_NUMBER				/* a number as it is */
} LbInputKind;

typedef struct LbInput
{
	LbInputKind kind;
	int			table;			/* index of the tensor; not for numbers */
} LbInput;

typedef struct LbTower
{
	int			n_inputs;
	LbInput		inputs[LB_MAX_INPUTS];
	int			input_width;	/* W: sum of the inputs' columns, or their
								 * common width if they are summed */
	int			n_layers;		/* 0: the output is the sum of the inputs */
	int			layers[LB_MAX_LAYERS];	/* H of each layer */
	int			kernel[LB_MAX_LAYERS];	/* indexes of tensors */
	int			bias[LB_MAX_LAYERS];
	bool		normalize;		/* divide outputs by their length */
	int			groups;			/* equal parts normalised separately; 0 counts
								 * as 1 */
} LbTower;

/* The rows of one example's bag; its value is scale * sum of the rows. */
typedef struct LbSpan
{
	const int32_t *codes;
	int32_t		n;
	float		scale;
} LbSpan;

/*
 * One input's values for a batch of B examples; the input's kind decides which
 * field counts.
 */
typedef struct LbInputValues
{
	const int32_t *codes;		/* EMBEDDING: (B) rows of the table */
	const LbSpan *spans;		/* BAG: (B) */
	const float *numbers;		/* NUMBER: (B) */
} LbInputValues;

/* A batch's activations, kept for the backward pass. */
typedef struct LbTowerPass
{
	int			capacity;		/* largest B */
	int			B;				/* rows in the last forward pass */
	bool		exact;			/* for serving: the output has the same bits
								 * with every set of kernels */
	float	   *x;				/* (B, W) */
	float	   *z[LB_MAX_LAYERS];	/* (B, H): after ReLU, except the last */
	float	   *out;			/* (B, D): the last z, normalised if the tower
								 * says so */
	float	   *norm;			/* (B, groups): lengths of z, if normalising */
	float	   *dx;				/* (B, W) */
	float	   *dz[LB_MAX_LAYERS];	/* (B, H) */
	float	   *wt[LB_MAX_LAYERS];	/* (H, inputs): kernels, transposed */
	float		dropout;		/* share of hidden units to drop; 0 outside of
								 * training steps */
	uint64_t	dropout_key;	/* another value for each step */
	float	   *partial;		/* (workers, partial_size) */
	size_t		partial_size;	/* floats in all kernels and biases */
} LbTowerPass;

static inline int
lb_tower_width(const LbTower *tower)
{
	return tower->n_layers > 0 ?
		tower->layers[tower->n_layers - 1] : tower->input_width;
}

static inline int
lb_tower_groups(const LbTower *tower)
{
	return tower->groups > 0 ? tower->groups : 1;
}

extern int	lb_tower_input_width(const LbTower *tower,
								 const LbTensor *tensors);

/*
 * A pass placed without training is for serving: it has no arrays for the
 * backward pass, and its outputs have the same bits with every set of kernels.
 */
extern size_t lb_tower_pass_bytes(const LbTower *tower, int B, int workers,
								  bool training);
extern void lb_tower_pass_place(LbTowerPass *pass, const LbTower *tower,
								int B, int workers, bool training,
								void *block);
extern void lb_tower_forward(LbTowerPass *pass, const LbTower *tower,
							 const LbTensor *tensors,
							 const LbInputValues *values, int B,
							 LbThreads *pool);

/*
 * Returns LB_BAD_ARGUMENT if the batch uses more rows of a table than its
 * max_shares.  Weights are unchanged, but gradients are not: no step may
 * follow.
 */
extern LbStatus lb_tower_backward(LbTensor *tensors, LbTowerPass *pass,
								  const LbTower *tower, const float *dout,
								  const LbInputValues *values,
								  LbThreads *pool);

#endif							/* LB_TOWER_H */
