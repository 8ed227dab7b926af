/*
 * counted.h
 *		What a model counts in the listens, beside the weights that it learns.
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
	/* each user's recordings, latest first; row 0, of the unknown, is empty */
	const int64 *history_offsets;	/* (n_users + 2), or NULL */
	const int32 *history_codes;
	const float *history_plays; /* how often each was played */
	const float *history_recency;	/* log of what that counts, or NULL */
	double		history_power;	/* of the decay in it, in training */
	const int64 *history_last;	/* (n_users + 1) time of the last listen */

	/* of recordings, row 0 is empty too; offsets NULL: none */
	LbNeighbours neighbours;
	const float *neighbour_counts;	/* that their weights are made of */
	const float *neighbour_sums;	/* (n_recordings + 1) of counts, of whole
									 * rows */
	LbFollow	follow;
} Counted;

typedef struct CountRequest
{
	const Dataset *data;
	const uint8 *held_out;		/* bitmap over listens to leave out, or NULL */
	int			neighbours;		/* of a recording at most; 0: none, and no
								 * transitions */
	double		repeat_power;	/* of the plays' decay; 0: no recency */
	const struct TwoTower *older;	/* the model that is continued, or NULL */
	MemoryContext context;		/* of the arrays */
} CountRequest;

#endif							/* LBREC_MODEL_COUNTED_H */
