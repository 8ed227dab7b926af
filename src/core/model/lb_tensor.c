/*
 * lb_tensor.c
 *		Weights, their gradients, and the optimisers.
 *
 * Adagrad (Duchi, Hazan and Singer, JMLR 2011) as Keras computes it:
 *
 *		a += g * g;  w -= rate * g / sqrt(a + epsilon)
 *
 * with a beginning at initial_accumulator.  A row that occurs several times in
 * a batch has its gradients summed first, then squared once: squaring each
 * occurrence would be another algorithm, and not the one TensorFlow runs.
 *
 * Row-wise Adagrad (Mudigere et al., ISCA 2022) keeps one accumulator for a
 * row of a table, of the mean of its squared gradients: a state of one column
 * instead of as many as the table has.
 *
 * Adam (Kingma and Ba, ICLR 2015) is "lazy" for embeddings: rows that a step
 * does not touch keep their moments as they are.
 *
 * Weight decay is decoupled from the gradient (Loshchilov and Hutter, ICLR
 * 2019) and applies to an embedding row only when a step touches it. Clipping
 * scales all gradients of a step by one factor (Pascanu, Mikolov and Bengio,
 * ICML 2013).
 */
#include "core/model/lb_tensor.h"

#include <math.h>
#include <string.h>

#include "core/kernels/lb_kernels.h"
#include "core/lb_arena.h"

/*
 * Weights of a worker between two pauses: some milliseconds of memory traffic.
 */
#define PIECE_WEIGHTS ((size_t) 1 << 21)

int
lb_optimizer_states(const LbOptimizer *opt)
{
	switch (opt->kind)
	{
		case LB_ADAGRAD:
		case LB_ROWWISE_ADAGRAD:
			return 1;
		case LB_ADAM:
			return 2;
		case LB_SGD:
			break;
	}
	return 0;
}

static size_t
matrix_bytes(int64_t rows, int cols)
{
	uint64_t	bytes = (uint64_t) rows * cols * sizeof(float);

	return bytes > LB_TOO_MANY_BYTES ? LB_TOO_MANY_BYTES :
		LB_ALIGN_UP((size_t) bytes);
}

size_t
lb_tensor_value_bytes(const LbTensor *t)
{
	return matrix_bytes(t->rows, t->cols);
}

static bool
is_rowwise(const LbTensor *t, const LbOptimizer *opt)
{
	return opt->kind == LB_ROWWISE_ADAGRAD && t->sparse;
}

/* Returns the floats in one of the optimiser's states of a tensor. */
size_t
lb_tensor_state_size(const LbTensor *t, const LbOptimizer *opt)
{
	return (size_t) t->rows * (is_rowwise(t, opt) ? 1 : t->cols);
}

/* Returns the largest number of distinct rows in a step. */
static size_t
max_touched(const LbTensor *t)
{
	return (size_t) (t->max_shares < t->rows ? t->max_shares : t->rows);
}

/*
 * Places the tensor's arrays in block; with block NULL, only counts their
 * bytes.
 */
static size_t
lay_out(LbTensor *t, const LbOptimizer *opt, char *block)
{
	LbArena		arena = {block};
	size_t		state = lb_tensor_state_size(t, opt) * sizeof(float);

	t->value = lb_arena_cut(&arena, matrix_bytes(t->rows, t->cols));
	t->state[0] = t->state[1] = NULL;
	for (int s = 0; s < lb_optimizer_states(opt); s++)
		t->state[s] = lb_arena_cut(&arena, state);
	t->grad = lb_arena_cut(&arena,
						   matrix_bytes(t->sparse ? LB_MAX_THREADS : t->rows,
										t->cols));
	if (!t->sparse)
		return arena.used;
	t->slot = lb_arena_cut(&arena, t->rows * sizeof(int32_t));
	t->touched = lb_arena_cut(&arena, max_touched(t) * sizeof(int32_t));
	t->first = lb_arena_cut(&arena, max_touched(t) * sizeof(int32_t));
	t->shares = lb_arena_cut(&arena, t->max_shares * sizeof(LbShare));
	return arena.used;
}

/*
 * Returns the bytes for training; serving needs lb_tensor_value_bytes() only.
 */
size_t
lb_tensor_bytes(const LbTensor *t, const LbOptimizer *opt)
{
	LbTensor	counted = *t;

	return lay_out(&counted, opt, NULL);
}

/*
 * Cuts block, lb_tensor_bytes() long and aligned to LB_ALIGN, into the
 * tensor's arrays.  Sets values to zero, and states to the optimiser's start.
 */
void
lb_tensor_place(LbTensor *t, const LbOptimizer *opt, void *block,
				const LbThreads *pool)
{
	size_t		bytes = lay_out(t, opt, block);
	size_t		piece = PIECE_WEIGHTS * sizeof(float);
	size_t		state = lb_tensor_state_size(t, opt);

	/*
	 * new pages are zeroed when first used: for gigabytes that takes seconds
	 */
	for (size_t at = 0; at < bytes; at += piece)
	{
		memset((char *) block + at, 0,
			   bytes - at < piece ? bytes - at : piece);
		lb_threads_pause(pool);
	}
	if (opt->kind == LB_ADAGRAD || opt->kind == LB_ROWWISE_ADAGRAD)
		for (size_t i = 0; i < state; i++)
		{
			if (i % PIECE_WEIGHTS == 0)
				lb_threads_pause(pool);
			t->state[0][i] = opt->initial_accumulator;
		}
	t->n_touched = t->n_shares = 0;
}

/* Draws values from -limit to limit, like Keras' RandomUniform. */
LbStatus
lb_tensor_fill_uniform(LbTensor *t, float limit, LbRandom *rng,
					   LbCancel cancel)
{
	for (size_t i = 0; i < (size_t) t->rows * t->cols; i++)
	{
		if (i % 1048576 == 0 && LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		t->value[i] = lb_random_uniform(rng, -limit, limit);
	}
	return LB_OK;
}

LbStatus
lb_tensor_check_finite(const LbTensor *t, LbCancel cancel)
{
	/* x - x is 0 for finite x, NaN otherwise, and NaN survives addition */
	float		sum = 0;

	for (size_t i = 0; i < (size_t) t->rows * t->cols; i++)
	{
		if (i % 1048576 == 0 && LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		sum += t->value[i] - t->value[i];
	}
	return sum == 0 ? LB_OK : LB_NOT_FINITE;
}

/*
 * Adds scale * from (cols) to the gradient of a row.  from must not change
 * until the step is applied.
 */
LbStatus
lb_tensor_add_share(LbTensor *t, int64_t row, const float *from, float scale)
{
	int32_t		slot;
	LbShare    *share;

	if (row < 0 || row >= t->rows || t->n_shares >= t->max_shares)
		return LB_BAD_ARGUMENT;
	slot = t->slot[row];
	share = &t->shares[t->n_shares];
	if (slot == 0)
	{
		t->touched[t->n_touched] = (int32_t) row;
		t->first[t->n_touched] = -1;
		slot = t->slot[row] = (int32_t) ++t->n_touched;
	}
	share->from = from;
	share->scale = scale;
	share->next = t->first[slot - 1];
	t->first[slot - 1] = (int32_t) t->n_shares++;
	return LB_OK;
}

/*
 * Returns the gradient of the k-th touched row: in g, or where it already is.
 */
static const float *
sum_shares(float *g, const LbTensor *t, int64_t k, const LbRowsKernel *rows)
{
	const LbShare *share = &t->shares[t->first[k]];

	if (share->next < 0 && share->scale == 1)
		return share->from;
	for (int d = 0; d < t->cols; d++)
		g[d] = share->scale * share->from[d];
	while (share->next >= 0)
	{
		share = &t->shares[share->next];
		rows->add_scaled(g, share->from, share->scale, t->cols);
	}
	return g;
}

/* Updates n weights whose gradients are adjacent: a row, or all. */
static void
apply_run(const LbOptimizer *opt, const LbRowsKernel *rows, float *restrict w,
		  float *restrict s0, float *restrict s1, const float *restrict g,
		  int64_t n, bool row)
{
	float		rate = opt->learning_rate;
	float		eps = opt->epsilon;

	if (opt->weight_decay > 0)
	{
		float		keep = 1 - rate * opt->weight_decay;

		for (int64_t i = 0; i < n; i++)
			w[i] *= keep;
	}
	switch (opt->kind)
	{
		case LB_ROWWISE_ADAGRAD:
			if (row)
				rows->rowwise(w, s0, g, n, rate, eps);
			else
				rows->adagrad(w, s0, g, n, rate, eps);
			break;
		case LB_ADAGRAD:
			rows->adagrad(w, s0, g, n, rate, eps);
			break;
		case LB_ADAM:
			{
				float		b1 = opt->beta1;
				float		b2 = opt->beta2;
				double		c1 = 1 - pow(b1, (double) opt->step);
				double		c2 = 1 - pow(b2, (double) opt->step);
				float		corrected = (float) (rate * sqrt(c2) / c1);

				for (int64_t i = 0; i < n; i++)
				{
					s0[i] += (1 - b1) * (g[i] - s0[i]);
					s1[i] += (1 - b2) * (g[i] * g[i] - s1[i]);
					w[i] -= corrected * s0[i] / (sqrtf(s1[i]) + eps);
				}
				break;
			}
		case LB_SGD:
			rows->add_scaled(w, g, -rate, n);
			break;
	}
}

typedef struct ApplyTask
{
	const LbOptimizer *opt;
	LbTensor   *t;
	float		factor;			/* factor of all gradients, from clipping */
	int			piece;			/* number of this piece, of n_pieces */
	int			n_pieces;
} ApplyTask;

/*
 * Updates a worker's part of a piece of the touched rows, and clears their
 * slots.
 */
static void
apply_sparse(void *arg, int worker, int n_workers)
{
	ApplyTask  *task = arg;
	LbTensor   *t = task->t;
	const LbRowsKernel *rows = &lb_kernels()->rows;
	int			cols = t->cols;
	bool		rowwise = is_rowwise(t, task->opt);
	float	   *sum = t->grad + (size_t) worker * cols;
	int64_t		first;
	int64_t		end;
	int64_t		from;
	int64_t		to;

	lb_threads_part(&first, &end, t->n_touched, task->piece, task->n_pieces);
	lb_threads_part(&from, &to, end - first, worker, n_workers);
	from += first;
	to += first;
	for (int64_t k = from; k < to; k++)
	{
		size_t		at = (size_t) t->touched[k] * cols;
		size_t		state = rowwise ? (size_t) t->touched[k] : at;
		const float *g = sum_shares(sum, t, k, rows);

		if (k + LB_ROWS_AHEAD < to)
		{
			int32_t		ahead = t->touched[k + LB_ROWS_AHEAD];

			lb_rows_prefetch(t->value + (size_t) ahead * cols, cols);
			if (rowwise)
				__builtin_prefetch(t->state[0] + ahead, 1, 2);
			else if (t->state[0])
				lb_rows_prefetch(t->state[0] + (size_t) ahead * cols, cols);
			__builtin_prefetch(t->slot + ahead, 1, 2);
		}
		if (task->factor != 1)
		{
			for (int d = 0; d < cols; d++)
				sum[d] = task->factor * g[d];
			g = sum;
		}
		apply_run(task->opt, rows, t->value + at,
				  t->state[0] ? t->state[0] + state : NULL,
				  t->state[1] ? t->state[1] + at : NULL, g, cols, true);
		t->slot[t->touched[k]] = 0;
	}
}

static double
squares_of(const float *g, size_t n)
{
	double		sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double) g[i] * g[i];
	return sum;
}

/*
 * Returns the factor of all gradients: below 1 if their joint norm exceeds the
 * limit.
 */
static float
clip_factor(const LbOptimizer *opt, const LbTensor *tensors, int n_tensors,
			const LbThreads *pool)
{
	double		squares = 0;
	const LbRowsKernel *rows = &lb_kernels()->rows;

	for (int i = 0; i < n_tensors; i++)
	{
		const LbTensor *t = &tensors[i];
		size_t		n = (size_t) t->rows * t->cols;
		int64_t		a_piece = 1 + (int64_t) (PIECE_WEIGHTS / t->cols);

		if (t->sparse)
		{
			for (int64_t k = 0; k < t->n_touched; k++)
			{
				if (k % a_piece == 0)
					lb_threads_pause(pool);
				squares += squares_of(sum_shares(t->grad, t, k, rows),
									  t->cols);
			}
			continue;
		}
		for (size_t from = 0; from < n; from += PIECE_WEIGHTS)
		{
			squares += squares_of(t->grad + from, n - from < PIECE_WEIGHTS ?
								  n - from : PIECE_WEIGHTS);
			lb_threads_pause(pool);
		}
	}
	return sqrt(squares) > opt->clip_norm ?
		(float) (opt->clip_norm / sqrt(squares)) : 1;
}

/*
 * Applies one step: weights move against their gradients, gradients become
 * zero.
 */
void
lb_optimizer_apply(LbOptimizer *opt, LbTensor *tensors, int n_tensors,
				   LbThreads *pool)
{
	float		factor = 1;

	opt->step++;
	if (opt->clip_norm > 0)
		factor = clip_factor(opt, tensors, n_tensors, pool);
	for (int i = 0; i < n_tensors; i++)
	{
		LbTensor   *t = &tensors[i];

		if (t->sparse)
		{
			ApplyTask	task = {opt, t, factor};

			task.n_pieces = lb_threads_pieces((double) t->n_touched * t->cols,
											  PIECE_WEIGHTS, t->n_touched,
											  pool);
			for (; task.piece < task.n_pieces; task.piece++)
			{
				lb_threads_run(pool, apply_sparse, &task);
				lb_threads_pause(pool);
			}
			t->n_touched = t->n_shares = 0;
		}
		else
		{
			size_t		n = (size_t) t->rows * t->cols;

			for (size_t from = 0; from < n; from += PIECE_WEIGHTS)
			{
				size_t		m = n - from < PIECE_WEIGHTS ?
					n - from : PIECE_WEIGHTS;

				if (factor != 1)
					for (size_t k = from; k < from + m; k++)
						t->grad[k] *= factor;
				apply_run(opt, &lb_kernels()->rows, t->value + from,
						  t->state[0] ? t->state[0] + from : NULL,
						  t->state[1] ? t->state[1] + from : NULL,
						  t->grad + from, (int64_t) m, false);
				memset(t->grad + from, 0, m * sizeof(float));
				lb_threads_pause(pool);
			}
		}
	}
}
