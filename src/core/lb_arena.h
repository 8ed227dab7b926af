/*
 * lb_arena.h
 *		Cuts a block of the caller's memory into arrays.
 *
 * With base NULL an arena only counts, so one function both computes the bytes
 * of its arrays and places them:
 *
 *		static size_t
 *		lay_out(Thing *t, char *block, int n)
 *		{
 *			LbArena		arena = {block};
 *
 *			t->x = lb_arena_cut(&arena, n * sizeof(float));
 *			t->y = lb_arena_cut(&arena, n * sizeof(float));
 *			return arena.used;
 *		}
 */
#ifndef LB_ARENA_H
#define LB_ARENA_H

#include "core/lb_core.h"

typedef struct LbArena
{
	char	   *base;			/* aligned to LB_ALIGN, or NULL */
	size_t		used;			/* bytes, a multiple of LB_ALIGN */
} LbArena;

/*
 * An impossible size: larger ones are replaced by it, so that on a 32-bit
 * machine the bytes of a large model fail to be allocated instead of wrapping
 * around.
 */
#define LB_TOO_MANY_BYTES (SIZE_MAX / 2 / LB_ALIGN * LB_ALIGN)

/*
 * Returns the next array, aligned to LB_ALIGN; NULL if the arena only counts.
 */
static inline void *
lb_arena_cut(LbArena *arena, size_t bytes)
{
	char	   *array = arena->base != NULL ? arena->base + arena->used : NULL;

	if (bytes > LB_TOO_MANY_BYTES - arena->used)
		arena->used = LB_TOO_MANY_BYTES;
	else
		arena->used += LB_ALIGN_UP(bytes);
	return array;
}

#endif							/* LB_ARENA_H */
