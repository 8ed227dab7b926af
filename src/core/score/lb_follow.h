/*
 * lb_follow.h
 *		Directed transitions: counts of one recording played after another, by
 *		distance.
 */
#ifndef LB_FOLLOW_H
#define LB_FOLLOW_H

#include "core/lb_core.h"

/* Largest distance of a transition, in plays. */
#define LB_FOLLOW_REACH 3

/*
 * Plays at least this far apart in time, in microseconds, make no transition.
 */
#define LB_FOLLOW_GAP (INT64_C(3600) * 1000000)

/* Codes are 1 or more, and less than this. */
#define LB_FOLLOW_MAX_CODE ((int32_t) 1 << 30)

/* A play of a user; code 0 is an unknown recording. */
typedef struct LbPlay
{
	int32_t		code;
	int64_t		time;			/* microseconds */
} LbPlay;

/*
 * Rows of transitions.  The row of code a is offsets[a] to offsets[a + 1] - 1,
 * sorted by code.
 */
typedef struct LbFollow
{
	const int64_t *offsets;		/* (n + 2), or NULL: there are no transitions */
	const int32_t *codes;
	const float *counts;		/* (entries, LB_FOLLOW_REACH), by distance */
	const float *sums;			/* (n + 1, LB_FOLLOW_REACH) sums over all
								 * transitions from a, even those not kept */
} LbFollow;

/* A transition as one number, ordered by from, to and distance. */
static inline uint64_t
lb_transition_make(int32_t from, int32_t to, int distance)
{
	return (uint64_t) from << 32 | (uint64_t) to << 2 | (uint64_t) distance;
}

static inline int32_t
lb_transition_from(uint64_t t)
{
	return (int32_t) (t >> 32);
}

static inline int32_t
lb_transition_to(uint64_t t)
{
	return (int32_t) (t >> 2 & (LB_FOLLOW_MAX_CODE - 1));
}

/* 1 to LB_FOLLOW_REACH */
static inline int
lb_transition_distance(uint64_t t)
{
	return (int) (t & 3);
}

/*
 * Makes the transitions of one user's n plays, sorted by time.  Plays at equal
 * times make none: their order is unknown.  transitions has room for n *
 * LB_FOLLOW_REACH.  Returns their number.
 */
extern int64_t lb_follow_transitions(uint64_t *transitions,
									 const LbPlay *plays, int64_t n);

/*
 * Makes a row from its n transitions, and reorders them: codes and counts (…,
 * LB_FOLLOW_REACH), sorted by code.  Both have room for n.  Returns the row's
 * length, -1 after a cancel: then it may be called again.
 */
extern int64_t lb_follow_row(int32_t *codes, float *counts,
							 uint64_t *transitions, int64_t n,
							 LbCancel cancel);

/*
 * Keeps those followers of a row (n) with the highest sum of count / distance,
 * at most `most`, sorted by code as before.  keys is scratch for n.  Returns
 * the row's length.
 */
extern int64_t lb_follow_keep(int32_t *codes, float *counts, int64_t n,
							  int64_t most, uint64_t *keys);

#endif							/* LB_FOLLOW_H */
