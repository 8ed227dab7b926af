/*
 * popularity.h
 *		What was popular when.
 */
#ifndef LBREC_POPULARITY_H
#define LBREC_POPULARITY_H

#include "dataset.h"
#include "image.h"

/* Listens by recording and week: those of code r from offsets[r - 1] on. */
typedef struct WeekCounts
{
	int64		n;				/* recordings */
	int64	   *offsets;		/* (n + 1) */
	int32	   *counts;			/* (offsets[n], 2): week since 1970, listens */
	int64		allocated;		/* pairs */
} WeekCounts;

extern int32 lbrec_week_of(int64 time);
extern WeekCounts *lbrec_count_weeks(const Dataset *data);
extern void lbrec_weigh_weeks(float *popularity, const int64 *offsets,
							  const int32 *counts, int64 n, int32 week);
extern const float *lbrec_popularity(const ServingModel *serving, int64 time);

#endif							/* LBREC_POPULARITY_H */
