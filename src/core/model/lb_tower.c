/*
 * lb_tower.c
 *		Forward and backward pass of one tower.
 *
 *	inputs ──gather──> x (B,W) ──dense, ReLU──> z0 ──...──> z (B,D) ──> out
 *
 * ReLU follows every dense layer but the last (preprint, section 3.1).  A
 * tower without layers has no x: inputs, all D wide, are summed.  A number
 * then enters as a bag: one row of a table, scaled.  With normalize, out = z /
 * |z|, for each group of columns; a zero vector stays zero.
 *
 * Dropout (Srivastava et al., JMLR 2014) acts on hidden layers after ReLU.  A
 * dropped unit is zero, and the backward pass treats it as one that ReLU cut
 * off, so it only has to scale the others.  A hash of a unit's position
 * decides whether it is dropped, independent of threads.
 *
 * Rows of a batch are independent, except for the backward pass's sums over
 * the batch: every worker sums kernels' gradients over its own rows into its
 * own block, and the blocks are added in the order of workers; an embedding
 * row belongs to one worker, which walks the whole batch in order. So the bits
 * depend on the number of workers, never on their timing.
 *
 * A batch that takes long is done in pieces, so that the caller can be
 * cancelled between them: each worker goes through its own rows piece by
 * piece, in the same order as at once.
 */
#include "core/model/lb_tower.h"

#include <math.h>
#include <string.h>

#include "core/kernels/lb_kernels.h"
#include "core/lb_arena.h"
#include "core/model/lb_dense.h"

int
lb_tower_input_width(const LbTower *tower, const LbTensor *tensors)
{
	int			width = 0;

	if (tower->n_layers == 0)
		return tower->n_inputs > 0 ?
			tensors[tower->inputs[0].table].cols : 0;
	for (int i = 0; i < tower->n_inputs; i++)
		width += tower->inputs[i].kind == LB_INPUT_NUMBER ? 1 :
			tensors[tower->inputs[i].table].cols;
	return width;
}

/*
 * Returns the floats of all kernels and biases: one worker's gradient block.
 */
static size_t
weights_size(const LbTower *tower)
{
	size_t		size = 0;
	int			in = tower->input_width;

	for (int l = 0; l < tower->n_layers; l++)
	{
		size += (size_t) (in + 1) * tower->layers[l];
		in = tower->layers[l];
	}
	return size;
}

/*
 * Places the arrays of the pass in block; with block NULL, only counts.  One
 * walk for both, so that they cannot disagree.
 */
static size_t
lay_out(LbTowerPass *pass, const LbTower *tower, int B, int workers,
		bool training, char *block)
{
	LbArena		arena = {block};
	int			in = tower->input_width;

#define FLOATS(n) lb_arena_cut(&arena, (size_t) (n) * sizeof(float))

	pass->capacity = B;
	pass->B = 0;
	pass->dx = pass->partial = pass->norm = NULL;
	pass->dropout = 0;
	pass->exact = !training;
	pass->x = FLOATS((size_t) B * tower->input_width);
	for (int l = 0; l < tower->n_layers; l++)
		pass->z[l] = FLOATS((size_t) B * tower->layers[l]);
	pass->out = tower->n_layers > 0 ? pass->z[tower->n_layers - 1] : pass->x;
	if (tower->normalize)
	{
		pass->out = FLOATS((size_t) B * lb_tower_width(tower));
		pass->norm = FLOATS((size_t) B * lb_tower_groups(tower));
	}
	pass->partial_size = LB_ALIGN_UP(weights_size(tower));
	if (training)
	{
		pass->dx = FLOATS((size_t) B * tower->input_width);
		for (int l = 0; l < tower->n_layers; l++)
		{
			pass->dz[l] = FLOATS((size_t) B * tower->layers[l]);
			pass->wt[l] = FLOATS((size_t) in * tower->layers[l]);
			in = tower->layers[l];
		}
		pass->partial = FLOATS(workers * pass->partial_size);
	}
#undef FLOATS
	return arena.used + LB_ALIGN;	/* kernels load whole vectors */
}

size_t
lb_tower_pass_bytes(const LbTower *tower, int B, int workers, bool training)
{
	LbTowerPass pass;

	return lay_out(&pass, tower, B, workers, training, NULL);
}

void
lb_tower_pass_place(LbTowerPass *pass, const LbTower *tower, int B,
					int workers, bool training, void *block)
{
	lay_out(pass, tower, B, workers, training, block);
}

/*
 * Multiplications in a piece: a few milliseconds with AVX2, some ten without.
 * Gathering and normalising wait for memory, for new pages at first, and for
 * sums in double, so each number counts as several multiplications.
 * SHARE_ROWS limits the rows of a piece: a kernel of 64 MB is read once for
 * each piece.
 */
#define PIECE_OPERATIONS 67108864.0
#define GATHER_COST 16
#define OUTPUT_COST 32
#define PIECE_ROWS 32
#define SHARE_ROWS 128			/* rows of a batch between two pauses */

typedef struct TowerTask
{
	LbTowerPass *pass;
	const LbTower *tower;
	LbTensor   *tensors;
	const LbInputValues *values;
	const float *dout;
	int			B;
	int			piece;			/* number of this piece, of n_pieces */
	int			n_pieces;
} TowerTask;

/* Returns the number of pieces for the pass of a batch. */
static int
count_pieces(const TowerTask *task, const LbThreads *pool)
{
	const LbTower *tower = task->tower;
	double		operations = (double) OUTPUT_COST * task->B *
		(tower->input_width + lb_tower_width(tower));
	int			in = tower->input_width;

	for (int l = 0; l < tower->n_layers; l++)
	{
		operations += (double) task->B * in * tower->layers[l];
		in = tower->layers[l];
	}
	for (int i = 0; i < tower->n_inputs; i++)
	{
		const LbInput *input = &tower->inputs[i];
		double		rows = task->B;

		if (input->kind == LB_INPUT_NUMBER)
			continue;
		if (input->kind != LB_INPUT_EMBEDDING)
		{
			rows = 0;
			for (int b = 0; b < task->B; b++)
				rows += task->values[i].spans[b].n;
		}
		operations += GATHER_COST * rows * task->tensors[input->table].cols;
	}
	return lb_threads_pieces(operations, PIECE_OPERATIONS,
							 task->B / PIECE_ROWS, pool);
}

/*
 * Runs the pass piece by piece.  If a pause leaves by longjmp, results are
 * incomplete.
 */
static void
run_pieces(TowerTask *task, LbTask rows, LbThreads *pool)
{
	for (task->piece = 0; task->piece < task->n_pieces; task->piece++)
	{
		lb_threads_run(pool, rows, task);
		lb_threads_pause(pool);
	}
}

/* Returns the worker's rows in this piece: a part of its part of the batch. */
static void
rows_of_piece(const TowerTask *task, int worker, int n_workers,
			  int *from, int *to)
{
	int64_t		first;
	int64_t		end;
	int64_t		part;
	int64_t		part_end;

	lb_threads_part(&first, &end, task->B, worker, n_workers);
	lb_threads_part(&part, &part_end, end - first, task->piece,
					task->n_pieces);
	*from = (int) (first + part);
	*to = (int) (first + part_end);
}

/*
 * Adds input i of rows [from, to) to x, from column offset on; unless inputs
 * are summed, these columns are zero before.
 */
static void
gather_input(float *x, const TowerTask *task, int i, int offset,
			 int from, int to)
{
	const LbInput *input = &task->tower->inputs[i];
	const LbInputValues *v = &task->values[i];
	int			W = task->tower->input_width;
	const LbRowsKernel *rows = &lb_kernels()->rows;
	const LbTensor *t;
	void		(*add) (float *, const float *, int, const int32_t *, int64_t,
						float);

	if (input->kind == LB_INPUT_NUMBER)
	{
		for (int b = from; b < to; b++)
			x[(size_t) b * W + offset] = v->numbers[b];
		return;
	}
	t = &task->tensors[input->table];
	add = task->pass->exact ? rows->add_exact : rows->add;
	for (int b = from; b < to; b++)
	{
		float	   *row = x + (size_t) b * W + offset;

		if (input->kind == LB_INPUT_BAG)
		{
			add(row, t->value, t->cols, v->spans[b].codes, v->spans[b].n,
				v->spans[b].scale);
			continue;
		}
		if (b + LB_ROWS_AHEAD < to)
			lb_rows_prefetch(t->value + (size_t)
							 v->codes[b + LB_ROWS_AHEAD] * t->cols, t->cols);
		add(row, t->value, t->cols, &v->codes[b], 1, 1);
	}
}

/*
 * Drops some of the (to - from, H) units of a hidden layer, and scales the
 * others.
 */
static void
drop_units(const LbTowerPass *pass, int layer, int H, int from, int to)
{
	float		keep = 1 / (1 - pass->dropout);
	uint32_t	limit = (uint32_t) (pass->dropout * 4294967296.0);

	for (size_t i = (size_t) from * H; i < (size_t) to * H; i++)
	{
		uint64_t	x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
		(pass->dropout_key + layer);

		/* the finaliser of splitmix64 */
		x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
		x ^= x >> 31;
		pass->z[layer][i] = (uint32_t) x < limit ? 0 : pass->z[layer][i] * keep;
	}
}

/* Computes out = z / |z| for row b, group by group. */
static void
normalize_row(LbTowerPass *pass, const LbTower *tower, const float *z, int b)
{
	int			groups = lb_tower_groups(tower);
	int			D = lb_tower_width(tower) / groups;

	z += (size_t) b * D * groups;
	for (int g = 0; g < groups; g++)
	{
		float	   *out = pass->out + ((size_t) b * groups + g) * D;
		double		sum = 0;
		float		norm;

		for (int d = 0; d < D; d++)
			sum += (double) z[g * D + d] * z[g * D + d];
		norm = (float) sqrt(sum);
		pass->norm[(size_t) b * groups + g] = norm;
		for (int d = 0; d < D; d++)
			out[d] = norm > 0 ? z[g * D + d] / norm : 0;
	}
}

static void
forward_rows(void *arg, int worker, int n_workers)
{
	TowerTask  *task = arg;
	LbTowerPass *pass = task->pass;
	const LbTower *tower = task->tower;
	int			from;
	int			to;
	int			offset = 0;
	int			in = tower->input_width;
	const float *x = pass->x;

	rows_of_piece(task, worker, n_workers, &from, &to);
	memset(pass->x + (size_t) from * in, 0,
		   (size_t) (to - from) * in * sizeof(float));
	for (int i = 0; i < tower->n_inputs; i++)
	{
		gather_input(pass->x, task, i, offset, from, to);
		if (tower->n_layers > 0)
			offset += tower->inputs[i].kind == LB_INPUT_NUMBER ? 1 :
				task->tensors[tower->inputs[i].table].cols;
	}
	for (int l = 0; l < tower->n_layers; l++)
	{
		int			H = tower->layers[l];
		float	   *z = pass->z[l];
		const float *bias = task->tensors[tower->bias[l]].value;

		lb_dense_forward(z + (size_t) from * H, x + (size_t) from * in,
						 task->tensors[tower->kernel[l]].value, bias,
						 l < tower->n_layers - 1, to - from, H, in,
						 pass->exact);
		if (pass->dropout > 0 && l < tower->n_layers - 1)
			drop_units(pass, l, H, from, to);
		x = z;
		in = H;
	}
	if (tower->normalize)
		for (int b = from; b < to; b++)
			normalize_row(pass, tower, x, b);
}

/* Fills pass->out (B,D) from the inputs of B examples, B <= pass->capacity. */
void
lb_tower_forward(LbTowerPass *pass, const LbTower *tower,
				 const LbTensor *tensors, const LbInputValues *values,
				 int B, LbThreads *pool)
{
	TowerTask	task = {pass, tower, (LbTensor *) tensors, values, NULL, B};

	pass->B = B;
	task.n_pieces = count_pieces(&task, pool);
	run_pieces(&task, forward_rows, pool);
}

/*
 * Computes dz of the last layer (or dx) from dout: through z / |z|, or as a
 * copy.
 */
static void
backward_output(const TowerTask *task, int from, int to)
{
	LbTowerPass *pass = task->pass;
	const LbTower *tower = task->tower;
	int			groups = lb_tower_groups(tower);
	int			D = lb_tower_width(tower) / groups;
	float	   *all = tower->n_layers > 0 ?
		pass->dz[tower->n_layers - 1] : pass->dx;

	if (!tower->normalize)
	{
		D *= groups;
		memcpy(all + (size_t) from * D, task->dout + (size_t) from * D,
			   (size_t) (to - from) * D * sizeof(float));
		return;
	}
	for (int b = from * groups; b < to * groups; b++)
	{
		const float *dout = task->dout + (size_t) b * D;
		const float *out = pass->out + (size_t) b * D;
		float	   *dz = all + (size_t) b * D;
		double		dot = 0;
		float		inverse;

		/* d(z/|z|) = (dout - <dout, out> out) / |z| */
		for (int d = 0; d < D; d++)
			dot += (double) dout[d] * out[d];
		inverse = pass->norm[b] > 0 ? 1 / pass->norm[b] : 0;
		for (int d = 0; d < D; d++)
			dz[d] = (dout[d] - (float) dot * out[d]) * inverse;
	}
}

/*
 * Adds the sum of the rows of dz (n, H) to out (H), in double except for a few
 * rows at a time.  Rows nearly cancel: in the candidate tower's last layer
 * exactly, because softmax is invariant to its bias.  In float32 the rounding
 * errors would pass for a gradient.
 */
static void
add_sum_of_rows(float *out, const float *dz, int n, int H)
{
	enum
	{
	COLUMNS = 64, FEW = 8};

	for (int from = 0; from < H; from += COLUMNS)
	{
		int			columns = H - from < COLUMNS ? H - from : COLUMNS;
		double		sum[COLUMNS] = {0};

		for (int b = 0; b < n; b += FEW)
		{
			int			last = n - b < FEW ? n : b + FEW;
			float		part[COLUMNS] = {0};

			for (int k = b; k < last; k++)
				for (int h = 0; h < columns; h++)
					part[h] += dz[(size_t) k * H + from + h];
			for (int h = 0; h < columns; h++)
				sum[h] += part[h];
		}
		for (int h = 0; h < columns; h++)
			out[from + h] += (float) sum[h];
	}
}

/*
 * Returns the columns up to the last that belongs to a table: numbers need no
 * gradient.
 */
static int
inputs_used(const LbTower *tower)
{
	int			used = tower->input_width;

	for (int i = tower->n_inputs - 1; i >= 0; i--)
	{
		if (tower->inputs[i].kind != LB_INPUT_NUMBER)
			break;
		used--;
	}
	return used;
}

static void
backward_rows(void *arg, int worker, int n_workers)
{
	TowerTask  *task = arg;
	LbTowerPass *pass = task->pass;
	const LbTower *tower = task->tower;
	int			from;
	int			to;
	float	   *grad = pass->partial + worker * pass->partial_size;
	float		keep = pass->dropout > 0 ? 1 / (1 - pass->dropout) : 1;

	rows_of_piece(task, worker, n_workers, &from, &to);
	if (task->piece == 0)
		memset(grad, 0, pass->partial_size * sizeof(float));
	if (from == to)
		return;
	backward_output(task, from, to);
	for (int l = tower->n_layers - 1; l >= 0; l--)
	{
		int			H = tower->layers[l];
		int			in = l > 0 ? tower->layers[l - 1] : tower->input_width;
		const float *x = (l > 0 ? pass->z[l - 1] : pass->x) +
			(size_t) from * in;
		float	   *dx = (l > 0 ? pass->dz[l - 1] : pass->dx) +
			(size_t) from * in;
		const float *dz = pass->dz[l] + (size_t) from * H;
		float	   *dbias = grad + (size_t) in * H;

		lb_dense_add_weights(grad, x, dz, to - from, H, in);
		add_sum_of_rows(dbias, dz, to - from, H);
		grad = dbias + H;
		lb_dense_inputs(dx, dz, pass->wt[l], to - from, H, in, l > 0 ? in :
						inputs_used(tower));
		if (l > 0)
			for (size_t i = 0; i < (size_t) (to - from) * in; i++)
				dx[i] = x[i] > 0 ? dx[i] * keep : 0;
	}
}

/*
 * Adds the workers' blocks to the tensors' gradients, in the order of workers.
 */
static void
reduce_weights(const TowerTask *task, const LbThreads *pool)
{
	const LbTower *tower = task->tower;
	int			n_workers = lb_threads_count(pool);

	for (int w = 0; w < n_workers; w++)
	{
		const float *grad = task->pass->partial +
			w * task->pass->partial_size;

		for (int l = tower->n_layers - 1; l >= 0; l--)
		{
			LbTensor   *kernel = &task->tensors[tower->kernel[l]];
			LbTensor   *bias = &task->tensors[tower->bias[l]];
			int64_t		n = kernel->rows * kernel->cols;

			for (int64_t i = 0; i < n; i++)
				kernel->grad[i] += grad[i];
			grad += n;
			for (int h = 0; h < bias->cols; h++)
				bias->grad[h] += grad[h];
			grad += bias->cols;
			lb_threads_pause(pool);
		}
	}
}

/*
 * Makes rows of dx terms of the gradients of the input's rows [from, to).
 * Single-threaded: rows get their slots in the order of the batch.
 */
static LbStatus
share_input(const TowerTask *task, int i, int offset, int from, int to)
{
	const LbInput *input = &task->tower->inputs[i];
	const LbInputValues *v = &task->values[i];
	int			W = task->tower->input_width;
	LbTensor   *t = &task->tensors[input->table];
	LbStatus	status = LB_OK;

	for (int b = from; b < to && status == LB_OK; b++)
	{
		const float *dx = task->pass->dx + (size_t) b * W + offset;

		if (input->kind == LB_INPUT_EMBEDDING)
		{
			if (b + LB_ROWS_AHEAD < to)
				__builtin_prefetch(t->slot + v->codes[b + LB_ROWS_AHEAD], 1);
			status = lb_tensor_add_share(t, v->codes[b], dx, 1);
			continue;
		}
		for (int j = 0; j < v->spans[b].n && status == LB_OK; j++)
		{
			if (j + LB_ROWS_AHEAD < v->spans[b].n)
				__builtin_prefetch(t->slot +
								   v->spans[b].codes[j + LB_ROWS_AHEAD], 1);
			status = lb_tensor_add_share(t, v->spans[b].codes[j], dx,
										 v->spans[b].scale);
		}
	}
	return status;
}

/*
 * Adds the gradients of dout (B,D) to the tensors, for the batch of the last
 * lb_tower_forward.  Those of embedding rows refer to pass->dx until the step
 * is applied.
 */
LbStatus
lb_tower_backward(LbTensor *tensors, LbTowerPass *pass, const LbTower *tower,
				  const float *dout, const LbInputValues *values,
				  LbThreads *pool)
{
	TowerTask	task = {pass, tower, tensors, values, dout, pass->B};
	LbStatus	status = LB_OK;
	int			offset = 0;

	task.n_pieces = count_pieces(&task, pool);
	for (int l = 0; l < tower->n_layers; l++)
	{
		lb_dense_transpose(pass->wt[l], tensors[tower->kernel[l]].value,
						   (int) tensors[tower->kernel[l]].rows,
						   tower->layers[l]);
		lb_threads_pause(pool);
	}
	run_pieces(&task, backward_rows, pool);
	reduce_weights(&task, pool);
	for (int i = 0; i < tower->n_inputs; i++)
	{
		if (tower->inputs[i].kind == LB_INPUT_NUMBER)
		{
			offset++;
			continue;
		}
		for (int b = 0; b < task.B && status == LB_OK; b += SHARE_ROWS)
		{
			status = share_input(&task, i, offset, b,
								 task.B - b < SHARE_ROWS ?
								 task.B : b + SHARE_ROWS);
			lb_threads_pause(pool);
		}
		if (tower->n_layers > 0)
			offset += tensors[tower->inputs[i].table].cols;
	}
	return status;
}
