/*
 * candidates.h
 *		A set of candidates: the recordings that a list may contain.
 */
#ifndef LBREC_MODEL_CANDIDATES_H
#define LBREC_MODEL_CANDIDATES_H

#include "pg/server/lbrec.h"

/* All candidates, or those of a bitmap, or those of a list. */
typedef struct CandidateSet
{
	int64		n;				/* size of the set */
	const uint64 *bits;
	const int32 *list;			/* ascending and distinct */
} CandidateSet;

/* Iterates over a set of n candidates, ascending; set next to 0 first. */
typedef struct CandidateWalk
{
	const CandidateSet *set;
	int64		n;
	int64		next;			/* index in the list, or candidate */
} CandidateWalk;

/*
 * Returns the code of a candidate's recording: codes begin at 1, 0 is unknown.
 */
static inline int32
lbrec_code_of(int64 candidate)
{
	return (int32) (candidate + 1);
}

/* Returns the candidate with this code; -1 for the unknown code 0. */
static inline int32
lbrec_candidate_with(int32 code)
{
	return code - 1;
}

/* Bit i of a bitmap of candidates. */
static inline bool
lbrec_candidate_bit(const uint64 *bits, int64 i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

extern int	lbrec_next_candidates(CandidateWalk *walk, int32 *candidates, int room);
extern int	lbrec_compare_candidates(const void *a, const void *b);
extern bool lbrec_is_candidate(const CandidateSet *set, int64 candidate);

#endif							/* LBREC_MODEL_CANDIDATES_H */
