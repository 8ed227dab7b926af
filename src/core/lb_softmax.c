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
 * Softmax does not see what all candidates have in common.  We use it twice
 * against rounding: candidates enter less their mean, and what is left of the
 * sum of dc, zero in theory, is taken out again (center, balance_dc).
 *
 * The true maximum is kept, not a bound by norms: with a bound all exponentials
 * of a row can underflow and the loss becomes NaN (seen with deep towers).
 *
 * Rows are divided among workers by number; the copies of dc are added in the
 * order of workers.  So the thread count decides the bits, and nothing else.
 *
 * Cost: 6 B N D floating point operations, B N exponentials.
 */
#include "core/lb_softmax.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/lb_cpu.h"
#include "core/lb_scan_top.h"
#include "core/lb_softmax_int.h"

#define LOG2_E 1.4426950408889634
#define LN_2 0.69314718055994531

/* Rows of different workers meet at multiples of this. */
#define ROW_UNIT 16

/* Numbers packed between two looks at the cancel flag: some milliseconds. */
#define PIECE_NUMBERS ((int64_t) 1 << 19)

typedef struct Job
{
	const LbSoftmax *p;
	const LbSoftmaxKernel *kernel;
	const float *q;
	const float *c;				/* as the caller has it, see center() */
	float	   *dq;				/* NULL: loss only */
	float	   *dc;
	LbCancel	cancel;
	_Atomic int stop;			/* a worker saw the cancel flag */
	_Atomic int not_finite;		/* a worker saw a bad input */
	LbSoftmaxTile shared;		/* sizes and packed columns of all tiles */
	char	   *own;			/* own_bytes of each worker follow each other */
	size_t		own_bytes;
	double		loss[LB_MAX_THREADS];
	bool		has_dc[LB_MAX_THREADS]; /* the worker had rows at all */
} Job;

static size_t
cut(char **next, size_t bytes)
{
	size_t		aligned = LB_ALIGN_UP(bytes);

	if (next != NULL && *next != NULL)
		*next += aligned;
	return aligned;
}

#define CUT(field, bytes) \
	do { \
		if (block != NULL) \
			(field) = (void *) next; \
		total += cut(&next, (bytes)); \
	} while (0)

/* N and D with room for every kernel's padding */
static size_t
column_room(const LbSoftmax *p)
{
	return ((size_t) p->N + LB_SM_COLUMN_ROOM - 1) / LB_SM_COLUMN_ROOM *
		LB_SM_COLUMN_ROOM;
}

static size_t
width_room(const LbSoftmax *p)
{
	return ((size_t) p->D + LB_SM_WIDTH_ROOM - 1) / LB_SM_WIDTH_ROOM *
		LB_SM_WIDTH_ROOM;
}

/*
 * The arrays of one worker in block, or only their size when block is NULL.
 */
static size_t
cut_own(LbSoftmaxTile *t, uint64_t **keys, char *block, const LbSoftmax *p)
{
	char	   *next = block;
	size_t		total = 0;
	size_t		columns = column_room(p);
	size_t		wide = LB_SM_ROWS * width_room(p) * sizeof(float);

	CUT(t->s, columns * LB_SM_ROWS * sizeof(float));
	CUT(t->qt, wide);
	CUT(t->qg, wide);
	CUT(t->row_max, LB_SM_ROWS * sizeof(float));
	CUT(t->row_sum, LB_SM_ROWS * sizeof(float));
	CUT(t->dq, wide);
	CUT(t->dc, columns * width_room(p) * sizeof(float));
	CUT(t->row_ids, LB_SM_ROWS * sizeof(int32_t));
	CUT(t->sums, (size_t) p->D * sizeof(double));
	CUT(t->extra, LB_SM_EXTRA_BYTES(width_room(p)));
	CUT(*keys, p->hard_negatives > 0 ?
		(size_t) p->N * sizeof(uint64_t) : 0);
	return total;
}

static size_t
cut_shared(LbSoftmaxTile *t, char *block, const LbSoftmax *p)
{
	char	   *next = block;
	size_t		total = 0;
	size_t		columns = column_room(p);

	CUT(t->mean, (size_t) p->D * sizeof(double));
	CUT(t->c, columns * width_room(p) * sizeof(float));
	CUT(t->cpack, columns * width_room(p) * sizeof(float));
	CUT(t->crow, columns * width_room(p) * sizeof(float));
	CUT(t->bias, columns * sizeof(float));
	CUT(t->ids, columns * sizeof(int32_t));
	return total;
}

static size_t
own_bytes(const LbSoftmax *p)
{
	LbSoftmaxTile tile = {0};
	uint64_t   *keys = NULL;

	return cut_own(&tile, &keys, NULL, p);
}

size_t
lb_softmax_bytes(const LbSoftmax *p, int n_threads)
{
	LbSoftmaxTile tile = {0};

	return cut_shared(&tile, NULL, p) + own_bytes(p) * (size_t) n_threads;
}

const LbSoftmaxKernel *lb_softmax_override = NULL;

/*
 * Logits from which AMX is used.  Its products carry 17 bits; a deep tower's
 * first steps on small batches grow errors a thousandfold, and there is
 * little time to win.
 */
#define AMX_LOGITS (512 * 512)

static const LbSoftmaxKernel *
choose_kernel(const LbSoftmax *p)
{
	if (lb_softmax_override != NULL)
		return lb_softmax_override;
#if defined(__x86_64__)
	if (lb_cpu_level() >= LB_CPU_AMX && (int64_t) p->B * p->N >= AMX_LOGITS)
		return &lb_softmax_amx;
	if (lb_cpu_level() >= LB_CPU_AVX512)
		return &lb_softmax_avx512;
	if (lb_cpu_level() >= LB_CPU_AVX2)
		return &lb_softmax_avx2;
#endif
	return &lb_softmax_portable;
}

/* any of n floats is NaN or infinite */
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

static bool
should_stop(Job *job)
{
	if (LB_CANCEL_REQUESTED(job->cancel))
		atomic_store(&job->stop, 1);
	return atomic_load(&job->stop) != 0;
}

/* The arrays of a worker. */
static LbSoftmaxTile
tile_of(const Job *job, int worker)
{
	LbSoftmaxTile tile = job->shared;
	uint64_t   *keys = NULL;

	cut_own(&tile, &keys, job->own + worker * job->own_bytes, job->p);
	return tile;
}

static void
add_row(double *sums, const float *row, int D)
{
	for (int d = 0; d < D; d++)
		sums[d] += row[d];
}

/* A worker's share of the sum of candidates. */
static void
sum_candidates(void *arg, int worker, int n_workers)
{
	Job		   *job = arg;
	int			D = job->p->D;
	double	   *sums = tile_of(job, worker).sums;
	int64_t		from;
	int64_t		to;

	memset(sums, 0, D * sizeof(double));
	lb_threads_part(&from, &to, job->p->N, worker, n_workers);
	for (int64_t j = from; j < to; j++)
	{
		if (should_stop(job))
			return;
		add_row(sums, job->c + (size_t) j * D, D);
	}
}

/* From the workers' sums of N rows, in their order. */
static void
find_mean(Job *job, double *mean, int n_workers)
{
	int			D = job->p->D;

	memset(mean, 0, D * sizeof(double));
	for (int w = 0; w < n_workers; w++)
	{
		const double *sums = tile_of(job, w).sums;

		for (int d = 0; d < D; d++)
			mean[d] += sums[d];
	}
	for (int d = 0; d < D; d++)
		mean[d] /= job->p->N;
}

/*
 * Candidates less their mean.  What candidates have in common, most of them
 * after the first steps, would cancel out of dq in the end and leave its
 * rounding errors there, the same in every row: B times that in the query
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

/* Columns from to to, all in the kernel's units. */
static void
pack_piece(Job *job, int64_t from, int64_t to)
{
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
}

/* Candidates, bias and ids in the forms that the kernel reads. */
static void
pack_columns(void *arg, int worker, int n_workers)
{
	Job		   *job = arg;
	int			unit = job->kernel->column_unit;
	int64_t		piece = (1 + PIECE_NUMBERS / job->p->D / unit) * unit;
	int64_t		from;
	int64_t		to;

	lb_threads_part(&from, &to, job->shared.Np / unit, worker, n_workers);
	to *= unit;
	for (from *= unit; from < to && !should_stop(job); from += piece)
		pack_piece(job, from, to - from < piece ? to : from + piece);
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
 * Masks all but the n highest of row i's negatives; of equals the lower column
 * stays, as tf.math.top_k has it.  The row's own column is no negative.
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

/* log(sum of p) - log(p of the positive), from logits to base 2 */
static double
row_loss(double others, double own, double max)
{
	double		below = own - max;	/* <= 0 */

	if (below > -500)
		return log1p(others * exp2(-below));
	return log(others) - below * LN_2;
}

/*
 * After the rows' sums are known: dq is finished and written, q' prepared for
 * the dc product.  Returns the rows' loss.
 */
static double
finish_rows(LbSoftmaxTile *t, const Job *job, const float *own)
{
	const LbSoftmax *p = job->p;
	bool		transposed = job->kernel->dq_transposed;
	size_t		step = transposed ? LB_SM_ROWS : 1;
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
		const float *dq_sum = transposed ? t->dq + i :
		t->dq + (size_t) i * t->Dp;
		float	   *qg = t->qg + (size_t) i * t->Dp;

		loss += weight * row_loss(others, own[i], t->row_max[i]);
		if (job->dq == NULL)
			continue;
		for (int d = 0; d < p->D; d++)
		{
			job->dq[(size_t) row * p->D + d] =
				factor * (dq_sum[d * step] - others * c[d]);
			qg[d] = factor * q[d];
		}
		for (int d = p->D; d < t->Dp; d++)
			qg[d] = 0;
	}
	return loss;
}

/* the rows' own columns of the dc product, which p leaves out */
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

/* one tile; false when cancelled */
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
		if (should_stop(job))
			return false;
		kernel->logits(t, j0, j1);
	}
	for (int i = 0; i < t->n_rows; i++)
	{
		float	   *s = t->s + (size_t) (t->row0 + i) * LB_SM_ROWS + i;

		if (job->p->hard_negatives > 0 && should_stop(job))
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
		if (should_stop(job))
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
			if (should_stop(job))
				return false;
			kernel->dc(t, j0, j1, first);
		}
		add_own_columns(t);
	}
	return true;
}

static void
do_rows(void *arg, int worker, int n_workers)
{
	Job		   *job = arg;
	const LbSoftmax *p = job->p;
	LbSoftmaxTile tile = job->shared;
	uint64_t   *keys = NULL;
	double		loss = 0;
	int64_t		from;
	int64_t		to;

	cut_own(&tile, &keys, job->own + worker * job->own_bytes, p);
	if (p->ids == NULL)
		tile.ids = NULL;

	lb_threads_part(&from, &to, (p->B + ROW_UNIT - 1) / ROW_UNIT, worker,
					n_workers);
	from *= ROW_UNIT;
	to *= ROW_UNIT;
	if (to > p->B)
		to = p->B;
	for (int64_t row = from; row < to; row += LB_SM_ROWS)
	{
		tile.row0 = (int) row;
		tile.n_rows = (int) (to - row < LB_SM_ROWS ? to - row : LB_SM_ROWS);
		if (!do_tile(job, &tile, keys, &loss, row == from))
			return;
	}
	job->has_dc[worker] = from < to;
	job->loss[worker] = loss;
}

/* dc = the workers' shares, added in their order; and the sum of its rows */
static void
reduce_dc(void *arg, int worker, int n_workers)
{
	Job		   *job = arg;
	int			D = job->p->D;
	double	   *sums = tile_of(job, worker).sums;
	const float *shares[LB_MAX_THREADS];
	int			n_shares = 0;
	int64_t		from;
	int64_t		to;

	for (int w = 0; w < n_workers; w++)
		if (job->has_dc[w])
			shares[n_shares++] = tile_of(job, w).dc;
	memset(sums, 0, D * sizeof(double));
	lb_threads_part(&from, &to, job->p->N, worker, n_workers);
	for (int64_t j = from; j < to; j++)
	{
		float	   *dc = job->dc + (size_t) j * D;
		size_t		place = (size_t) j * job->shared.Dp;

		if (should_stop(job))
			return;
		memcpy(dc, shares[0] + place, D * sizeof(float));
		for (int k = 1; k < n_shares; k++)
			for (int d = 0; d < D; d++)
				dc[d] += shares[k][place + d];
		add_row(sums, dc, D);
	}
}

/* As center(), for dc: errors alike in every row add up in the biases. */
static void
balance_dc(void *arg, int worker, int n_workers)
{
	Job		   *job = arg;
	int			D = job->p->D;
	const double *mean = job->shared.mean;
	int64_t		from;
	int64_t		to;

	lb_threads_part(&from, &to, job->p->N, worker, n_workers);
	for (int64_t j = from; j < to; j++)
	{
		float	   *dc = job->dc + (size_t) j * D;

		if (should_stop(job))
			return;
		for (int d = 0; d < D; d++)
			dc[d] = (float) (dc[d] - mean[d]);
	}
}

static LbStatus
run(double *loss, float *dq, float *dc, const float *q, const float *c,
	const LbSoftmax *p, void *scratch, LbThreads *pool, LbCancel cancel)
{
	Job			job;
	int			n_threads = lb_threads_count(pool);
	int			unit;

	if (p->B < 1 || p->N < p->B || p->D < 1 || p->D > LB_SOFTMAX_MAX_D ||
		p->hard_negatives < 0 || !isfinite(p->scale))
		return LB_BAD_ARGUMENT;
	memset(&job, 0, sizeof(job));
	job.p = p;
	job.kernel = choose_kernel(p);
	unit = job.kernel->column_unit;
	job.shared.N = p->N;
	job.shared.D = p->D;
	job.shared.Np = (p->N + unit - 1) / unit * unit;
	unit = job.kernel->width_unit;
	job.shared.Dp = (p->D + unit - 1) / unit * unit;
	job.own = (char *) scratch + cut_shared(&job.shared, scratch, p);
	job.own_bytes = own_bytes(p);
	job.q = q;
	job.c = c;
	job.dq = dq;
	job.dc = dc;
	job.cancel = cancel;

	lb_threads_run(pool, sum_candidates, &job);
	find_mean(&job, job.shared.mean, n_threads);
	lb_threads_run(pool, pack_columns, &job);
	if (atomic_load(&job.stop))
		return LB_CANCELLED;
	if (atomic_load(&job.not_finite))
		return LB_NOT_FINITE;
	lb_threads_run(pool, do_rows, &job);
	if (atomic_load(&job.stop))
		return LB_CANCELLED;
	if (dq != NULL)
	{
		lb_threads_run(pool, reduce_dc, &job);
		find_mean(&job, job.shared.mean, n_threads);
		lb_threads_run(pool, balance_dc, &job);
		if (atomic_load(&job.stop))
			return LB_CANCELLED;
	}
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
