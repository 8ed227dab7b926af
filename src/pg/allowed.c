/*
 * allowed.c
 *		Which recordings may be recommended: candidates, filter,
 *		exclude_listened, min_listens and max_listens narrow together.
 *
 * A few recordings that may be recommended are a sorted list, and nothing but
 * they is looked at; otherwise there is a bit for each candidate.  Either way
 * the search is exact, over the same scores, so which it is only a question
 * of speed: a bitmap costs its zeroing and reading, a list its sorting.
 */
#include "allowed.h"

#include "port/pg_bitutils.h"

/*
 * A list is for one recording in so many, or for SHORT_LIST of a small model.
 * 518,540 candidates: 500 recordings take 0.24 ms as a list and 0.3 ms as a
 * bitmap, 5,000 2.8 and 2.6; most of it is looking the recordings up.
 */
#define NARROW 512
#define SHORT_LIST 64

static int
compare_candidates(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

static inline bool
bit_of(const uint64 *bits, int64 i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static bool
within_bounds(const Conditions *c, const ServingModel *serving, int64 i)
{
	return !c->bounded || (serving->recording_listens[i] >= c->least &&
						   serving->recording_listens[i] <= c->most);
}

static Allowed
short_list(const ServingModel *serving, const Conditions *c,
		   const RecordingList *only, const RecordingList *other)
{
	int32	   *list = palloc(Max(only->n, 1) * sizeof(int32));
	const uint64 *others = other->keys == NULL ? NULL :
	lbrec_candidate_bits(serving, other, true);
	const uint64 *rest = c->listened.keys == NULL ? NULL :
	lbrec_candidate_bits(serving, &c->listened, false);
	Allowed		allowed = {.list = list};
	int64		n = 0;

	for (int64 i = 0; i < only->n; i++)
	{
		int32		candidate = lbrec_candidate_of(serving, &only->keys[i]);

		CHECK_FOR_INTERRUPTS();
		if (candidate >= 0 && within_bounds(c, serving, candidate) &&
			(others == NULL || bit_of(others, candidate)) &&
			(rest == NULL || bit_of(rest, candidate)))
			list[n++] = candidate;
	}
	qsort(list, n, sizeof(int32), compare_candidates);
	for (int64 i = 0; i < n; i++)
		if (i == 0 || list[i] != list[i - 1])
			list[allowed.n++] = list[i];
	return allowed;
}

static Allowed
bitmap(const ServingModel *serving, const Conditions *c)
{
	const RecordingList *lists[] = {&c->candidates, &c->filter, &c->listened};
	int64		n = serving->tower.n_recordings;
	Size		words = (n + 63) / 64;
	uint64	   *bits = palloc_extended(words * sizeof(uint64),
									   MCXT_ALLOC_HUGE);
	Allowed		allowed = {.bits = bits};

	memset(bits, 0xff, words * sizeof(uint64));
	if (n % 64 != 0)
		bits[words - 1] = (UINT64CONST(1) << (n % 64)) - 1;
	for (int i = 0; i < lengthof(lists); i++)
	{
		uint64	   *own;

		if (lists[i]->keys == NULL)
			continue;
		own = lbrec_candidate_bits(serving, lists[i],
								   lists[i] != &c->listened);
		for (Size w = 0; w < words; w++)
			bits[w] &= own[w];
		pfree(own);
	}
	for (int64 i = 0; c->bounded && i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (bit_of(bits, i) && !within_bounds(c, serving, i))
			bits[i / 64] &= ~(UINT64CONST(1) << (i % 64));
	}
	allowed.n = (int64) pg_popcount((const char *) bits,
									(int) (words * sizeof(uint64)));
	return allowed;
}

/* Lives as long as the current memory context. */
Allowed
lbrec_allowed(const ServingModel *serving, const Conditions *c)
{
	int64		n = serving->tower.n_recordings;
	int64		narrow = Max(n / NARROW, SHORT_LIST);
	const RecordingList *only = &c->candidates;
	const RecordingList *other = &c->filter;
	Allowed		all = {.n = n};

	if (only->keys == NULL || (other->keys != NULL && other->n < only->n))
	{
		only = &c->filter;
		other = &c->candidates;
	}
	if (only->keys != NULL && only->n <= narrow)
		return short_list(serving, c, only, other);
	if (only->keys == NULL && c->listened.keys == NULL && !c->bounded)
		return all;
	return bitmap(serving, c);
}

bool
lbrec_is_allowed(const Allowed *allowed, int64 candidate)
{
	int32		key = (int32) candidate;

	if (allowed->bits)
		return bit_of(allowed->bits, candidate);
	return allowed->list == NULL ||
		bsearch(&key, allowed->list, allowed->n, sizeof(int32),
				compare_candidates) != NULL;
}
