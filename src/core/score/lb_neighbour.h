/*
 * lb_neighbour.h
 *		Neighbours: recordings played near each other.
 */
#ifndef LB_NEIGHBOUR_H
#define LB_NEIGHBOUR_H

#include <math.h>

#include "core/lb_core.h"
#include "core/score/lb_slots.h"

/* Largest distance of a pair, in listens. */
#define LB_NEIGHBOUR_REACH 3

/* Added to the sums of counts, because few counts prove little. */
#define LB_NEIGHBOUR_SHRINK 5.0f

/* Codes are 1 or more, and less than this. */
#define LB_NEIGHBOUR_MAX_CODE INT32_MAX

/*
 * A pair as one number: from, to (31 bits each) and their distance, which is
 * 1 to LB_NEIGHBOUR_REACH.
 */
static inline int32_t
lb_pair_from(uint64_t pair)
{
	return (int32_t) (pair >> 33);
}

static inline int32_t
lb_pair_to(uint64_t pair)
{
	return (int32_t) (pair >> 2 & INT32_MAX);
}

/* The weight of a pair: 1, 1/2 or 1/3 by its distance. */
static inline float
lb_pair_count(uint64_t pair)
{
	return 1.0f / (float) (pair & 3);
}

/*
 * Makes the distinct pairs of one user's n listens, sorted by time: codes and
 * times are (n), times and gap have the same unit.  pairs has room for n *
 * LB_NEIGHBOUR_REACH.  Returns their number, -1 after a cancel.
 */
extern int64_t lb_neighbour_pairs(uint64_t *pairs, const int32_t *codes,
								  const int64_t *times, int64_t n,
								  int64_t gap, LbCancel cancel);

/* Makes an entry of a row before summation: a neighbour and a count. */
extern uint64_t lb_neighbour_entry(int32_t code, float count);

/*
 * Returns the weight of two recordings with that count together: a shrunk
 * cosine of counts.  sum_a and sum_b are the sums of their rows.
 */
static inline float
lb_neighbour_weight(float count, float sum_a, float sum_b)
{
	return count / sqrtf((sum_a + LB_NEIGHBOUR_SHRINK) *
						 (sum_b + LB_NEIGHBOUR_SHRINK));
}

/*
 * Makes a row from its n entries, and reorders them: codes and counts, sorted
 * by code.  Both have room for n.  Returns the row's length, -1 after a
 * cancel: then it may be called again.
 */
extern int64_t lb_neighbour_row(int32_t *codes, float *counts,
								uint64_t *entries, int64_t n,
								LbCancel cancel);

/*
 * Keeps the nearest of a row (n), at most `most`, sorted by code as before.
 * sums is by code; self is the row's code.  keys is scratch for n.  Returns
 * the row's length.
 */
extern int64_t lb_neighbour_keep(int32_t *codes, float *counts, int64_t n,
								 int32_t self, const float *sums,
								 int64_t most, uint64_t *keys);

/* Rows of neighbours; that of code r is offsets[r] to offsets[r + 1] - 1. */
typedef struct LbNeighbours
{
	const int64_t *offsets;
	const int32_t *codes;
	const float *weights;
} LbNeighbours;

/*
 * A user's own recordings, in their order, then the neighbours of some of
 * them; each with the sum of its neighbours' weights.
 */
typedef struct LbRelated
{
	int64_t		n;
	int32_t    *codes;
	double	   *sums;
	LbSlots		slots;
} LbRelated;

/*
 * Return an upper bound of the number of recordings that lb_related_gather()
 * finds, and the bytes for them; lb_related_place() places t in a block of
 * that size.
 */
extern int64_t lb_related_most(const LbNeighbours *nb, const int32_t *codes,
							   int64_t n, int64_t n_sources);
extern size_t lb_related_bytes(int64_t most);
extern void lb_related_place(LbRelated *t, int64_t most, void *block);

/*
 * Fills t: codes (n) are the user's, distinct; the first n_sources of them
 * contribute their rows, each weight times log(1 + plays).  If nb is NULL, t
 * gets only the codes.
 */
extern void lb_related_gather(LbRelated *t, const LbNeighbours *nb,
							  const int32_t *codes, const float *plays,
							  int64_t n, int64_t n_sources);

/* Returns the place of a code, or -1. */
extern int64_t lb_related_find(const LbRelated *t, int32_t code);

#endif							/* LB_NEIGHBOUR_H */
