/*
 * popularity.h
 *		Popularity of each candidate at a time.
 */
#ifndef LBREC_SERVE_POPULARITY_H
#define LBREC_SERVE_POPULARITY_H

#include "pg/image/image.h"

extern const float *lbrec_popularity(const ServingModel *serving, int64 time);

#endif							/* LBREC_SERVE_POPULARITY_H */
