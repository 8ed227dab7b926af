/*
 * follow.h
 *		Rows of directed transitions between recordings.
 */
#ifndef LBREC_MODEL_FOLLOW_H
#define LBREC_MODEL_FOLLOW_H

#include "pg/listens/dataset.h"

#include "core/score/lb_follow.h"

/* Rows of code r are offsets[r] up to offsets[r + 1]. */
typedef struct Followers
{
	int64		n_recordings;
	int64	   *offsets;		/* (n_recordings + 2) */
	int32	   *codes;
	float	   *counts;			/* (…, LB_FOLLOW_REACH) */
	float	   *sums;			/* (n_recordings + 1, LB_FOLLOW_REACH) */
} Followers;

extern Followers *lbrec_count_followers(const Dataset *data,
										const uint8 *held_out, int most,
										const Followers *older,
										MemoryContext context);

#endif							/* LBREC_MODEL_FOLLOW_H */
