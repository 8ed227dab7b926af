/*
 * lb_softmax.c
 *		The in-batch softmax step: packing, tiles, threads, reduction.
 *
 * The B x N matrix is never stored: a worker takes LB_SM_ROWS rows and
 *
 *	1. computes their logits against all N columns, to base 2 (log2(e) is
 *	   multiplied into q and bias), and each row's true maximum;
 *	2. replaces them by p = 2^(s - max), sums p over all columns but the row's
 *	   own, and adds p * c to dq, a panel of columns at a time;
 *	3. adds p * q' to its own copy of dc, where q' carries the row's
 *	   scale * weight / sum: p itself is never normalised.
 *
 * The row's own column is left out of steps 2 and 3 and enters as minus the
 * sum of the others, not as p - sum: when the model is sure of the positive, p
 * and the sum agree in all their digits and the difference would be noise.
 * For the same reason loss = log1p(others / p_own).
 *
 * Softmax is invariant to a vector added to all candidates.  We use this twice
 * against rounding errors: the mean of the candidates is subtracted first, and
 * the sum of dc, zero in theory, is subtracted at the end (center,
 * balance_dc).
 *
 * We take the true maximum, not a bound by norms: with a bound all
 * exponentials of a row can underflow, and the loss becomes NaN (seen with
 * deep towers).
 *
 * Rows are divided among workers by number; the copies of dc are added in the
 * order of workers.  So the bits depend on the thread count, and on nothing
 * else.
 *
 * Cost: 6 B N D floating point operations, B N exponentials.
 */
#include "core/model/lb_softmax.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/kernels/lb_kernels.h"
#include "core/lb_arena.h"
#include "core/scan/lb_scan_top.h"

#define LOG2_E 1.4426950408889634
#define LN_2 0.69314718055994531

/* Parts of different workers meet at multiples of this many rows. */
#define ROW_UNIT 16

/* Numbers packed between two checks of the cancel flag: a few milliseconds. */
#define PIECE_NUMBERS ((int64_t) 1 << 19)

typedef struct Job
{
	const LbSoftmax *p;
	const LbSoftmaxKernel *kernel;
	const float *q;
	const float *c;				/* the caller's candidates, see center() */
	float	   *dq;				/* NULL: loss only */
	float	   *dc;
	LbCancel	cancel;
	_Atomic int not_finite;		/* a worker found a NaN or infinite input */
	LbSoftmaxTile shared;		/* sizes, and the packed columns of all tiles */
	char	   *own;			/* own_bytes for each worker */
	size_t		own_bytes;
	double		loss[LB_MAX_THREADS];
	bool		has_dc[LB_MAX_THREADS]; /* true if the worker had any rows */
} Job;

/* A worker's arrays. */
typedef struct Own
{
	LbSoftmaxTile tile;
	uint64_t   *keys;			/* (N): keys for hard negatives */
} Own;

static int
padded(int n, int unit)
{
	return (n + unit - 1) / unit * unit;
}

/*
 * Sets the sizes of p and places the arrays that all workers share; with block
 * NULL, only counts their bytes.
 */
static size_t
cut_shared(LbSoftmaxTile *t, char *block, const LbSoftmax *p)
{
	LbArena		arena = {block};
	size_t		columns = padded(p->N, LB_SM_COLUMN_UNIT);
	size_t		width = padded(p->D, LB_SM_WIDTH_UNIT);

	t->N = p->N;
	t->D = p->D;
	t->Np = (int) columns;
	t->Dp = (int) width;
	t->mean = lb_arena_cut(&arena, p->D * sizeof(double));
	t->c = lb_arena_cut(&arena, columns * width * sizeof(float));
	t->cpack = lb_arena_cut(&arena, columns * width * sizeof(float));
	t->bias = lb_arena_cut(&arena, columns * sizeof(float));
	t->ids = lb_arena_cut(&arena, columns * sizeof(int32_t));
	return arena.used;
}

/*
 * Places a worker's own arrays likewise; its tile refers to the shared ones.
 */
static size_t
cut_own(Own *own, char *block, const LbSoftmax *p)
{
	LbArena		arena = {block};
	LbSoftmaxTile *t = &own->tile;
	size_t		wide = LB_SM_ROWS * (size_t) t->Dp * sizeof(float);

	t->s = lb_arena_cut(&arena, (size_t) t->Np * LB_SM_ROWS * sizeof(float));
	t->qt = lb_arena_cut(&arena, wide);
	t->qg = lb_arena_cut(&arena, wide);
	t->row_max = lb_arena_cut(&arena, LB_SM_ROWS * sizeof(float));
	t->row_sum = lb_arena_cut(&arena, LB_SM_ROWS * sizeof(float));
	t->dq = lb_arena_cut(&arena, wide);
	t->dc = lb_arena_cut(&arena, (size_t) t->Np * t->Dp * sizeof(float));
	t->row_ids = lb_arena_cut(&arena, LB_SM_ROWS * sizeof(int32_t));
	t->sums = lb_arena_cut(&arena, p->D * sizeof(double));
	own->keys = lb_arena_cut(&arena, p->hard_negatives > 0 ?
							 (size_t) p->N * sizeof(uint64_t) : 0);
	return arena.used;
}

size_t
lb_softmax_bytes(const LbSoftmax *p, int n_threads)
{
	Own			own = {0};
	size_t		shared = cut_shared(&own.tile, NULL, p);

	return shared + cut_own(&own, NULL, p) * (size_t) n_threads;
}

/* true if one of n floats is NaN or infinite */
static bool
any_not_finite(const float *x, size_t n)
{
	uint32_t	bad = 0;

	for (size_t i = 0; i < n; i++)
	{
		uint32_t	bits;

		memcpy(&bits, x + i, sizeof(bits));
		bad |= (bits & 0x7fffffffu) >= 0x7f800000u;
	}
	return bad != 0;
}

/* Returns the arrays of a worker. */
static Own
own_of(const Job *job, int worker)
{
	Own			own = {.tile = job->shared};

	cut_own(&own, job->own + worker * job->own_bytes, job->p);
	return own;
}

static void
add_row(double *sums, const float *row, int D)
{
	for (int d = 0; d < D; d++)
		sums[d] += row[d];
}

/* Rows between two checks of the cancel flag: some thousand numbers. */
static int64_t
rows_of_block(const Job *job)
{
	return 1 + 16384 / job->p->D;
}

/* Clears the sums before the workers add rows. */
static void
clear_sums(const Job *job, int n_workers)
{
	for (int w = 0; w < n_workers; w++)
		memset(own_of(job, w).tile.sums, 0, job->p->D * sizeof(double));
}

static bool
sum_candidates(void *arg, int worker, int64_t from, int64_t to)
{
	Job		   *job = arg;
	int			D = job->p->D;
	double	   *sums = own_of(job, worker).tile.sums;

	for (int64_t j = from; j < to; j++)
		add_row(sums, job->c + (size_t) j * D, D);
	return true;
}

/* Adds up the workers' sums of N rows, in the order of workers. */
static void
find_mean(Job *job, double *mean, int n_workers)
{
	int			D = job->p->D;

	memset(mean, 0, D * sizeof(double));
	for (int w = 0; w < n_workers; w++)
	{
		const double *sums = own_of(job, w).tile.sums;

		for (int d = 0; d < D; d++)
			mean[d] += sums[d];
	}
	for (int d = 0; d < D; d++)
		mean[d] /= job->p->N;
}

/*
 * Subtracts the candidates' mean.  Most of the length of candidates is common
 * to all after the first steps.  It would cancel out of dq only at the end and
 * leave its rounding errors, the same in every row: B times them in the query
 * tower's biases.
 */
static void
center(LbSoftmaxTile *t, const float *c, int from, int to)
{
	for (int j = from; j < to; j++)
	{
		float	   *out = t->c + (size_t) j * t->Dp;
		const float *row = c + (size_t) j * t->D;

		for (int d = 0; d < t->D; d++)
			out[d] = j < t->N ? (float) (row[d] - t->mean[d]) : 0;
		memset(out + t->D, 0, (t->Dp - t->D) * sizeof(float));
	}
}

/*
 * Packs candidates, bias and ids of the columns [from, to), in column units,
 * for the kernel.
 */
static bool
pack_columns(void *arg, int worker, int64_t from, int64_t to)
{
	Job		   *job = arg;
	const LbSoftmax *p = job->p;
	LbSoftmaxTile *t = &job->shared;

	center(t, job->c, (int) from, (int) to);
	job->kernel->pack_columns(t, (int) from, (int) to);
	for (int64_t j = from; j < to; j++)
	{
		t->bias[j] = j >= p->N ? LB_SM_MASKED :
			p->bias != NULL ? (float) (p->bias[j] * LOG2_E) : 0;
		t->ids[j] = j < p->N && p->ids != NULL ? p->ids[j] : 0;
	}
	to = to < p->N ? to : p->N;
	if (from < to && (any_not_finite(t->c + from * t->Dp,
									 (to - from) * t->Dp) ||
					  any_not_finite(t->bias + from, to - from)))
		atomic_store(&job->not_finite, 1);
	to = to < p->B ? to : p->B;
	if (from < to && (any_not_finite(job->q + from * p->D,
									 (to - from) * p->D) ||
					  (p->weight != NULL &&
					   any_not_finite(p->weight + from, to - from))))
		atomic_store(&job->not_finite, 1);
	return true;
}

static void
pack_rows(LbSoftmaxTile *t, const Job *job)
{
	const LbSoftmax *p = job->p;
	float		factor = (float) (p->scale * LOG2_E);

	for (int i = 0; i < LB_SM_ROWS; i++)
	{
		const float *q = job->q + (size_t) (t->row0 + i) * p->D;

		for (int d = 0; d < p->D; d++)
			t->qt[(size_t) d * LB_SM_ROWS + i] =
				i < t->n_rows ? q[d] * factor : 0;
		t->row_max[i] = LB_SM_MASKED;
		t->row_sum[i] = 0;
		t->row_ids[i] = i < t->n_rows && p->ids != NULL ?
			p->ids[t->row0 + i] : 0;
	}
}

/*
 * Masks all but the n highest of row i's negatives; among equals the lower
 * column stays, as in tf.math.top_k.  The row's own column is no negative.
 */
static void
keep_hard_negatives(LbSoftmaxTile *t, const Job *job, uint64_t *keys, int i)
{
	int			N = job->p->N;
	int			n = job->p->hard_negatives;
	int			own = t->row0 + i;
	int			n_keys = 0;

	if (n >= N - 1)
		return;
	for (int j = 0; j < N; j++)
	{
		if (j != own)
			keys[n_keys++] = lb_key_make(t->s[(size_t) j * LB_SM_ROWS + i], j);
	}
	lb_key_select(keys, n_keys, n);
	for (int k = n; k < n_keys; k++)
		t->s[(size_t) lb_key_index(keys[k]) * LB_SM_ROWS + i] = LB_SM_MASKED;
}

/* returns log(sum of p) - log(p of the positive), from logits to base 2 */
static double
row_loss(double others, double own, double max)
{
	double		below = own - max;	/* <= 0 */

	if (below > -500)
		return log1p(others * exp2(-below));
	return log(others) - below * LN_2;
}

/*
 * Call this when the rows' sums are known: finishes and writes dq, and
 * prepares q' for the dc product.  Returns the rows' loss.
 */
static double
finish_rows(LbSoftmaxTile *t, const Job *job, const float *own)
{
	const LbSoftmax *p = job->p;
	double		loss = 0;

	for (int i = 0; i < t->n_rows; i++)
	{
		int			row = t->row0 + i;
		float		others = t->row_sum[i];
		float		sum = others + exp2f(own[i] - t->row_max[i]);
		float		weight = p->weight != NULL ? p->weight[row] : 1;
		float		factor = p->scale * weight / sum;
		const float *q = job->q + (size_t) row * p->D;
		const float *c = t->c + (size_t) row * t->Dp;
		const float *dq_sum = t->dq + (size_t) i * t->Dp;
		float	   *qg = t->qg + (size_t) i * t->Dp;

		loss += weight * row_loss(others, own[i], t->row_max[i]);
		if (job->dq == NULL)
			continue;
		for (int d = 0; d < p->D; d++)
		{
			job->dq[(size_t) row * p->D + d] =
				factor * (dq_sum[d] - others * c[d]);
			qg[d] = factor * q[d];
		}
		for (int d = p->D; d < t->Dp; d++)
			qg[d] = 0;
	}
	return loss;
}

/* adds the rows' own columns to dc, which p leaves out */
static void
add_own_columns(LbSoftmaxTile *t)
{
	for (int i = 0; i < t->n_rows; i++)
	{
		float		others = t->row_sum[i];
		const float *qg = t->qg + (size_t) i * t->Dp;
		float	   *dc = t->dc + (size_t) (t->row0 + i) * t->Dp;

		for (int d = 0; d < t->D; d++)
			dc[d] -= others * qg[d];
	}
}

/* computes one tile; false if cancelled */
static bool
do_tile(Job *job, LbSoftmaxTile *t, uint64_t *keys, double *loss, bool first)
{
	const LbSoftmaxKernel *kernel = job->kernel;
	float		own[LB_SM_ROWS];

#define EACH_PANEL(j0, j1) \
	for (int j0 = 0, j1; \
		 j1 = j0 + LB_SM_PANEL < t->Np ? j0 + LB_SM_PANEL : t->Np, \
		 j0 < t->Np; \
		 j0 = j1)

	pack_rows(t, job);
	EACH_PANEL(j0, j1)
	{
		if (LB_CANCEL_REQUESTED(job->cancel))
			return false;
		kernel->logits(t, j0, j1);
	}
	for (int i = 0; i < t->n_rows; i++)
	{
		float	   *s = t->s + (size_t) (t->row0 + i) * LB_SM_ROWS + i;

		if (job->p->hard_negatives > 0 && LB_CANCEL_REQUESTED(job->cancel))
			return false;
		own[i] = *s;
		if (job->p->hard_negatives > 0)
			keep_hard_negatives(t, job, keys, i);
		*s = LB_SM_MASKED;
	}
	if (job->dq != NULL)
		memset(t->dq, 0, (size_t) LB_SM_ROWS * t->Dp * sizeof(float));
	EACH_PANEL(j0, j1)
	{
		if (LB_CANCEL_REQUESTED(job->cancel))
			return false;
		kernel->exps(t, j0, j1);
		if (job->dq != NULL)
			kernel->dq(t, j0, j1);
	}
	*loss += finish_rows(t, job, own);
	if (job->dq != NULL)
	{
		EACH_PANEL(j0, j1)
		{
			if (LB_CANCEL_REQUESTED(job->cancel))
				return false;
			kernel->dc(t, j0, j1, first);
		}
		add_own_columns(t);
	}
	return true;
}

static bool
do_rows(void *arg, int worker, int64_t from, int64_t to)
{
	Job		   *job = arg;
	Own			own = own_of(job, worker);
	LbSoftmaxTile *t = &own.tile;

	if (job->p->ids == NULL)
		t->ids = NULL;
	t->row0 = (int) from;
	t->n_rows = (int) (to - from);
	if (!do_tile(job, t, own.keys, &job->loss[worker], !job->has_dc[worker]))
		return false;
	job->has_dc[worker] = true;
	return true;
}

/* sums the workers' dc, in the order of workers, and the sum of its rows */
static bool
reduce_dc(void *arg, int worker, int64_t from, int64_t to)
{
	Job		   *job = arg;
	int			D = job->p->D;
	double	   *sums = own_of(job, worker).tile.sums;
	const float *shares[LB_MAX_THREADS];
	int			n_shares = 0;

	for (int w = 0; w < LB_MAX_THREADS; w++)
		if (job->has_dc[w])
			shares[n_shares++] = own_of(job, w).tile.dc;
	for (int64_t j = from; j < to; j++)
	{
		float	   *dc = job->dc + (size_t) j * D;
		size_t		place = (size_t) j * job->shared.Dp;

		memcpy(dc, shares[0] + place, D * sizeof(float));
		for (int k = 1; k < n_shares; k++)
			for (int d = 0; d < D; d++)
				dc[d] += shares[k][place + d];
		add_row(sums, dc, D);
	}
	return true;
}

/*
 * Subtracts the mean of dc: an error common to all rows would add up in the
 * biases.
 */
static bool
balance_dc(void *arg, int worker, int64_t from, int64_t to)
{
	Job		   *job = arg;
	int			D = job->p->D;
	const double *mean = job->shared.mean;

	for (int64_t j = from; j < to; j++)
	{
		float	   *dc = job->dc + (size_t) j * D;

		for (int d = 0; d < D; d++)
			dc[d] = (float) (dc[d] - mean[d]);
	}
	return true;
}

static LbStatus
run(double *loss, float *dq, float *dc, const float *q, const float *c,
	const LbSoftmax *p, void *scratch, LbThreads *pool, LbCancel cancel)
{
	Job			job;
	Own			own;
	int			n_threads = lb_threads_count(pool);
	int64_t		unit = LB_SM_COLUMN_UNIT;
	LbStatus	status;

	if (p->B < 1 || p->N < p->B || p->D < 1 || p->D > LB_SOFTMAX_MAX_D ||
		p->hard_negatives < 0 || !isfinite(p->scale))
		return LB_BAD_ARGUMENT;
	memset(&job, 0, sizeof(job));
	job.p = p;
	job.kernel = &lb_kernels()->softmax;
	job.own = (char *) scratch + cut_shared(&job.shared, scratch, p);
	own.tile = job.shared;
	job.own_bytes = cut_own(&own, NULL, p);
	job.q = q;
	job.c = c;
	job.dq = dq;
	job.dc = dc;
	job.cancel = cancel;

	clear_sums(&job, n_threads);
	status = lb_threads_for(pool, p->N, 1, rows_of_block(&job),
							sum_candidates, &job, cancel);
	if (status != LB_OK)
		return status;
	find_mean(&job, job.shared.mean, n_threads);
	status = lb_threads_for(pool, job.shared.Np, unit,
							(1 + PIECE_NUMBERS / p->D / unit) * unit,
							pack_columns, &job, cancel);
	if (status != LB_OK)
		return status;
	if (atomic_load(&job.not_finite))
		return LB_NOT_FINITE;
	status = lb_threads_for(pool, p->B, ROW_UNIT, LB_SM_ROWS, do_rows, &job,
							cancel);
	if (status == LB_OK && dq != NULL)
	{
		clear_sums(&job, n_threads);
		status = lb_threads_for(pool, p->N, 1, rows_of_block(&job), reduce_dc,
								&job, cancel);
		if (status == LB_OK)
		{
			find_mean(&job, job.shared.mean, n_threads);
			status = lb_threads_for(pool, p->N, 1, rows_of_block(&job),
									balance_dc, &job, cancel);
		}
	}
	if (status != LB_OK)
		return status;
	*loss = 0;
	for (int w = 0; w < n_threads; w++)
		*loss += job.loss[w];
	return isfinite(*loss) ? LB_OK : LB_NOT_FINITE;
}

LbStatus
lb_softmax_step(double *loss, float *dq, float *dc, const float *q,
				const float *c, const LbSoftmax *p, void *scratch,
				LbThreads *pool, LbCancel cancel)
{
	return run(loss, dq, dc, q, c, p, scratch, pool, cancel);
}

LbStatus
lb_softmax_loss(double *loss, const float *q, const float *c,
				const LbSoftmax *p, void *scratch, LbThreads *pool,
				LbCancel cancel)
{
	return run(loss, NULL, NULL, q, c, p, scratch, pool, cancel);
}
