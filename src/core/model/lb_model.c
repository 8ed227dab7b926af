/*
 * lb_model.c
 *		The two-tower retrieval model (Covington et al., RecSys 2016; Yi et
 *		al., RecSys 2019) and its step.
 *
 * logit(i, j) = <query_i, candidate_j> / temperature - log q_j, and the loss
 * of a batch is the softmax cross entropy of row i with label i, as TFRS's
 * Retrieval task computes it.
 *
 * If the loss of a step is not finite, or its batch uses more rows than its
 * tables have room for, the step changes no weight.
 */
#include "core/model/lb_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/lb_arena.h"

/* Adds an embedding table; a step uses at most max_shares of its rows. */
int
lb_model_add_table(LbModel *model, const char *name, int64_t rows, int cols,
				   int64_t max_shares)
{
	LbTensor   *t = &model->tensors[model->n_tensors];

	memset(t, 0, sizeof(LbTensor));
	snprintf(t->name, LB_NAME_LEN, "%s", name);
	t->rows = rows;
	t->cols = cols;
	t->sparse = true;
	t->max_shares = max_shares;
	return model->n_tensors++;
}

static int
add_matrix(LbModel *model, const char *tower, const char *what, int layer,
		   int64_t rows, int cols)
{
	LbTensor   *t = &model->tensors[model->n_tensors];

	memset(t, 0, sizeof(LbTensor));
	snprintf(t->name, LB_NAME_LEN, "%s_%s_%d", tower, what, layer);
	t->rows = rows;
	t->cols = cols;
	return model->n_tensors++;
}

void
lb_model_add_input(LbTower *tower, LbInputKind kind, int table)
{
	LbInput    *input = &tower->inputs[tower->n_inputs++];

	input->kind = kind;
	input->table = table;
}

/*
 * Call this when the tower has all its inputs.  Without layers the output is
 * their sum.
 */
LbStatus
lb_model_add_layers(LbModel *model, LbTower *tower, const char *tower_name,
					const int *layers, int n_layers)
{
	int			in;

	if (n_layers == 0)
	{
		/*
		 * inputs can be summed only if they are rows of tables with one width
		 */
		for (int i = 0; i < tower->n_inputs; i++)
			if (tower->inputs[i].kind == LB_INPUT_NUMBER ||
				model->tensors[tower->inputs[i].table].cols !=
				model->tensors[tower->inputs[0].table].cols)
				return LB_BAD_ARGUMENT;
	}
	tower->n_layers = n_layers;
	in = lb_tower_input_width(tower, model->tensors);
	if (n_layers < 0 || n_layers > LB_MAX_LAYERS || in < 1 ||
		model->n_tensors + 2 * n_layers > LB_MAX_TENSORS)
		return LB_BAD_ARGUMENT;
	tower->input_width = in;
	for (int l = 0; l < n_layers; l++)
	{
		if (layers[l] < 1 || layers[l] > LB_MAX_LAYER_WIDTH)
			return LB_BAD_ARGUMENT;
		tower->layers[l] = layers[l];
		tower->kernel[l] = add_matrix(model, tower_name, "kernel", l,
									  in, layers[l]);
		tower->bias[l] = add_matrix(model, tower_name, "bias", l,
									1, layers[l]);
		in = layers[l];
	}
	return LB_OK;
}

/* Returns the index of the named tensor, or -1. */
int
lb_model_find_tensor(const LbModel *model, const char *name)
{
	for (int i = 0; i < model->n_tensors; i++)
		if (strcmp(model->tensors[i].name, name) == 0)
			return i;
	return -1;
}

/* Returns the bytes of the tensors; opt NULL: values alone, for serving. */
size_t
lb_model_bytes(const LbModel *model, const LbOptimizer *opt)
{
	LbArena		arena = {NULL};

	for (int i = 0; i < model->n_tensors; i++)
		lb_arena_cut(&arena, opt ?
					 lb_tensor_bytes(&model->tensors[i], opt) :
					 lb_tensor_value_bytes(&model->tensors[i]));
	lb_arena_cut(&arena, LB_ALIGN); /* kernels load whole vectors */
	return arena.used;
}

void
lb_model_place(LbModel *model, const LbOptimizer *opt, void *block,
			   const LbThreads *pool)
{
	char	   *p = block;

	for (int i = 0; i < model->n_tensors; i++)
	{
		LbTensor   *t = &model->tensors[i];

		if (opt)
		{
			lb_tensor_place(t, opt, p, pool);
			p += lb_tensor_bytes(t, opt);
		}
		else
		{
			t->value = (float *) p;
			p += lb_tensor_value_bytes(t);
		}
	}
}

/*
 * Initialises as Keras does: embeddings uniform in [-0.05, 0.05), kernels
 * Glorot uniform (Glorot and Bengio, AISTATS 2010), biases zero.  After a
 * cancel it can be called again.
 */
LbStatus
lb_model_initialize(LbModel *model, uint64_t seed, LbCancel cancel)
{
	LbStatus	status = LB_OK;

	for (int i = 0; i < model->n_tensors && status == LB_OK; i++)
	{
		LbTensor   *t = &model->tensors[i];
		LbRandom	rng;

		lb_random_seed(&rng, seed, i + 1);
		if (t->sparse)
			status = lb_tensor_fill_uniform(t, 0.05f, &rng, cancel);
		else if (t->rows > 1)
			status = lb_tensor_fill_uniform(t, sqrtf(6.0f / (t->rows + t->cols)),
											&rng, cancel);
	}
	return status;
}

/* The weight of a loss term: for a mean, one over the number of terms. */
static float
share_of(const LbObjective *objective, const LbBatch *batch)
{
	if (!objective->mean)
		return 1;
	return 1.0f / (batch->positive_of ? batch->positive_of[batch->B] :
				   batch->B);
}

static LbSoftmax
softmax_of(const LbModel *model, const LbObjective *objective,
		   const LbBatch *batch, float *bias, float *weight)
{
	LbSoftmax	p;

	memset(&p, 0, sizeof(p));
	p.B = batch->B;
	p.N = batch->N;
	p.D = lb_tower_width(&model->query);
	p.scale = 1.0f / objective->temperature;
	p.weight = batch->weight;
	if (batch->positive_of != NULL || objective->mean)
	{
		float		share = share_of(objective, batch);

		for (int i = 0; i < batch->B; i++)
			weight[i] = share * (batch->weight ? batch->weight[i] : 1) *
				(batch->positive_of ?
				 batch->positive_of[i + 1] - batch->positive_of[i] : 1);
		p.weight = weight;
	}
	p.hard_negatives = objective->hard_negatives;
	if (objective->mask_hits)
		p.ids = batch->ids;
	if (objective->logq && batch->log_q != NULL)
	{
		for (int j = 0; j < batch->N; j++)
			bias[j] = -batch->log_q[j];
		p.bias = bias;
	}
	return p;
}

/*
 * Places the arrays or only counts, in one walk; like lay_out() in lb_tower.c.
 */
static size_t
lay_out(LbWorkspace *ws, const LbModel *model, int B, int N, int n_threads,
		char *block)
{
	LbArena		arena = {block};
	int			D = lb_tower_width(&model->query);
	LbSoftmax	p;
	void	   *query;
	void	   *candidate;

	query = lb_arena_cut(&arena, lb_tower_pass_bytes(&model->query, B,
													 n_threads, true));
	candidate = lb_arena_cut(&arena, lb_tower_pass_bytes(&model->candidate, N,
														 n_threads, true));
	if (block)
	{
		lb_tower_pass_place(&ws->query, &model->query, B, n_threads, true,
							query);
		lb_tower_pass_place(&ws->candidate, &model->candidate, N, n_threads,
							true, candidate);
	}
	ws->dq = lb_arena_cut(&arena, (size_t) B * D * sizeof(float));
	ws->dc = lb_arena_cut(&arena, (size_t) N * D * sizeof(float));
	ws->bias = lb_arena_cut(&arena, (size_t) N * sizeof(float));
	ws->weight = lb_arena_cut(&arena, (size_t) B * sizeof(float));
	memset(&p, 0, sizeof(p));
	p.B = B;
	p.N = N;
	p.D = D;
	p.hard_negatives = 1;		/* this setting needs more scratch */
	ws->softmax = lb_arena_cut(&arena, lb_softmax_bytes(&p, n_threads));
	return arena.used;
}

size_t
lb_workspace_bytes(const LbModel *model, int B, int N, int n_threads)
{
	LbWorkspace ws;

	return lay_out(&ws, model, B, N, n_threads, NULL);
}

void
lb_workspace_place(LbWorkspace *ws, const LbModel *model, int B, int N,
				   int n_threads, void *block)
{
	lay_out(ws, model, B, N, n_threads, block);
}

static void
forward_both(const LbModel *model, const LbBatch *batch, LbWorkspace *ws,
			 LbThreads *pool)
{
	lb_tower_forward(&ws->query, &model->query, model->tensors,
					 batch->query, batch->B, pool);
	lb_tower_forward(&ws->candidate, &model->candidate, model->tensors,
					 batch->candidate, batch->N, pool);
}

typedef struct PositivesTask
{
	float	   *dq;				/* NULL: compute the loss alone */
	float	   *dc;
	double	   *loss;			/* (workers) */
	const float *q;
	const float *c;
	const LbSoftmax *p;
	const LbBatch *batch;
	float		share;			/* weight of each positive's term */
	int64_t		from;			/* first row of this piece */
	int64_t		to;
} PositivesTask;

/* Multiplications in a piece, a few milliseconds. */
#define PIECE_OPERATIONS 4194304.0

static double
logit(const LbSoftmax *p, const float *q, const float *c, int i, int j)
{
	float		part[16] = {0}; /* several sums at once, for vector units */
	float		sum = 0;
	int			d;

	q += (size_t) i * p->D;
	c += (size_t) j * p->D;
	for (d = 0; d + 16 <= p->D; d += 16)
		for (int e = 0; e < 16; e++)
			part[e] += q[d + e] * c[d + e];
	for (; d < p->D; d++)
		sum += q[d] * c[d];
	for (int e = 0; e < 16; e++)
		sum += part[e];
	return (double) p->scale * sum + (p->bias ? p->bias[j] : 0);
}

/* Adds factor * from to to, both D long. */
static void
add_scaled(float *restrict to, const float *restrict from, float factor,
		   int D)
{
	for (int d = 0; d < D; d++)
		to[d] += factor * from[d];
}

/*
 * The softmax step took column i as the positive of row i, as many times as
 * the row has positives.  Replaces it by the true ones: workers share the rows
 * of dq in parts, the rows of dc by number.
 */
static void
correct_positives(void *arg, int worker, int n_workers)
{
	PositivesTask *task = arg;
	const LbSoftmax *p = task->p;
	const LbBatch *batch = task->batch;
	int64_t		from;
	int64_t		to;
	double		loss = task->loss[worker];

	lb_threads_part(&from, &to, p->B, worker, n_workers);
	for (int64_t i = task->from; i < task->to; i++)
	{
		float		each = task->share *
			(batch->weight ? batch->weight[i] : 1);
		float		all = p->weight[i];
		bool		mine = i >= from && i < to;
		const float *q = task->q + (size_t) i * p->D;

		for (int k = batch->positive_of[i] - 1; k < batch->positive_of[i + 1];
			 k++)
		{
			/* removes the stand-in first, then adds each positive */
			bool		stand_in = k < batch->positive_of[i];
			int			j = stand_in ? (int) i : batch->positives[k];
			float		w = stand_in ? all : -each;

			if (mine)
				loss += w * logit(p, task->q, task->c, (int) i, j);
			if (mine && task->dq)
				add_scaled(task->dq + (size_t) i * p->D,
						   task->c + (size_t) j * p->D, w * p->scale, p->D);
			if (task->dc && j % n_workers == worker)
				add_scaled(task->dc + (size_t) j * p->D, q, w * p->scale,
						   p->D);
		}
	}
	task->loss[worker] = loss;
}

/*
 * Computes the loss of several positives a row, and its gradients unless NULL.
 */
static double
add_positives(float *dq, float *dc, const LbWorkspace *ws,
			  const LbSoftmax *p, const LbBatch *batch, float share,
			  LbThreads *pool)
{
	double		losses[LB_MAX_THREADS] = {0};
	PositivesTask task = {dq, dc, losses, ws->query.out, ws->candidate.out,
		p, batch, share};
	int			n_pieces = lb_threads_pieces(3.0 * batch->positive_of[p->B] *
											 p->D, PIECE_OPERATIONS, p->B, NULL);
	double		sum = 0;

	for (int piece = 0; piece < n_pieces; piece++)
	{
		lb_threads_part(&task.from, &task.to, p->B, piece, n_pieces);
		lb_threads_run(pool, correct_positives, &task);
		lb_threads_pause(pool);
	}
	for (int w = 0; w < lb_threads_count(pool); w++)
		sum += losses[w];
	return sum;
}

/*
 * Runs forward pass, backward pass and update.  *loss is the batch's sum or
 * mean, as the objective says; with the mean, so are the gradients.
 */
LbStatus
lb_model_step(double *loss, LbModel *model, LbOptimizer *opt,
			  const LbObjective *objective, const LbBatch *batch,
			  LbWorkspace *ws, LbThreads *pool, LbCancel cancel)
{
	LbSoftmax	p = softmax_of(model, objective, batch, ws->bias, ws->weight);
	LbStatus	status;

	ws->query.dropout = ws->candidate.dropout = objective->dropout;
	ws->query.dropout_key = (uint64_t) opt->step << 8;
	ws->candidate.dropout_key = ws->query.dropout_key + LB_MAX_LAYERS;
	forward_both(model, batch, ws, pool);
	status = lb_softmax_step(loss, ws->dq, ws->dc, ws->query.out,
							 ws->candidate.out, &p, ws->softmax, pool,
							 cancel);
	if (status != LB_OK)
		return status;
	if (batch->positive_of)
		*loss += add_positives(ws->dq, ws->dc, ws, &p, batch,
							   share_of(objective, batch), pool);
	if (!isfinite(*loss))
		return LB_NOT_FINITE;
	status = lb_tower_backward(model->tensors, &ws->query, &model->query,
							   ws->dq, batch->query, pool);
	if (status == LB_OK)
		status = lb_tower_backward(model->tensors, &ws->candidate,
								   &model->candidate, ws->dc,
								   batch->candidate, pool);
	if (status == LB_OK)
		lb_optimizer_apply(opt, model->tensors, model->n_tensors, pool);
	return status;
}

/* Computes the same loss without a step, for held-out listens. */
LbStatus
lb_model_loss(double *loss, const LbModel *model,
			  const LbObjective *objective, const LbBatch *batch,
			  LbWorkspace *ws, LbThreads *pool, LbCancel cancel)
{
	LbSoftmax	p = softmax_of(model, objective, batch, ws->bias, ws->weight);
	LbStatus	status;

	ws->query.dropout = ws->candidate.dropout = 0;
	forward_both(model, batch, ws, pool);
	status = lb_softmax_loss(loss, ws->query.out, ws->candidate.out, &p,
							 ws->softmax, pool, cancel);
	if (status == LB_OK && batch->positive_of)
		*loss += add_positives(NULL, NULL, ws, &p, batch,
							   share_of(objective, batch), pool);
	return status;
}
