/*
 * candidates.c
 *		A set of candidates: the recordings that a list may have.
 */
#include "pg/model/candidates.h"

/* Candidate numbers in ascending order, for qsort() and bsearch(). */
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
