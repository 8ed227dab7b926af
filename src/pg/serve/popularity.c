/*
 * popularity.c
 *		Popularity of each candidate at a time: the list of an unknown user.
 *
 * Nearly every call is for now, after the last listen: the image contains that
 * column.  The popularity at another week is computed during the call, in one
 * pass over the pairs of listens/weeks.c.
 */
#include "pg/serve/popularity.h"

#include "utils/memutils.h"

#include "pg/image/image.h"
#include "pg/listens/weeks.h"
#include "pg/server/kernels.h"
#include "pg/server/search.h"

/* Returns the week for the popularity at a time. */
static int32
week_of(const ServingModel *serving, int64 time)
{
	const ImageHeader *image = serving->image;

	return Max(Min(lbrec_week_of(time), image->last_week), image->first_week);
}

/*
 * Returns the popularity of each candidate at a time.  It lives as long as the
 * model or the current memory context.
 */
const float *
lbrec_popularity(const ServingModel *serving, int64 time)
{
	const ImageHeader *image = serving->image;
	int64		n = serving->tower.n_recordings;
	int32		week = week_of(serving, time);
	float	   *popularity;

	if (week == image->popular_week)
		return serving->popular;
	popularity = lbrec_alloc_aligned(CurrentMemoryContext, n * sizeof(float),
									 "popularity");
	lbrec_popularity_of_weeks(popularity, serving->tower.week_offsets,
							  serving->tower.week_counts, n, week);
	return popularity;
}

/* A candidate to find in the list of a week. */
typedef struct Sought
{
	int32		week;
	float		popularity;
	int64		place;			/* index of its listen */
} Sought;

static int
compare_weeks(const void *a, const void *b)
{
	const Sought *x = a;
	const Sought *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->week != y->week)
		return x->week < y->week ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static int
compare_popularity(const void *a, const void *b)
{
	const Sought *x = a;
	const Sought *y = b;

	CHECK_FOR_INTERRUPTS();
	return x->popularity < y->popularity ? -1 :
		x->popularity > y->popularity;
}

/* Finds the ranks of n candidates in the list of one week. */
static void
rank_in_week(int64 *ranks, Sought *sought, int64 n, const float *popularity,
			 int64 n_candidates)
{
	int64	   *above = palloc_extended((n + 1) * sizeof(int64),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	qsort(sought, n, sizeof(Sought), compare_popularity);
	for (int64 i = 0; i < n_candidates; i++)
	{
		int64		less;		/* sought candidates less popular than i */

		CHECK_FOR_INTERRUPTS();
		LBREC_SEARCH(less, 0, n, sought[less].popularity < popularity[i]);
		above[less]++;
	}
	for (int64 i = n - 1; i >= 0; i--)
	{
		above[i] += above[i + 1];
		ranks[sought[i].place] = above[i + 1];
	}
	pfree(above);
}

/*
 * Computes ranks (n), from 0, of candidates in the lists that an unknown user
 * gets at those times: the number of more popular candidates.
 */
void
lbrec_popular_ranks(int64 *ranks, const ServingModel *serving,
					const int64 *times, const int32 *truth, int64 n)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec popularity of a week",
												  ALLOCSET_DEFAULT_SIZES);
	Sought	   *sought = palloc_extended(Max(n, 1) * sizeof(Sought),
										 MCXT_ALLOC_HUGE);

	for (int64 i = 0; i < n; i++)
		sought[i] = (Sought)
	{
		week_of(serving, times[i]), 0, i
	};
	qsort(sought, n, sizeof(Sought), compare_weeks);
	for (int64 first = 0, end; first < n; first = end)
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);
		const float *popularity =
			lbrec_popularity(serving, times[sought[first].place]);

		for (end = first; end < n && sought[end].week == sought[first].week;
			 end++)
			sought[end].popularity = popularity[truth[sought[end].place]];
		rank_in_week(ranks, sought + first, end - first, popularity,
					 serving->tower.n_recordings);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	pfree(sought);
}
