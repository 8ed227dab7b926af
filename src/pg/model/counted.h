/*
 * counted.h
 *		The arrays that a model counts in the listens, beside its learned
 *		weights.
 *
 * Each of these arrays has a row in the table of parts.c, and a function that
 * count.c calls.
 */
#ifndef LBREC_MODEL_COUNTED_H
#define LBREC_MODEL_COUNTED_H

#include "pg/listens/dataset.h"

#include "core/score/lb_follow.h"
#include "core/score/lb_neighbour.h"

typedef struct Counted
{
	/*
	 * Each user's recordings, latest first; row 0, of unknown users, is
	 * empty.
	 */
	const int64 *history_offsets;	/* (n_users + 2), or NULL */
	const int32 *history_codes;
	const float *history_plays; /* number of plays */
	const float *history_recency;	/* log of the plays' decayed weight, or
									 * NULL */
	double		history_power;	/* exponent of that decay, in training */
	const int64 *history_last;	/* (n_users + 1) time of the last listen */

	/* Rows of recordings, row 0 is empty; offsets NULL: none. */
	LbNeighbours neighbours;
	const float *neighbour_counts;	/* counts that become weights */
	const float *neighbour_sums;	/* (n_recordings + 1) sums of counts over
									 * whole rows */
	LbFollow	follow;
} Counted;

typedef struct CountRequest
{
	const Dataset *data;
	const uint8 *held_out;		/* bitmap of listens to leave out, or NULL */
	int			neighbours;		/* largest number a row may have; 0: no
								 * neighbours and no transitions */
	double		repeat_power;	/* exponent of the plays' decay; 0: no recency */
	const struct TwoTower *older;	/* the model to continue, or NULL */
	MemoryContext context;		/* memory for the arrays */
} CountRequest;

#endif							/* LBREC_MODEL_COUNTED_H */
