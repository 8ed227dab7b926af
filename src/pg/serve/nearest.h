/*
 * nearest.h
 *		Finds the rows of a table of vectors that are nearest by cosine,
 *		exactly.
 */
#ifndef LBREC_SERVE_NEAREST_H
#define LBREC_SERVE_NEAREST_H

#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/model/toplist.h"

extern float *lbrec_mean_direction(const float *vectors, const int32 *rows,
								   int64 n, int D);
extern RankedList lbrec_nearest_rows(const float *vectors, int64 n, int D,
									 const float *query, int64 k);
extern RankedList lbrec_nearest_recordings(const ServingModel *serving,
										   const float *query,
										   const CandidateSet *allowed,
										   int64 k);

#endif							/* LBREC_SERVE_NEAREST_H */
