/*
 * boosts.h
 *		Scores that know what a user plays again.
 */
#ifndef LBREC_BOOSTS_H
#define LBREC_BOOSTS_H

#include "allowed.h"
#include "twotower.h"

/*
 * A user's recordings and what is added to the score of each, not negative.
 */
typedef struct Boosts
{
	const int32 *codes;			/* of recordings: candidates plus one */
	const float *added;
	int			n;
} Boosts;

extern Boosts lbrec_boosts_of(const TwoTower *model, int32 user);
extern float lbrec_boost_of(const Boosts *boosts, int64 candidate);
extern int64 lbrec_apply_boosts(int64 *ids, float *scores, int64 found,
								int64 k, const Boosts *boosts,
								const float *query, const float *candidates,
								int D, const Allowed *allowed);

#endif							/* LBREC_BOOSTS_H */
