/*
 * nearest.c
 *		The rows of a table of vectors that are nearest by cosine, exactly.
 */
#include "pg/serve/nearest.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/scan/lb_scan.h"

#include "pg/image/image.h"
#include "pg/server/kernels.h"

/* Vectors that are given unit length at a time. */
#define BLOCK_ROWS 8192

/* Cosines that are computed at once. */
#define COSINES 256

/* out (n, D): rows of vectors at unit length; a zero vector stays zero */
static void
unit_rows(float *out, const float *vectors, int n, int D)
{
	for (int i = 0; i < n; i++)
	{
		const float *v = vectors + (Size) i * D;
		double		sum = 0;
		float		inverse;

		for (int d = 0; d < D; d++)
			sum += (double) v[d] * v[d];
		inverse = sum > 0 ? (float) (1 / sqrt(sum)) : 0;
		for (int d = 0; d < D; d++)
			out[(Size) i * D + d] = v[d] * inverse;
	}
}

static int
compare_nearest(const void *a, const void *b)
{
	const Nearest *x = a;
	const Nearest *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/*
 * The k rows of vectors (n, D) nearest to row self by cosine, self left out.
 * Blocks are searched one after another; the best of each compete.
 */
int64
lbrec_nearest(Nearest *best, const float *vectors, int64 n, int D, int64 self,
			  int64 k)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec nearest",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int64		in_block = Min(k, BLOCK_ROWS);
	float	   *query = lbrec_alloc_aligned(context, D * sizeof(float),
											"query");
	float	   *block = lbrec_alloc_aligned(context, (Size) BLOCK_ROWS * D *
											sizeof(float), "block of vectors");
	Nearest    *pool = palloc_extended((k + in_block) * sizeof(Nearest),
									   MCXT_ALLOC_HUGE);
	int64	   *ids = palloc(in_block * sizeof(int64));
	float	   *scores = palloc(in_block * sizeof(float));
	LbCandidates set = {.c = block, .n = BLOCK_ROWS, .D = D};
	void	   *scratch = lbrec_alloc_aligned(context,
											  lb_topk_bytes(&set, in_block),
											  "selection");
	int64		n_pool = 0;

	unit_rows(query, vectors + self * D, 1, D);
	for (int64 from = 0; from < n; from += BLOCK_ROWS)
	{
		int64		found;

		CHECK_FOR_INTERRUPTS();
		set.n = Min(n - from, BLOCK_ROWS);
		unit_rows(block, vectors + from * D, (int) set.n, D);
		lbrec_check_status(lb_topk(&found, ids, scores, query, &set,
								   Min(in_block, set.n), scratch, NULL),
						   "a score");
		for (int64 i = 0; i < found; i++)
			if (from + ids[i] != self)
			{
				pool[n_pool].score = scores[i];
				pool[n_pool++].row = from + ids[i];
			}
		qsort(pool, n_pool, sizeof(Nearest), compare_nearest);
		n_pool = Min(n_pool, k);
	}
	memcpy(best, pool, n_pool * sizeof(Nearest));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return n_pool;
}

/* Unit vectors' product by two ways of rounding differs by less than this. */
static double
slack(int D)
{
	return 4 * (D + 4) * ldexp(1, -24);
}

/* The best k first, and all that may be among them: how many that are. */
static int64
thin(Nearest *pool, int64 n, int64 k, double margin)
{
	if (n <= k)
		return n;
	qsort(pool, n, sizeof(Nearest), compare_nearest);
	while (n > k && pool[n - 1].score < pool[k - 1].score - margin)
		n--;
	return n;
}

/*
 * The result of nearest(), from the lengths that the image has; -1 where
 * these are too extreme.
 *
 * A product divided by the length is the cosine but for rounding, of which
 * slack() is more than twice what there can be: a product of D terms is off
 * by less than (D + 1) 2^-24 times both lengths, making a row unit length by
 * less than 3 * 2^-24.  So what is more than two slacks below the k-th best
 * quotient has k above it by whatever rounding, and the others' cosines are
 * computed as nearest() does.
 */
int64
lbrec_nearest_by_lengths(Nearest *best, const ServingModel *serving, int64 self,
						 int64 k)
{
	int			D = serving->image->D;
	int64		n = serving->tower.n_recordings;
	MemoryContext context;
	MemoryContext old;
	double		margin = 2 * slack(D);
	int64		room = 4 * k + 1024;
	int64		n_pool = 0;
	float		floor = -INFINITY;
	float	   *query;
	float	   *unit;
	Nearest    *pool;
	int32		rows[COSINES];
	float		products[COSINES];

	if (serving->image->longest > ldexp(1, 60) ||
		serving->image->least < ldexp(1, -60))
		return -1;
	context = AllocSetContextCreate(CurrentMemoryContext, "lbrec nearest",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	query = lbrec_alloc_aligned(context, D * sizeof(float), "query");
	unit = lbrec_alloc_aligned(context, D * sizeof(float), "vector");
	pool = palloc_extended(room * sizeof(Nearest), MCXT_ALLOC_HUGE);
	unit_rows(query, lbrec_candidate_vector(serving, self), 1, D);
	for (int i = 0; i < COSINES; i++)
		rows[i] = i;
	for (int64 from = 0; from < n; from += COSINES)
	{
		int			m = (int) Min(n - from, COSINES);

		CHECK_FOR_INTERRUPTS();
		if (room - n_pool < COSINES)
		{
			n_pool = thin(pool, n_pool, k, margin);
			floor = pool[k - 1].score - margin;
			/* many are equal */
			if (room - n_pool < room / 2)
				pool = repalloc_huge(pool, (room *= 2) * sizeof(Nearest));
		}
		lb_score_rows(products, query, lbrec_candidate_vector(serving, from), D,
					  rows, m);
		for (int i = 0; i < m; i++)
		{
			float		length = serving->lengths[from + i];
			float		cosine = length > 0 ? products[i] / length : 0;

			if (cosine >= floor)
			{
				pool[n_pool].score = cosine;
				pool[n_pool++].row = from + i;
			}
		}
	}
	n_pool = thin(pool, n_pool, k, margin);
	for (int64 i = 0; i < n_pool; i++)
	{
		CHECK_FOR_INTERRUPTS();
		unit_rows(unit, lbrec_candidate_vector(serving, pool[i].row), 1, D);
		pool[i].score = lb_score(query, unit, D);
	}
	qsort(pool, n_pool, sizeof(Nearest), compare_nearest);
	room = n_pool;
	n_pool = 0;
	for (int64 i = 0; i < room && n_pool < k; i++)
		if (pool[i].row != self)
			best[n_pool++] = pool[i];
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return n_pool;
}

/*
 * The result of lbrec_nearest(), by way of the index, which orders by products
 * and not by cosines; -1 if that is not certain.  It is where vectors have
 * about the same length, as those of towers that end in unit length.
 *
 * A row that is not among the m best products has none above that of the last
 * of them, p, so its cosine is at most p / the shortest length, but for
 * slack().  So if the k-th best cosine of those m is above that, no other row
 * has one as high.
 */
int64
lbrec_nearest_by_index(Nearest *best, const ServingModel *serving, int64 self,
					   int64 k)
{
	int			D = serving->image->D;
	LbCandidates set = {.c = serving->tower.candidates,
		.n = serving->tower.n_recordings, .D = D, .index = serving->index};
	int64		m = Min(2 * k + 64, set.n);
	MemoryContext context;
	MemoryContext old;
	double		shortest = serving->image->shortest;
	double		bound;
	float	   *query;
	float	   *unit;
	int64	   *ids;
	float	   *scores;
	Nearest    *pool;
	void	   *scratch;
	int64		found;
	bool		proven;
	LbStatus	status;

	if (m > set.n / 8 || !(shortest > 0.99 * serving->image->longest))
		return -1;
	context = AllocSetContextCreate(CurrentMemoryContext, "lbrec nearest",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	query = lbrec_alloc_aligned(context, D * sizeof(float), "query");
	unit = lbrec_alloc_aligned(context, D * sizeof(float), "vector");
	ids = palloc_extended(m * sizeof(int64), MCXT_ALLOC_HUGE);
	scores = palloc_extended(m * sizeof(float), MCXT_ALLOC_HUGE);
	pool = palloc_extended(m * sizeof(Nearest), MCXT_ALLOC_HUGE);
	unit_rows(query, lbrec_candidate_vector(serving, self), 1, D);
	scratch = lbrec_alloc_aligned(context, lb_topk_bytes(&set, m),
								  "selection");
	LBREC_RUN((status = lb_topk(&found, ids, scores, query, &set, m, scratch,
								lbrec_cancel_flag())) == LB_CANCELLED);
	lbrec_check_status(status, "a score");
	bound = Max(scores[found - 1], 0) / shortest + slack(D);
	for (int64 i = 0; i < found; i++)
	{
		CHECK_FOR_INTERRUPTS();
		unit_rows(unit, lbrec_candidate_vector(serving, ids[i]), 1, D);
		pool[i].score = lb_score(query, unit, D);
		pool[i].row = ids[i];
	}
	qsort(pool, found, sizeof(Nearest), compare_nearest);
	/* self is among them, unless many are equal to it */
	proven = pool[k].score > bound;
	m = 0;
	for (int64 i = 0; i < found && m < k; i++)
		if (pool[i].row != self)
			best[m++] = pool[i];
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return proven ? m : -1;
}
