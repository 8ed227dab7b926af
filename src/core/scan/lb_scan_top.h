/*
 * lb_scan_top.h
 *		Keys that order by score and then index, selection among them, and the
 *		collector of the best.
 *
 * A key is one 64-bit number: the score's bits, changed so that they compare
 * as integers, above the complement of the index.  A larger key ranks
 * earlier: score descending, then index ascending.  Keys are distinct because
 * indices are.
 */
#ifndef LB_SCAN_TOP_H
#define LB_SCAN_TOP_H

#include <math.h>
#include <string.h>

#include "core/lb_core.h"

/* The lowest key: as a threshold, all keys pass. */
#define LB_KEY_NONE UINT64_C(0)

/*
 * Turns a chain's result into a score: NaN (products that overflow to both
 * infinities) becomes minus infinity, minus zero becomes zero.
 */
static inline float
lb_score_finish(float x)
{
	return x != x ? -INFINITY : x + 0.0f;
}

static inline uint64_t
lb_key_make(float score, uint32_t index)
{
	uint32_t	bits;

	memcpy(&bits, &score, sizeof(bits));
	bits ^= (uint32_t) -(int32_t) (bits >> 31) | 0x80000000u;
	return (uint64_t) bits << 32 | (uint32_t) ~index;
}

static inline float
lb_key_score(uint64_t key)
{
	uint32_t	bits = (uint32_t) (key >> 32);
	float		score;

	bits ^= (bits >> 31) != 0 ? 0x80000000u : 0xffffffffu;
	memcpy(&score, &bits, sizeof(score));
	return score;
}

static inline uint32_t
lb_key_index(uint64_t key)
{
	return ~(uint32_t) key;
}

/* Moves the k largest of n keys to the front, in no order; 0 < k < n. */
extern void lb_key_select(uint64_t *keys, int64_t n, int64_t k);

/* Sorts n keys, largest first. */
extern void lb_key_sort(uint64_t *keys, int64_t n);

/*
 * The same, with cancel; after LB_CANCELLED all keys are still there, in some
 * order.
 */
extern LbStatus lb_key_sort_polling(uint64_t *keys, int64_t n,
									LbCancel cancel);

/* Collects the k best keys, with room for more between two siftings. */
typedef struct LbTop
{
	uint64_t   *keys;
	int64_t		n;
	int64_t		k;
	int64_t		room;
	uint64_t	floor;			/* a key must exceed it: the k-th best at the
								 * last sifting, or LB_KEY_NONE */
	float		floor_score;	/* its score, or -infinity */
} LbTop;

/*
 * Returns the capacity of a collector for k <= n: somewhat more than 2 k, but
 * n at most.
 */
static inline int64_t
lb_top_room(int64_t k, int64_t n)
{
	int64_t		room = 2 * k + 256;

	return room < n ? room : n > 0 ? n : 1;
}

static inline void
lb_top_init(LbTop *top, uint64_t *keys, int64_t k, int64_t room)
{
	top->keys = keys;
	top->n = 0;
	top->k = k;
	top->room = room;
	top->floor = LB_KEY_NONE;
	top->floor_score = -INFINITY;
}

extern void lb_top_sift(LbTop *top);

static inline void
lb_top_push(LbTop *top, float raw, uint32_t id)
{
	uint64_t	key = lb_key_make(lb_score_finish(raw), id);

	if (key <= top->floor)
		return;
	if (top->n == top->room)
	{
		lb_top_sift(top);
		if (key <= top->floor)
			return;
	}
	top->keys[top->n++] = key;
}

/* Writes the best in ranking order; returns their number. */
extern int64_t lb_top_finish(LbTop *top, int64_t *ids, float *scores);

#endif							/* LB_SCAN_TOP_H */
