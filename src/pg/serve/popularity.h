/*
 * popularity.h
 *		Popularity of each candidate at a time.
 */
#ifndef LBREC_SERVE_POPULARITY_H
#define LBREC_SERVE_POPULARITY_H

#include "pg/image/image.h"

extern const float *lbrec_popularity(const ServingModel *serving, int64 time);
extern void lbrec_popular_ranks(int64 *ranks, const ServingModel *serving,
								const int64 *times, const int32 *truth,
								int64 n);

#endif							/* LBREC_SERVE_POPULARITY_H */
