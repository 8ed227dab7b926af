/*
 * score.h
 *		What a score has beside the dot product.
 */
#ifndef LBREC_MODEL_SCORE_H
#define LBREC_MODEL_SCORE_H

#include "pg/model/candidates.h"
#include "pg/model/twotower.h"

#include "core/scan/lb_scan.h"

/*
 * So many of a user's own recordings bring up their neighbours, the latest.
 * What who has played ten thousand would bring up is all of the catalogue.
 */
#define NEAR_LENGTH 500

/*
 * The recordings of which a user's score is not the dot product alone: the
 * user's own, first, and their neighbours.
 */
typedef struct Boosts
{
	const TwoTower *model;
	int			n_own;
	const int32 *codes;			/* (n_own) */
	const float *plays;			/* (n_own) */
	const float *recency;		/* (n_own) log of what plays count, or NULL */
	LbTouched	touched;		/* from lbrec_gather_boosts() on */
} Boosts;

/* Own recordings whose neighbours count. */
static inline int
lbrec_near(const Boosts *b)
{
	return Min(b->n_own, NEAR_LENGTH);
}

/* What is not the dot product of one score. */
typedef struct ScoreParts
{
	bool		own;
	double		sum;			/* of neighbours' weights */
	double		neighbours;		/* what that adds */
	double		repeat;			/* what having played it adds */
	double		share;			/* of dot product and neighbours, added */
} ScoreParts;

/* The best lists of m users, each of its own length. */
typedef struct TopLists
{
	int64	   *found;			/* (m) */
	int64	  **ids;			/* (m) */
	float	  **scores;			/* (m) */
} TopLists;

extern Boosts lbrec_boosts_of(const TwoTower *model, int32 user);
extern void lbrec_gather_boosts(Boosts *boosts);
extern void lbrec_free_boosts(Boosts *boosts);
extern bool lbrec_is_own(const Boosts *boosts, int64 candidate);
extern float lbrec_boosted(const Boosts *boosts, int64 candidate, float dot);
extern ScoreParts lbrec_score_parts(const Boosts *boosts, int64 candidate);
extern int64 lbrec_boosted_depth(const Boosts *boosts, int among, int64 k,
								 const float *query, const float *candidates,
								 int D);
extern int64 lbrec_apply_boosts(int64 *ids, float *scores, int64 found,
								int64 depth, int among, int64 k,
								int64 *n_new, const Boosts *boosts,
								const float *query, const float *candidates,
								int D, const CandidateSet *allowed);
extern void lbrec_top_lists(TopLists *lists, const LbCandidates *set,
							const Boosts *const *boosts, const float *queries,
							int m, int64 k, bool beyond_own, LbThreads *pool,
							MemoryContext context);

#endif							/* LBREC_MODEL_SCORE_H */
