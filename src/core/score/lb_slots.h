/*
 * lb_slots.h
 *		Finds the place of a code in an array, by hash.
 *
 * At least half of the slots are empty, so that searches are short.  Codes are
 * never removed.
 */
#ifndef LB_SLOTS_H
#define LB_SLOTS_H

#include <string.h>

#include "core/lb_core.h"

typedef struct LbSlots
{
	int32_t    *places;			/* place plus one; 0 is empty */
	uint32_t	mask;
} LbSlots;

/* Returns the number of slots for this many codes, a power of two. */
static inline int64_t
lb_slots_count(int64_t most)
{
	int64_t		n = 16;

	while (n < 2 * most)
		n *= 2;
	return n;
}

/* Empties the slots for this many codes; places has room for them. */
static inline void
lb_slots_clear(LbSlots *s, int64_t most)
{
	s->mask = (uint32_t) (lb_slots_count(most) - 1);
	memset(s->places, 0, ((size_t) s->mask + 1) * sizeof(int32_t));
}

/*
 * Returns the slot of a code, or the empty slot for it.  first is the code at
 * place 0; stride is the distance of codes in bytes.
 */
static inline int32_t *
lb_slots_find(const LbSlots *s, const int32_t *first, size_t stride,
			  int32_t code)
{
	uint64_t	hash = (uint32_t) code * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t	slot = (uint32_t) (hash >> 32) & s->mask;

	while (s->places[slot] != 0 &&
		   *(const int32_t *) ((const char *) first +
							   (s->places[slot] - 1) * stride) != code)
		slot = (slot + 1) & s->mask;
	return &s->places[slot];
}

#endif							/* LB_SLOTS_H */
