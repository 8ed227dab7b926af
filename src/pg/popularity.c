/*
 * popularity.c
 *		What was popular when: the answer to somebody of whom nothing is known.
 *
 * A model keeps the number of listens of each recording in each week that it
 * was played in: no more pairs than listens, mostly far fewer, so about as
 * much as the users' lists.  How popular a recording is at a time is the sum
 * of its listens up to then, halved for every HALF_LIFE weeks that they lie
 * back, down to the HALVINGS-th halving: what is older than all that still
 * tells who is played at all, and one listen of a clock that is years ahead
 * does not make everything before it nothing.  What lies after the time does
 * not count, but for the rest of its week; a time outside of the weeks counts
 * as the nearest of them.
 *
 * Nearly everybody asks for now, which is after the last listen: that column
 * is a part of the model's image.  Another week's is summed up when it is
 * asked for, one pass over the pairs.
 *
 * Models from before 0.2.0 have no weeks: there it is all listens.
 */
#include "popularity.h"

#include <math.h>

#include "utils/memutils.h"

#define HALF_LIFE 4				/* weeks */
#define HALVINGS 10
#define OLDEST (HALF_LIFE * HALVINGS)

/* Weeks since 1970 of a time in microseconds. */
int32
lbrec_week_of(int64 time)
{
	int64		week = 7 * USECS_PER_DAY;

	return (int32) (time / week - (time % week < 0));
}

static int
compare_weeks(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	/* a recording that everybody plays takes a while to sort */
	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

/* Weeks of all listens, by recording; places (n + 2) becomes their ends. */
static int32 *
weeks_by_recording(const Dataset *data, int64 *places, int64 n)
{
	int32	   *weeks = palloc_extended(Max(data->n_listens, 1) *
										sizeof(int32), MCXT_ALLOC_HUGE);
	SpoolScan	scan;

	memset(places, 0, (n + 2) * sizeof(int64));
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
			places[scan.block[i].recording + 1]++;
	lbrec_scan_end(&scan);
	for (int64 r = 0; r <= n; r++)
		places[r + 1] += places[r];
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
			weeks[places[scan.block[i].recording]++] =
				lbrec_week_of(scan.block[i].time);
	lbrec_scan_end(&scan);
	return weeks;
}

/* Adds listens of a week to the last recording's. */
static void
add_week(WeekCounts *w, int64 from, int32 week, int32 listens)
{
	int64		at = w->offsets[w->n];
	int64		i = at;

	while (i > from && w->counts[2 * (i - 1)] >= week)
		i--;
	if (i < at && w->counts[2 * i] == week)
	{
		w->counts[2 * i + 1] += listens;
		return;
	}
	memmove(w->counts + 2 * (i + 1), w->counts + 2 * i,
			(at - i) * 2 * sizeof(int32));
	w->counts[2 * i] = week;
	w->counts[2 * i + 1] = listens;
	w->offsets[w->n]++;
}

/*
 * The listens of a dataset by recording and week, those included that a model
 * which is continued brought.  In the current memory context, which has to
 * have room for four bytes a listen meanwhile.
 */
WeekCounts *
lbrec_count_weeks(const Dataset *data)
{
	int64		n = lbrec_vocabulary_size(data->recordings);
	const WeekCounts *known = data->known_weeks;
	int64		n_known = known ? known->offsets[known->n] : 0;
	WeekCounts *w = palloc0(sizeof(WeekCounts));
	int64	   *ends = palloc_extended((n + 2) * sizeof(int64),
									   MCXT_ALLOC_HUGE);
	int32	   *weeks = weeks_by_recording(data, ends, n);
	int64		pairs = 0;

	for (int64 r = 1; r <= n; r++)
	{
		int64		from = ends[r - 1];

		CHECK_FOR_INTERRUPTS();
		qsort(weeks + from, ends[r] - from, sizeof(int32), compare_weeks);
		for (int64 i = from; i < ends[r]; i++)
			pairs += i == from || weeks[i] != weeks[i - 1];
	}
	w->offsets = palloc_extended((n + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	w->counts = palloc_extended(Max(pairs + n_known, 1) * 2 * sizeof(int32),
								MCXT_ALLOC_HUGE);
	w->offsets[0] = 0;
	for (int64 r = 1; r <= n; r++)
	{
		int64		from = w->offsets[r - 1];

		CHECK_FOR_INTERRUPTS();
		w->n = r;
		w->offsets[r] = from;
		for (int64 i = ends[r - 1]; i < ends[r]; i++)
			add_week(w, from, weeks[i], 1);
		for (int64 i = known && r <= known->n ? known->offsets[r - 1] : 0;
			 known && r <= known->n && i < known->offsets[r]; i++)
			add_week(w, from, known->counts[2 * i], known->counts[2 * i + 1]);
	}
	pfree(weeks);
	pfree(ends);
	return w;
}

/* popularity (n) at a week */
void
lbrec_weigh_weeks(float *popularity, const int64 *offsets,
				  const int32 *counts, int64 n, int32 week)
{
	double		weights[OLDEST + 1];

	for (int age = 0; age <= OLDEST; age++)
		weights[age] = exp2(-(double) age / HALF_LIFE);
	for (int64 c = 0; c < n; c++)
	{
		double		sum = 0;

		if (c % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		for (int64 i = offsets[c]; i < offsets[c + 1]; i++)
		{
			int64		age = (int64) week - counts[2 * i];

			if (age >= 0)
				sum += counts[2 * i + 1] * weights[Min(age, OLDEST)];
		}
		popularity[c] = (float) sum;
	}
}

/*
 * How popular each candidate is at a time.  Lives as long as the model or the
 * current memory context.
 */
const float *
lbrec_popularity(const ServingModel *serving, int64 time)
{
	const ImageHeader *image = serving->image;
	int64		n = serving->tower.n_recordings;
	int32		week = lbrec_week_of(time);
	float	   *popularity;

	week = Max(Min(week, image->last_week), image->first_week);
	if (serving->week_offsets == NULL || week == image->popular_week)
		return serving->popular;
	popularity = lbrec_alloc_aligned(CurrentMemoryContext, n * sizeof(float),
									 "popularity");
	lbrec_weigh_weeks(popularity, serving->week_offsets,
					  serving->week_counts, n, week);
	return popularity;
}
