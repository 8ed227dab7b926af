/*
 * weeks.h
 *		Listens by recording and week, and popularity at a week.
 */
#ifndef LBREC_LISTENS_WEEKS_H
#define LBREC_LISTENS_WEEKS_H

#include "pg/listens/dataset.h"

/* Listens by recording and week; those of code r begin at offsets[r - 1]. */
typedef struct WeekCounts
{
	int64		n;				/* recordings */
	int64	   *offsets;		/* (n + 1) */
	int32	   *counts;			/* (offsets[n], 2): week since 1970, listens */
	int64		allocated;		/* pairs there is room for */
} WeekCounts;

extern int32 lbrec_week_of(int64 time);
extern WeekCounts *lbrec_count_weeks(const Dataset *data);
extern void lbrec_week_range(int32 *first, int32 *last, const int32 *counts,
							 int64 n_pairs);
extern void lbrec_popularity_of_weeks(float *popularity, const int64 *offsets,
									  const int32 *counts, int64 n, int32 week);

#endif							/* LBREC_LISTENS_WEEKS_H */
