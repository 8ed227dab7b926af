/*
 * neighbours.h
 *		Recordings that are played one after another, over all listens.
 */
#ifndef LBREC_MODEL_NEIGHBOURS_H
#define LBREC_MODEL_NEIGHBOURS_H

#include "pg/model/counted.h"

extern void lbrec_count_neighbours(Counted *counted,
								   const CountRequest *request);
extern void lbrec_neighbour_weights(float *weights, int64 n_recordings,
									const int64 *offsets, const int32 *codes,
									const float *counts, const float *sums);

#endif							/* LBREC_MODEL_NEIGHBOURS_H */
