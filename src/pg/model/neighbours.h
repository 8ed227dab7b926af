/*
 * neighbours.h
 *		Recordings that are played one after another, over all listens.
 */
#ifndef LBREC_MODEL_NEIGHBOURS_H
#define LBREC_MODEL_NEIGHBOURS_H

#include "pg/listens/dataset.h"

#include "core/score/lb_neighbour.h"

/* Rows by recording code: row 0, of the unknown, is empty. */
typedef struct Neighbours
{
	int64		n_recordings;
	int64	   *offsets;		/* (n_recordings + 2) */
	int32	   *codes;
	float	   *counts;
	float	   *weights;		/* lb_neighbour_weight() of the counts */
	float	   *sums;			/* (n_recordings + 1) of counts, whole rows */
} Neighbours;

extern Neighbours *lbrec_count_neighbours(const Dataset *data,
										  const uint8 *held_out, int most,
										  const Neighbours *older,
										  MemoryContext context);
extern void lbrec_weigh_neighbours(float *weights, int64 n_recordings,
								   const int64 *offsets, const int32 *codes,
								   const float *counts, const float *sums);

#endif							/* LBREC_MODEL_NEIGHBOURS_H */
