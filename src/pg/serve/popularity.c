/*
 * popularity.c
 *		Popularity of each candidate at a time: the list of an unknown user.
 *
 * Nearly everybody asks for now, which is after the last listen: that column
 * is a part of the model's image.  Another week's is summed up when it is
 * asked for, one pass over the pairs of listens/weeks.c.
 */
#include "pg/serve/popularity.h"

#include "pg/image/image.h"
#include "pg/listens/weeks.h"
#include "pg/server/kernels.h"

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
	if (week == image->popular_week)
		return serving->popular;
	popularity = lbrec_alloc_aligned(CurrentMemoryContext, n * sizeof(float),
									 "popularity");
	lbrec_weigh_weeks(popularity, serving->tower.week_offsets,
					  serving->tower.week_counts, n, week);
	return popularity;
}
