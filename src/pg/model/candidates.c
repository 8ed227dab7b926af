/*
 * candidates.c
 *		A set of candidates: the recordings that a list may contain.
 */
#include "pg/model/candidates.h"

#include "miscadmin.h"

/* Candidates skipped between two checks for a cancel. */
#define BETWEEN_CHECKS 8192

/* Compares candidate numbers, for qsort() and bsearch(). */
int
lbrec_compare_candidates(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

bool
lbrec_is_candidate(const CandidateSet *set, int64 candidate)
{
	int32		key = (int32) candidate;

	if (set->bits)
		return lbrec_candidate_bit(set->bits, candidate);
	return set->list == NULL ||
		bsearch(&key, set->list, set->n, sizeof(int32),
				lbrec_compare_candidates) != NULL;
}

/* Returns the next candidates, at most room; 0 at the end. */
int
lbrec_next_candidates(CandidateWalk *walk, int32 *candidates, int room)
{
	const CandidateSet *set = walk->set;
	int			found = 0;

	if (set->list)
		while (found < room && walk->next < set->n)
			candidates[found++] = set->list[walk->next++];
	else
		for (; found < room && walk->next < walk->n; walk->next++)
		{
			/* a bitmap may have no bit for millions of candidates */
			if (walk->next % BETWEEN_CHECKS == 0)
				CHECK_FOR_INTERRUPTS();
			if (set->bits == NULL ||
				lbrec_candidate_bit(set->bits, walk->next))
				candidates[found++] = (int32) walk->next;
		}
	return found;
}
