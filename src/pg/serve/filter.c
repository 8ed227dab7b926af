/*
 * filter.c
 *		Finds the recordings that may be recommended: those that pass
 *		candidates, filter, exclude, exclude_listened, min_listens and
 *		max_listens.
 *
 * If they are few, they become a sorted list, and the search reads only them;
 * otherwise a bitmap of all candidates.  Both searches are exact and give the
 * same scores; only speed differs: a bitmap must be zeroed and read, a list
 * must be sorted.
 */
#include "pg/serve/filter.h"

#include "access/xact.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/serve/queries.h"

/*
 * A list is made for at most one recording in NARROW, or SHORT_LIST of a small
 * model. Measured with 518,540 candidates: 500 recordings take 0.24 ms as a
 * list and 0.3 ms as a bitmap; 5,000 take 2.8 and 2.6 ms. Looking the
 * recordings up takes most of it.
 */
#define NARROW 512
#define SHORT_LIST 64

/* Number of recordings looked up together. */
#define LOOKED_UP 1024

/*
 * Makes a bitmap of the candidates that are listed, or of those that are not.
 */
static uint64 *
candidate_bits(const ServingModel *serving, const RecordingList *list,
			   bool listed)
{
	Size		words = (serving->tower.n_recordings + 63) / 64;
	uint64	   *bits = palloc_extended(words * sizeof(uint64),
									   MCXT_ALLOC_HUGE);
	int32		candidates[LOOKED_UP];

	memset(bits, listed ? 0 : 0xff, words * sizeof(uint64));
	for (int64 from = 0; from < list->n; from += LOOKED_UP)
	{
		int			n = (int) Min(list->n - from, LOOKED_UP);

		/* looking up millions takes longer than a cancel may wait */
		CHECK_FOR_INTERRUPTS();
		lbrec_candidates_of(candidates, serving, list->keys + from, n);
		for (int i = 0; i < n; i++)
		{
			int32		c = candidates[i];
			uint64		bit;

			if (c < 0)
				continue;
			bit = UINT64CONST(1) << (c % 64);
			if (listed)
				bits[c / 64] |= bit;
			else
				bits[c / 64] &= ~bit;
		}
	}
	return bits;
}

static bool
within_bounds(const Conditions *c, const ServingModel *serving, int64 i)
{
	return !c->bounded || (serving->tower.recording_listens[i] >= c->least &&
						   serving->tower.recording_listens[i] <= c->most);
}

static CandidateSet
short_list(const ServingModel *serving, const Conditions *c,
		   const RecordingList *only, const RecordingList *other)
{
	int32	   *list = palloc(Max(only->n, 1) * sizeof(int32));
	const uint64 *others = other->keys == NULL ? NULL :
	candidate_bits(serving, other, true);
	const uint64 *rest = c->listened.keys == NULL ? NULL :
	candidate_bits(serving, &c->listened, false);
	const uint64 *kept = c->excluded.keys == NULL ? NULL :
	candidate_bits(serving, &c->excluded, false);
	CandidateSet allowed = {.list = list};
	int64		n = 0;

	for (int64 i = 0; i < only->n; i++)
	{
		int32		candidate = lbrec_candidate_of(serving, &only->keys[i]);

		CHECK_FOR_INTERRUPTS();
		if (candidate >= 0 && within_bounds(c, serving, candidate) &&
			(others == NULL || lbrec_candidate_bit(others, candidate)) &&
			(rest == NULL || lbrec_candidate_bit(rest, candidate)) &&
			(kept == NULL || lbrec_candidate_bit(kept, candidate)))
			list[n++] = candidate;
	}
	qsort(list, n, sizeof(int32), lbrec_compare_candidates);
	for (int64 i = 0; i < n; i++)
		if (i == 0 || list[i] != list[i - 1])
			list[allowed.n++] = list[i];
	return allowed;
}

static CandidateSet
bitmap(const ServingModel *serving, const Conditions *c)
{
	const RecordingList *lists[] = {&c->candidates, &c->filter, &c->listened,
		&c->excluded};
	int64		n = serving->tower.n_recordings;
	Size		words = (n + 63) / 64;
	uint64	   *bits = palloc_extended(words * sizeof(uint64),
									   MCXT_ALLOC_HUGE);
	CandidateSet allowed = {.bits = bits};

	memset(bits, 0xff, words * sizeof(uint64));
	if (n % 64 != 0)
		bits[words - 1] = (UINT64CONST(1) << (n % 64)) - 1;
	for (int i = 0; i < lengthof(lists); i++)
	{
		uint64	   *own;

		if (lists[i]->keys == NULL)
			continue;
		own = candidate_bits(serving, lists[i],
							 lists[i] != &c->listened &&
							 lists[i] != &c->excluded);
		for (Size w = 0; w < words; w++)
			bits[w] &= own[w];
		pfree(own);
	}
	for (int64 i = 0; c->bounded && i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (lbrec_candidate_bit(bits, i) && !within_bounds(c, serving, i))
			bits[i / 64] &= ~(UINT64CONST(1) << (i % 64));
	}
	allowed.n = (int64) pg_popcount((const char *) bits,
									(int) (words * sizeof(uint64)));
	return allowed;
}

/* Notes, once a statement, that the model does not know some candidates. */
static void
tell_unknown(const ServingModel *serving, const RecordingList *list)
{
	static TimestampTz told;
	const pg_uuid_t *first = NULL;
	int64		unknown = 0;

	if (list->keys == NULL || told == GetCurrentStatementStartTimestamp())
		return;
	for (int64 i = 0; i < list->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (lbrec_candidate_of(serving, &list->keys[i]) >= 0)
			continue;
		if (unknown++ == 0)
			first = &list->keys[i];
	}
	if (unknown == 0)
		return;
	told = GetCurrentStatementStartTimestamp();
	ereport(NOTICE,
			(errmsg("model \"%s\" does not know %lld of %lld candidates",
					serving->image->row.name, (long long) unknown,
					(long long) list->n),
			 errdetail("The first is %s.",
					   DatumGetCString(DirectFunctionCall1(uuid_out,
														   UUIDPGetDatum(first)))),
			 errhint("Name recordings that nobody has played in items when you train, or add them with lbrec_add_items.")));
}

/* The result lives as long as the current memory context. */
CandidateSet
lbrec_filter_candidates(const ServingModel *serving, const Conditions *c)
{
	int64		n = serving->tower.n_recordings;
	int64		narrow = Max(n / NARROW, SHORT_LIST);
	const RecordingList *only = &c->candidates;
	const RecordingList *other = &c->filter;
	CandidateSet all = {.n = n};

	tell_unknown(serving, &c->candidates);
	if (only->keys == NULL || (other->keys != NULL && other->n < only->n))
	{
		only = &c->filter;
		other = &c->candidates;
	}
	if (only->keys != NULL && only->n <= narrow)
		return short_list(serving, c, only, other);
	if (only->keys == NULL && c->listened.keys == NULL &&
		c->excluded.keys == NULL && !c->bounded)
		return all;
	return bitmap(serving, c);
}
