/*
 * weeks.c
 *		Listens by recording and week, and popularity at a week.
 *
 * A model stores, for each recording, the weeks in which it was played and the
 * listens in each.  There are usually far fewer such pairs than listens, about
 * as many as entries in users' lists.  The popularity of a recording at a time
 * is the sum of its listens so far, each halved for every HALF_LIFE weeks of
 * its age.  Halving stops after HALVINGS times, so that old listens keep a
 * small weight and one listen from a clock years ahead does not erase all
 * others.  Later listens do not count, except those in the same week; a time
 * outside the weeks counts as the nearest week.
 */
#include "pg/listens/weeks.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/lb_math.h"

#include "pg/listens/dataset.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/server/time.h"

#define HALF_LIFE 4				/* in weeks */
#define HALVINGS 10
#define OLDEST (HALF_LIFE * HALVINGS)

/*
 * If more than one in STRAYS listens lies years after all others, it counts.
 */
#define STRAYS 100

/* Returns weeks since 1970 of a time in microseconds. */
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

	/* sorting a recording that everybody plays takes a while */
	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

/*
 * fills places (n + 1): where each recording's listens begin, in the order of
 * codes
 */
static void
place_listens(int64 *places, const Dataset *data, int64 n)
{
	SpoolScan	scan;

	memset(places, 0, (n + 2) * sizeof(int64));
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
			places[scan.block[i].recording + 1]++;
	lbrec_scan_end(&scan);
	for (int64 r = 0; r <= n; r++)
		places[r + 1] += places[r];
}

/*
 * Collects the weeks of the listens of recordings first to last, sorted by
 * recording and week; next is scratch of the same size.
 */
static void
sort_weeks(int32 *weeks, int64 *next, const Dataset *data,
		   const int64 *places, int64 first, int64 last)
{
	SpoolScan	scan;

	memcpy(next, places + first, (last - first + 1) * sizeof(int64));
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			int64		r = scan.block[i].recording;

			if (r >= first && r <= last)
				weeks[next[r - first]++ - places[first]] =
					lbrec_week_of(scan.block[i].time);
		}
	lbrec_scan_end(&scan);
	for (int64 r = first; r <= last; r++)
	{
		CHECK_FOR_INTERRUPTS();
		qsort(weeks + places[r] - places[first], places[r + 1] - places[r],
			  sizeof(int32), compare_weeks);
	}
}

/* Adds listens in a week to the last recording. */
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

/* Adds one recording's weeks, including those of the older model. */
static void
add_recording(WeekCounts *w, const int32 *weeks, int64 n,
			  const WeekCounts *known)
{
	int64		from = w->offsets[w->n++];
	int64		most = from;

	for (int64 i = 0; i < n; i++)
		most += i == 0 || weeks[i] != weeks[i - 1];
	if (known && w->n <= known->n)
		most += known->offsets[w->n] - known->offsets[w->n - 1];
	if (most > w->allocated)
	{
		w->allocated = Max(most, w->allocated + w->allocated / 2);
		w->counts = repalloc_huge(w->counts, w->allocated * 2 * sizeof(int32));
	}
	w->offsets[w->n] = from;
	for (int64 i = 0; i < n; i++)
		add_week(w, from, weeks[i], 1);
	if (known && w->n <= known->n)
		for (int64 i = known->offsets[w->n - 1]; i < known->offsets[w->n]; i++)
			add_week(w, from, known->counts[2 * i], known->counts[2 * i + 1]);
}

/*
 * Counts the listens of a dataset by recording and week, and adds those of a
 * model that is continued.  Recordings are processed in ranges whose listens
 * fit in lbrec.spool_mem, with one pass over the listens for each range.
 */
WeekCounts *
lbrec_count_weeks(const Dataset *data)
{
	int64		n = lbrec_vocabulary_size(data->recordings);
	int64		room = lbrec_spool_rows() * (sizeof(Listen) / sizeof(int32));
	WeekCounts *w = palloc0(sizeof(WeekCounts));
	int64	   *places = palloc_extended((n + 2) * sizeof(int64),
										 MCXT_ALLOC_HUGE);
	int64	   *next = palloc_extended((n + 1) * sizeof(int64),
									   MCXT_ALLOC_HUGE);

	place_listens(places, data, n);
	w->offsets = palloc_extended((n + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	w->offsets[0] = 0;
	w->allocated = n + 1;
	w->counts = palloc_extended(w->allocated * 2 * sizeof(int32),
								MCXT_ALLOC_HUGE);
	for (int64 first = 1, last; first <= n; first = last + 1)
	{
		int32	   *weeks;

		last = first;
		while (last < n && places[last + 2] - places[first] <= room)
			last++;
		weeks = palloc_extended((places[last + 1] - places[first] + 1) *
								sizeof(int32), MCXT_ALLOC_HUGE);
		sort_weeks(weeks, next, data, places, first, last);
		for (int64 r = first; r <= last; r++)
		{
			CHECK_FOR_INTERRUPTS();
			add_recording(w, weeks + places[r] - places[first],
						  places[r + 1] - places[r], data->known_weeks);
		}
		pfree(weeks);
	}
	pfree(places);
	pfree(next);
	return w;
}

/*
 * Returns the first and the last week of all pairs, 0 and 0 without any.
 * Listens that lie more than OLDEST weeks after all others, and are fewer than
 * one in STRAYS, come from wrong clocks: they do not set the last week, or one
 * listen in 2099 would decide what is popular.
 */
void
lbrec_week_range(int32 *first, int32 *last, const int32 *counts,
				 int64 n_pairs)
{
	int64	   *listens;
	int64		total = 0;
	int64		after = 0;
	int32		low = PG_INT32_MAX;
	int32		high = PG_INT32_MIN;

	*first = *last = 0;
	if (n_pairs == 0)
		return;
	for (int64 i = 0; i < n_pairs; i++)
	{
		CHECK_FOR_INTERRUPTS();
		low = Min(low, counts[2 * i]);
		high = Max(high, counts[2 * i]);
		total += counts[2 * i + 1];
	}
	*first = low;
	*last = high;
	if (high > lbrec_week_of(LBREC_LAST_TIME) ||
		low < lbrec_week_of(LBREC_FIRST_TIME))
		return;
	listens = palloc_extended(((Size) (high - low) + 1) * sizeof(int64),
							  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int64 i = 0; i < n_pairs; i++)
		listens[counts[2 * i] - low] += counts[2 * i + 1];
	for (int32 week = high, later = high; week >= low; week--)
	{
		if (listens[week - low] == 0)
			continue;
		if (later - week > OLDEST)
			*last = week;
		after += listens[week - low];
		if (after > total / STRAYS)
			break;
		later = week;
	}
	pfree(listens);
}

/* fills popularity (n) at a week */
void
lbrec_popularity_of_weeks(float *popularity, const int64 *offsets,
						  const int32 *counts, int64 n, int32 week)
{
	double		weights[OLDEST + 1];

	for (int age = 0; age <= OLDEST; age++)
		weights[age] = ldexp(lb_pow(2, -(double) (age % HALF_LIFE) / HALF_LIFE),
							 -(age / HALF_LIFE));
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
