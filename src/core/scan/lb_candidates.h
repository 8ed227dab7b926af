/*
 * lb_candidates.h
 *		The candidates of a scan, and the definition of a score.
 *
 * A score is defined as the chain
 *		acc = 0;  for d = 0 .. D-1:  acc = fmaf(q[d], c[d], acc)
 * in float32, with a NaN (overflow to both infinities) counted as minus
 * infinity and minus zero as zero: the same bits in every kernel and layout
 * and on every CPU.  Ranking order: score descending, then candidate index
 * ascending.  So every scan has one right answer, and the fast ones are tested
 * for that answer, not for a tolerance.
 *
 * Query and candidate values must be finite (checked where a model is saved).
 */
#ifndef LB_CANDIDATES_H
#define LB_CANDIDATES_H

#include "core/lb_core.h"

#define LB_SCAN_MAX_D 1024
#define LB_SCAN_MAX_N INT32_MAX

/* The candidates that a scan may return. */
typedef struct LbCandidates
{
	const float *c;				/* (n,D), row-major */
	int64_t		n;				/* up to LB_SCAN_MAX_N */
	int			D;				/* 1 to LB_SCAN_MAX_D */
	const void *index;			/* from lb_index_build() of the same c, or
								 * NULL: faster, same result */
	const uint64_t *allow;		/* bitmap of n bits: only candidates with a
								 * set bit; or NULL */
	const int32_t *list;		/* only these candidates, ascending and
								 * distinct; or NULL. At most one of allow and
								 * list is set */
	int64_t		n_list;
} LbCandidates;

/* True if sizes are in range and at most one of the filters is set. */
static inline bool
lb_candidates_sound(const LbCandidates *set)
{
	return set->n >= 0 && set->n <= LB_SCAN_MAX_N && set->D >= 1 &&
		set->D <= LB_SCAN_MAX_D &&
		!(set->allow != NULL && set->list != NULL);
}

/* Returns the number of candidates in the list, or of all. */
static inline int64_t
lb_candidates_most(const LbCandidates *set)
{
	return set->list != NULL ? set->n_list : set->n;
}

/*
 * The best of each query: ids and scores (n_queries, k) in ranking order;
 * found (n_queries) has their numbers.
 */
typedef struct LbBest
{
	int64_t		k;				/* above 0 */
	int64_t    *found;
	int64_t    *ids;
	float	   *scores;
} LbBest;

#endif							/* LB_CANDIDATES_H */
