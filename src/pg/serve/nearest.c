/*
 * nearest.c
 *		Finds the rows of a table of vectors that are nearest by cosine,
 *		exactly.
 *
 * A cosine is lb_score() of the query and of the row at unit length.  Three
 * ways give the same rows and bits: the index, the lengths stored in the
 * image, and normalising every row.
 */
#include "pg/serve/nearest.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/scan/lb_scan.h"

#include "pg/image/image.h"
#include "pg/server/kernels.h"

/* Vectors normalised together. */
#define BLOCK_ROWS 8192

/* Cosines computed together. */
#define COSINES 256

typedef struct Nearest
{
	float		score;
	int64		row;
} Nearest;

/*
 * fills out (n, D) with normalised rows of vectors; a zero vector stays zero
 */
static void
unit_rows(float *out, const float *vectors, const int32 *rows, int n, int D)
{
	for (int i = 0; i < n; i++)
	{
		const float *v = vectors + (Size) rows[i] * D;
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

/* Moves the best k of n to the front, sorted; returns their number. */
static int64
keep_best(Nearest *pool, int64 n, int64 k)
{
	qsort(pool, n, sizeof(Nearest), compare_nearest);
	return Min(n, k);
}

/*
 * Finds the nearest rows of vectors (n, D) from the vectors alone.  Blocks are
 * searched one after another; the best of each compete.
 */
static int64
by_blocks(Nearest *pool, const float *vectors, int64 n, int D,
		  const float *query, const CandidateSet *allowed, int64 k)
{
	int64		in_block = Min(k, BLOCK_ROWS);
	float	   *block = lbrec_alloc_aligned(CurrentMemoryContext,
											(Size) BLOCK_ROWS * D *
											sizeof(float), "block of vectors");
	int32	   *rows = palloc(BLOCK_ROWS * sizeof(int32));
	int64	   *ids = palloc(in_block * sizeof(int64));
	float	   *scores = palloc(in_block * sizeof(float));
	LbCandidates set = {.c = block, .n = BLOCK_ROWS, .D = D};
	void	   *scratch = lbrec_alloc_aligned(CurrentMemoryContext,
											  lb_topk_bytes(&set, in_block),
											  "selection");
	CandidateWalk walk = {allowed, n, 0};
	int64		found;
	LbBest		best = {in_block, &found, ids, scores};
	int64		n_pool = 0;

	while ((set.n = lbrec_next_candidates(&walk, rows, BLOCK_ROWS)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		unit_rows(block, vectors, rows, (int) set.n, D);
		best.k = Min(in_block, set.n);
		lbrec_check_status(lb_topk(&best, query, &set, scratch, NULL),
						   "a score");
		for (int64 i = 0; i < found; i++)
		{
			pool[n_pool].score = scores[i];
			pool[n_pool++].row = rows[ids[i]];
		}
		n_pool = keep_best(pool, n_pool, k);
	}
	return n_pool;
}

/*
 * Bound of the difference between two roundings of a product of unit vectors.
 */
static double
slack(int D)
{
	return 4 * (D + 4) * ldexp(1, -24);
}

/*
 * Moves the best k to the front, then all that may be among them; returns
 * their number.
 */
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

/* Computes the cosines of the pool's rows. */
static void
set_cosines(Nearest *pool, int64 n, const ServingModel *serving,
			const float *query)
{
	int			D = serving->image->D;
	float	   *unit = lbrec_alloc_aligned(CurrentMemoryContext,
										   D * sizeof(float), "vector");

	for (int64 i = 0; i < n; i++)
	{
		int32		row = (int32) pool[i].row;

		CHECK_FOR_INTERRUPTS();
		unit_rows(unit, serving->tower.candidates, &row, 1, D);
		pool[i].score = lb_score(query, unit, D);
	}
}

/*
 * Gives the result of by_blocks() from the lengths stored in the image; -1 if
 * these are too extreme.
 *
 * The dot product divided by the length is the cosine, except for rounding
 * errors, and slack() is more than twice their bound: a product of D terms is
 * off by less than (D + 1) 2^-24 times both lengths, a normalised row by less
 * than 3 * 2^-24.  So a row more than two slacks below the k-th best quotient
 * has k better rows under any rounding.  For the others, cosines are computed
 * as in by_blocks().
 */
static int64
by_lengths(Nearest **best, const ServingModel *serving, const float *query,
		   const CandidateSet *allowed, int64 k)
{
	int			D = serving->image->D;
	double		margin = 2 * slack(D);
	int64		room = 4 * k + 1024;
	int64		n_pool = 0;
	float		floor = -INFINITY;
	Nearest    *pool;
	int32		rows[COSINES];
	float		products[COSINES];
	CandidateWalk walk = {allowed, serving->tower.n_recordings, 0};
	int			m;

	if (serving->image->longest > ldexp(1, 60) ||
		serving->image->least < ldexp(1, -60))
		return -1;
	pool = palloc_extended(room * sizeof(Nearest), MCXT_ALLOC_HUGE);
	while ((m = lbrec_next_candidates(&walk, rows, COSINES)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (room - n_pool < COSINES)
		{
			n_pool = thin(pool, n_pool, k, margin);
			floor = pool[k - 1].score - margin;
			/* many rows tie */
			if (room - n_pool < room / 2)
				pool = repalloc_huge(pool, (room *= 2) * sizeof(Nearest));
		}
		lb_score_rows(products, query, serving->tower.candidates, D, rows, m);
		for (int i = 0; i < m; i++)
		{
			float		length = serving->lengths[rows[i]];
			float		cosine = length > 0 ? products[i] / length : 0;

			if (cosine >= floor)
			{
				pool[n_pool].score = cosine;
				pool[n_pool++].row = rows[i];
			}
		}
	}
	n_pool = thin(pool, n_pool, k, margin);
	set_cosines(pool, n_pool, serving, query);
	*best = pool;
	return keep_best(pool, n_pool, k);
}

/*
 * Gives the same result from the index, which orders by dot products, not
 * cosines; -1 if the result is not certain.  It is certain if vectors have
 * similar lengths, such as those of towers that end in unit length.
 *
 * Let p be the lowest of the m best dot products.  The cosine of any other row
 * is at most p / the shortest length, plus slack().  If the k-th best cosine
 * of the m rows exceeds that, no other row can be among the k best.  If fewer
 * than m rows come back, they are all allowed ones.
 */
static int64
by_index(Nearest **best, const ServingModel *serving, const float *query,
		 const CandidateSet *allowed, int64 k)
{
	int			D = serving->image->D;
	LbCandidates set = {.c = serving->tower.candidates,
		.n = serving->tower.n_recordings, .D = D, .index = serving->index,
	.allow = allowed->bits};
	int64		m = 2 * k + 64;
	double		shortest = serving->image->shortest;
	double		bound;
	int64	   *ids;
	float	   *scores;
	Nearest    *pool;
	void	   *scratch;
	int64		found;
	LbBest		of_set = {.k = m, .found = &found};
	LbStatus	status;

	/* for few rows, computing products is faster than the index */
	if (allowed->list || allowed->n < set.n / 4 || m > set.n / 8 ||
		!(shortest > 0.99 * serving->image->longest))
		return -1;
	of_set.ids = ids = palloc_extended(m * sizeof(int64), MCXT_ALLOC_HUGE);
	of_set.scores = scores = palloc_extended(m * sizeof(float), MCXT_ALLOC_HUGE);
	pool = palloc_extended(m * sizeof(Nearest), MCXT_ALLOC_HUGE);
	scratch = lbrec_alloc_aligned(CurrentMemoryContext,
								  lb_topk_bytes(&set, m), "selection");
	LBREC_RUN((status = lb_topk(&of_set, query, &set, scratch,
								lbrec_cancel_flag())) == LB_CANCELLED);
	lbrec_check_status(status, "a score");
	for (int64 i = 0; i < found; i++)
		pool[i].row = ids[i];
	set_cosines(pool, found, serving, query);
	*best = pool;
	bound = found < m ? -INFINITY : Max(scores[found - 1], 0) / shortest +
		slack(D);
	found = keep_best(pool, found, k);
	return found == 0 || pool[found - 1].score > bound ? found : -1;
}

static RankedList
ranked_list(const Nearest *best, int64 n, MemoryContext context)
{
	RankedList	list = {.n = n};

	list.ids = MemoryContextAllocHuge(context, (n + 1) * sizeof(int64));
	list.scores = MemoryContextAllocHuge(context, (n + 1) * sizeof(float));
	for (int64 i = 0; i < n; i++)
	{
		list.ids[i] = best[i].row;
		list.scores[i] = best[i].score;
	}
	return list;
}

/*
 * Finds the min(k, n) rows of vectors (n, D) nearest to a query (D) of unit
 * length.
 */
RankedList
lbrec_nearest_rows(const float *vectors, int64 n, int D, const float *query,
				   int64 k)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec nearest",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CandidateSet all = {.n = n};
	Nearest    *pool = palloc_extended((k + BLOCK_ROWS) * sizeof(Nearest),
									   MCXT_ALLOC_HUGE);
	int64		found = by_blocks(pool, vectors, n, D, query, &all, k);
	RankedList	list = ranked_list(pool, found, old);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return list;
}

/*
 * Finds the allowed recordings nearest to a query (D) of unit length: min(k,
 * allowed), k > 0.
 */
RankedList
lbrec_nearest_recordings(const ServingModel *serving, const float *query,
						 const CandidateSet *allowed, int64 k)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec nearest",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Nearest    *best;
	int64		found = by_index(&best, serving, query, allowed, k);
	RankedList	list;

	if (found < 0)
		found = by_lengths(&best, serving, query, allowed, k);
	if (found < 0)
	{
		best = palloc_extended((k + BLOCK_ROWS) * sizeof(Nearest),
							   MCXT_ALLOC_HUGE);
		found = by_blocks(best, serving->tower.candidates,
						  serving->tower.n_recordings, serving->image->D,
						  query, allowed, k);
	}
	list = ranked_list(best, found, old);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return list;
}

/*
 * Returns the direction (D), of unit length, of the mean of n normalised rows
 * of vectors; zero if they cancel out.  Aligned for a scan.
 */
float *
lbrec_mean_direction(const float *vectors, const int32 *rows, int64 n, int D)
{
	float	   *query = lbrec_alloc_aligned(CurrentMemoryContext,
											D * sizeof(float), "query");
	double	   *sums = palloc0(D * sizeof(double));
	double		length = 0;

	for (int64 i = 0; i < n; i++)
	{
		const float *v = vectors + (Size) rows[i] * D;
		double		squares = 0;

		CHECK_FOR_INTERRUPTS();
		for (int d = 0; d < D; d++)
			squares += (double) v[d] * v[d];
		for (int d = 0; squares > 0 && d < D; d++)
			sums[d] += v[d] / sqrt(squares);
	}
	for (int d = 0; d < D; d++)
		length += sums[d] * sums[d];
	for (int d = 0; d < D; d++)
		query[d] = length > 0 ? (float) (sums[d] / sqrt(length)) : 0;
	pfree(sums);
	return query;
}
