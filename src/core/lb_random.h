/*
 * lb_random.h
 *		The only source of randomness: seeded, portable, the same on every
 *		machine.
 */
#ifndef LB_RANDOM_H
#define LB_RANDOM_H

#include "core/lb_core.h"

typedef struct LbRandom
{
	uint64_t	s[4];
} LbRandom;

extern void lb_random_seed(LbRandom *rng, uint64_t seed, uint64_t stream);
extern uint64_t lb_random_next(LbRandom *rng);
extern uint64_t lb_random_below(LbRandom *rng, uint64_t n);
extern float lb_random_uniform(LbRandom *rng, float low, float high);
extern void lb_random_shuffle_part(LbRandom *rng, uint32_t *items,
								   int64_t high, int64_t low);
extern void lb_random_shuffle(LbRandom *rng, uint32_t *items, int64_t n);

#endif							/* LB_RANDOM_H */
