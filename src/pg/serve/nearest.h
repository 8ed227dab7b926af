/*
 * nearest.h
 *		The rows of a table of vectors that are nearest by cosine.
 */
#ifndef LBREC_SERVE_NEAREST_H
#define LBREC_SERVE_NEAREST_H

#include "pg/image/image.h"

typedef struct Nearest
{
	float		score;
	int64		row;
} Nearest;

extern int64 lbrec_nearest(Nearest *best, const float *vectors, int64 n,
						   int D, int64 self, int64 k);
extern int64 lbrec_nearest_by_lengths(Nearest *best,
									  const ServingModel *serving, int64 self,
									  int64 k);
extern int64 lbrec_nearest_by_index(Nearest *best,
									const ServingModel *serving, int64 self,
									int64 k);

#endif							/* LBREC_SERVE_NEAREST_H */
