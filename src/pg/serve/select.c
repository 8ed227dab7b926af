/*
 * select.c
 *		Selects the k recordings of a list: the best, exactly, with a limit for
 *		each artist and with diversity.
 *
 * A limit per category is applied down the ranking. The ranking is made deeper
 * until k recordings pass or none is left, so the result is exact.
 *
 * Diversity is maximal marginal relevance (Carbonell and Goldstein, SIGIR
 * 1998) over the best POOL_FACTOR * k: each place goes to the recording with
 * the highest (1 - diversity) * relevance - diversity * similarity.  Relevance
 * is the score scaled from 0 (the last of the pool) to 1 (the first);
 * similarity is the highest cosine to a recording already in the list.  The
 * scores returned are the model's.
 */
#include "pg/serve/select.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/model/toplist.h"
#include "pg/serve/listener.h"
#include "pg/server/kernels.h"

#define POOL_FACTOR 10
#define LEAST_POOL 100

/* Cosines computed together. */
#define COSINES 256

/* Ranks the allowed recordings; returns the best k. */
static RankedList
best(const ServingModel *serving, const Listener *listener,
	 const Wanted *wanted, int64 k)
{
	const CandidateSet *allowed = &wanted->allowed;
	const Scorer *scorer;
	TopRequest	request = {0};
	RankedList	list;

	if (wanted->rank)
		return wanted->rank(wanted->whom, allowed, k);
	scorer = &listener->scorer;
	request.set.c = listener->vectors;
	request.set.n = serving->tower.n_recordings;
	request.set.D = listener->D;
	request.set.index = listener->index;
	request.set.allow = allowed->bits;
	request.set.list = allowed->list;
	request.set.n_list = allowed->n;
	request.m = 1;
	request.scorers = &scorer;
	request.queries = listener->query;
	request.k = k;
	lbrec_top_lists(&list, &request);
	return list;
}

/*
 * Counts the recordings of each category in the list.  An array by category
 * makes a look-up cheap: searching a list of thousands for each of ten times
 * as many would take their product.
 */
typedef struct Tally
{
	const Wanted *wanted;
	int32	   *counts;			/* by category; 0 is none */
} Tally;

static int32
group_of(const Wanted *wanted, int64 id)
{
	return wanted->groups && id + 1 < wanted->n_groups ?
		wanted->groups[id + 1] : 0;
}

static void
start_tally(Tally *tally, const Wanted *wanted, const RankedList *pool)
{
	int32		last = 0;

	tally->wanted = wanted;
	for (int64 i = 0; i < pool->n; i++)
		last = Max(last, group_of(wanted, pool->ids[i]));
	tally->counts = palloc_extended(((Size) last + 1) * sizeof(int32),
									MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* True if the list may take one more of the candidate's category. */
static bool
has_room(const Tally *tally, int64 id)
{
	int32		group = group_of(tally->wanted, id);

	return group == 0 || tally->counts[group] < tally->wanted->per_group;
}

static void
count_in(Tally *tally, int64 id)
{
	tally->counts[group_of(tally->wanted, id)]++;
}

/* Selects down the ranking; out has room for k. */
static void
pick_in_order(RankedList *out, Tally *tally, const RankedList *pool, int64 k)
{
	for (int64 i = 0; i < pool->n && out->n < k; i++)
		if (has_room(tally, pool->ids[i]))
		{
			CHECK_FOR_INTERRUPTS();
			count_in(tally, pool->ids[i]);
			out->ids[out->n] = pool->ids[i];
			out->scores[out->n++] = pool->scores[i];
		}
}

static void
pick_diverse(RankedList *out, Tally *tally, const RankedList *pool, int64 k,
			 const ServingModel *serving, double diversity)
{
	int			D = serving->image->D;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec diversity",
												  ALLOCSET_DEFAULT_SIZES);
	float	   *unit = lbrec_alloc_aligned(context, (Size) pool->n * D *
										   sizeof(float), "vectors");
	float	   *nearest = MemoryContextAllocHuge(context, (pool->n + 1) *
												 sizeof(float));
	bool	   *taken = MemoryContextAllocZero(context, pool->n + 1);
	double		low = pool->n > 0 ? pool->scores[pool->n - 1] : 0;
	double		range = pool->n > 0 ? pool->scores[0] - low : 0;
	float		cosines[COSINES];
	int32		rows[COSINES];

	for (int i = 0; i < COSINES; i++)
		rows[i] = i;
	for (int64 i = 0; i < pool->n; i++)
	{
		const float *c = serving->tower.candidates + pool->ids[i] * D;
		double		sum = 0;

		CHECK_FOR_INTERRUPTS();
		for (int d = 0; d < D; d++)
			sum += (double) c[d] * c[d];
		for (int d = 0; d < D; d++)
			unit[i * D + d] = sum > 0 ? (float) (c[d] / sqrt(sum)) : 0;
		nearest[i] = -1;
	}
	while (out->n < k)
	{
		int64		chosen = -1;
		double		highest = 0;

		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < pool->n; i++)
		{
			double		relevance = range > 0 ?
				(pool->scores[i] - low) / range : 1;
			double		value = (1 - diversity) * relevance -
				diversity * (out->n > 0 ? nearest[i] : 0);

			/* the first place goes to the best, even at diversity 1 */
			if (out->n == 0)
				value = relevance;
			if (!taken[i] && (chosen < 0 || value > highest) &&
				has_room(tally, pool->ids[i]))
			{
				chosen = i;
				highest = value;
			}
		}
		if (chosen < 0)
			break;
		taken[chosen] = true;
		count_in(tally, pool->ids[chosen]);
		out->ids[out->n] = pool->ids[chosen];
		out->scores[out->n++] = pool->scores[chosen];
		for (int64 i = 0; i < pool->n; i += COSINES)
		{
			int			n = (int) Min(COSINES, pool->n - i);

			CHECK_FOR_INTERRUPTS();
			lb_score_rows(cosines, unit + chosen * D, unit + i * D, D, rows, n);
			for (int j = 0; j < n; j++)
				nearest[i + j] = Max(nearest[i + j], cosines[j]);
		}
	}
	MemoryContextDelete(context);
}

/* Returns the k best recordings that pass, or all if fewer do. */
RankedList
lbrec_select(const ServingModel *serving, const Listener *listener,
			 const Wanted *wanted)
{
	int64		k = wanted->k;
	int64		n_allowed = wanted->allowed.n;
	int64		deep;
	RankedList	out;

	if (wanted->groups == NULL && wanted->diversity == 0)
		return best(serving, listener, wanted, k);

	out.ids = palloc_extended(k * sizeof(int64), MCXT_ALLOC_HUGE);
	out.scores = palloc_extended(k * sizeof(float), MCXT_ALLOC_HUGE);
	deep = Max(k * (wanted->diversity > 0 ? POOL_FACTOR : 2), LEAST_POOL);
	for (;; deep *= 4)
	{
		RankedList	pool;
		Tally		tally;

		deep = Min(deep, Max(n_allowed, 1));
		pool = best(serving, listener, wanted, deep);
		start_tally(&tally, wanted, &pool);
		out.n = 0;
		if (wanted->diversity > 0)
			pick_diverse(&out, &tally, &pool, k, serving, wanted->diversity);
		else
			pick_in_order(&out, &tally, &pool, k);
		pfree(pool.ids);
		pfree(pool.scores);
		pfree(tally.counts);
		if (out.n == k || deep >= n_allowed)
			return out;
	}
}
