/*
 * toplist.c
 *		The k best recordings of users, exactly.
 *
 * A score is the dot product, except for recordings related to the user: the
 * user's own and their neighbours (score.h).  Only own recordings can score
 * below their dot product; let l be the number that do.  Then each unrelated
 * recording among the best k by score is among the best k + l by dot product,
 * which one scan finds.  Related recordings are scored one by one.  A related
 * recording that the scan did not find has at most the lowest dot product
 * found; if even that would leave it behind the k-th best, it is skipped.
 *
 * A user may have played ten thousand recordings, most of them once, years
 * ago, and l may be as large.  So the first attempt counts lowered recordings
 * among the latest MAX_SOURCES only.  It succeeds if k recordings found score
 * at least the lowest dot product found; otherwise the second attempt counts
 * all.
 */
#include "pg/model/toplist.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/scan/lb_scan_batch.h"
#include "core/scan/lb_scan_top.h"

#include "pg/model/candidates.h"
#include "pg/model/score.h"
#include "pg/server/kernels.h"

/* Recordings scored together. */
#define BLOCK 256

/* Makes the list of one user from the best by dot product. */
typedef struct ListMaker
{
	const LbCandidates *set;
	Scorer		scorer;			/* its related recordings are found */
	const float *query;			/* (D) */
	int64		k;
	float		bar_dot;		/* lowest dot product found by the scan */
	uint64	   *keys;			/* lb_key_make() of score and candidate */
	int64		n;				/* number of keys */
	/* related recordings waiting to be scored */
	int			n_block;
	int32		rows[BLOCK];	/* candidates */
	int32		places[BLOCK];
	float		dots[BLOCK];
} ListMaker;

/* Adds the keys of the block, given its dot products. */
static void
take_scores(ListMaker *l)
{
	float		scores[BLOCK];

	lbrec_related_scores(scores, &l->scorer, l->places, l->dots, l->n_block);
	for (int i = 0; i < l->n_block; i++)
		l->keys[l->n++] = lb_key_make(scores[i], (uint32) l->rows[i]);
	l->n_block = 0;
}

/* The same, but computes the dot products first. */
static void
take_block(ListMaker *l)
{
	lb_score_rows(l->dots, l->query, l->set->c, l->set->D, l->rows,
				  l->n_block);
	take_scores(l);
}

/* Adds a related recording to the block; true if the block is full. */
static bool
add_place(ListMaker *l, int64 place)
{
	l->places[l->n_block] = (int32) place;
	l->rows[l->n_block++] =
		lbrec_candidate_with(l->scorer.related.codes[place]);
	return l->n_block == BLOCK;
}

/* Keeps the k best keys, in no order. */
static void
keep_best(ListMaker *l)
{
	if (l->n > l->k)
		lb_key_select(l->keys, l->n, l->k);
	l->n = Min(l->n, l->k);
}

/* Returns a score that a further key must reach to be among the k best. */
static float
find_bar(const ListMaker *l)
{
	uint64		low = PG_UINT64_MAX;

	if (l->n < l->k)
		return -INFINITY;
	for (int64 i = 0; i < l->n; i++)
		low = Min(low, l->keys[i]);
	return lb_key_score(low);
}

/*
 * Adds those of the n related recordings at places left whose score could pass
 * the bar with the lowest dot product found: their own dot product is no
 * higher.
 */
static void
add_passing(ListMaker *l, const uint64 *left, int64 n)
{
	float		bar = find_bar(l);
	float		dots[BLOCK];

	for (int i = 0; i < BLOCK; i++)
		dots[i] = l->bar_dot;
	for (int64 from = 0; from < n; from += BLOCK)
	{
		int			m = (int) Min(n - from, BLOCK);
		int32		places[BLOCK];
		float		scores[BLOCK];

		for (int i = 0; i < m; i++)
			places[i] = (int32) lb_key_index(left[from + i]);
		lbrec_related_scores(scores, &l->scorer, places, dots, m);
		for (int i = 0; i < m; i++)
			if (scores[i] >= bar && add_place(l, places[i]))
			{
				take_block(l);
				keep_best(l);
				bar = find_bar(l);
			}
	}
	take_block(l);
}

/* True if the set contains the candidate. */
static bool
is_allowed(const LbCandidates *set, int64 candidate)
{
	CandidateSet allowed = {set->n_list, set->allow, set->list};

	return (set->allow == NULL && set->list == NULL) ||
		lbrec_is_candidate(&allowed, candidate);
}

/*
 * Adds the related recordings that the scan did not find: first the own, then
 * the neighbours with the highest sums, which raise the bar for the rest.
 */
static void
add_related(ListMaker *l, const bool *done)
{
	const LbRelated *related = &l->scorer.related;
	uint64	   *left = palloc_extended((related->n + 1) * sizeof(uint64),
									   MCXT_ALLOC_HUGE);
	int64		n_left = 0;
	int64		first;

	for (int64 i = 0; i < related->n; i++)
	{
		if (done[i] ||
			!is_allowed(l->set, lbrec_candidate_with(related->codes[i])))
			continue;
		if (i >= l->scorer.n_own)
			left[n_left++] = lb_key_make((float) related->sums[i],
										 (uint32) i);
		else if (add_place(l, i))
			take_block(l);
	}
	first = Min(n_left, l->k);
	if (first < n_left)
		lb_key_select(left, n_left, first);
	for (int64 i = 0; i < first; i++)
		if (add_place(l, lb_key_index(left[i])))
			take_block(l);
	take_block(l);
	keep_best(l);
	add_passing(l, left + first, n_left - first);
	pfree(left);
}

/*
 * Adds the recordings found by the scan; list.scores are their dot products.
 */
static void
add_found(ListMaker *l, const RankedList *found, bool *done)
{
	for (int64 i = 0; i < found->n; i++)
	{
		int64		place = lbrec_related_place(&l->scorer, found->ids[i]);

		if (place < 0)
		{
			l->keys[l->n++] = lb_key_make(found->scores[i],
										  (uint32) found->ids[i]);
			continue;
		}
		done[place] = true;
		l->dots[l->n_block] = found->scores[i];
		if (add_place(l, place))
			take_scores(l);
	}
	take_scores(l);
}

/*
 * True if k keys score at least as high as any recording that was not found.
 */
static bool
has_kept(const ListMaker *l)
{
	int64		kept = 0;

	for (int64 i = 0; i < l->n && kept < l->k; i++)
		kept += lb_key_score(l->keys[i]) >= l->bar_dot;
	return kept >= l->k;
}

/* Returns the number of recordings in a list that are new to the user. */
static int64
count_new(const ListMaker *l, const RankedList *list)
{
	int64		n = 0;

	for (int64 i = 0; i < list->n; i++)
		n += !lbrec_is_own(&l->scorer, list->ids[i]);
	return n;
}

/*
 * Turns the best by dot product, in list, into the l->k best by score.
 * all_found: the set has no other candidates.  all_lowered: the scan allowed
 * for all own recordings that are lowered.  least_new: the list must have this
 * many recordings new to the user.  False if the scan must go deeper.
 */
static bool
make_list(ListMaker *l, RankedList *list, bool all_found, bool all_lowered,
		  int64 least_new)
{
	bool	   *done;
	bool		certain = true;

	if (l->scorer.n_own == 0)
	{
		list->n = Min(list->n, l->k);
		return true;
	}
	lbrec_find_related(&l->scorer);
	done = palloc_extended(l->scorer.related.n,
						   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	l->keys = palloc_extended((list->n + l->scorer.related.n) *
							  sizeof(uint64), MCXT_ALLOC_HUGE);
	add_found(l, list, done);
	if (!all_found)
	{
		l->bar_dot = list->scores[list->n - 1];
		certain = all_lowered || has_kept(l);
		if (certain)
			add_related(l, done);
	}
	keep_best(l);
	lb_key_sort(l->keys, l->n);
	list->n = l->n;
	for (int64 i = 0; i < l->n; i++)
	{
		list->ids[i] = lb_key_index(l->keys[i]);
		list->scores[i] = lb_key_score(l->keys[i]);
	}
	pfree(done);
	pfree(l->keys);
	return certain &&
		(all_lowered || least_new == 0 || count_new(l, list) >= least_new);
}

/* True if a score of the user may be below its dot product. */
static bool
may_lower(const Scorer *s)
{
	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].lowers &&
			lbrec_score_parts[p].present(s->model))
			return true;
	return false;
}

/*
 * Returns how many top dot products surely contain the k best scores, if at
 * most the user's first n_own recordings score below their dot product.
 * Neighbours only raise scores, so they need not be found.
 */
static int64
find_depth(const LbCandidates *set, const Scorer *s, const float *query,
		   int n_own, int64 k)
{
	int32		places[BLOCK];
	int32		rows[BLOCK];
	float		dots[BLOCK];
	float		scores[BLOCK];

	for (int from = 0; from < n_own && may_lower(s); from += BLOCK)
	{
		int			n = Min(n_own - from, BLOCK);

		for (int i = 0; i < n; i++)
		{
			places[i] = from + i;
			rows[i] = lbrec_candidate_with(s->codes[from + i]);
		}
		lb_score_rows(dots, query, set->c, set->D, rows, n);
		lbrec_least_scores(scores, s, places, dots, n);
		for (int i = 0; i < n; i++)
			k += scores[i] < dots[i];
	}
	return k;
}

/* Returns how many own recordings this attempt considers. */
static int
n_reckoned(const Scorer *s, bool all)
{
	return all ? s->n_own : lbrec_n_sources(s);
}

/*
 * Returns the length of list to make: the requested one, and room for own
 * recordings that do not count.
 */
static int64
wanted_length(const TopRequest *r, const Scorer *s, bool all)
{
	return Min(r->k + (r->new_only ? n_reckoned(s, all) : 0), r->set.n);
}

/* Finds the depth best of m users by dot product, in one scan. */
static void
scan(RankedList *lists, const TopRequest *r, int from, int m, int64 depth)
{
	const float *queries = r->queries + (Size) from * r->set.D;
	int64	   *ids = palloc_extended(m * depth * sizeof(int64),
									  MCXT_ALLOC_HUGE);
	float	   *scores = palloc_extended(m * depth * sizeof(float),
										 MCXT_ALLOC_HUGE);
	int64	   *found = palloc(m * sizeof(int64));
	LbBest		best = {depth, found, ids, scores};
	bool		one = m == 1 && r->pool == NULL;
	MemoryContext working = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec selection",
												  ALLOCSET_DEFAULT_SIZES);
	void	   *scratch;
	LbStatus	status;
	Size		bytes = one ? lb_topk_bytes(&r->set, depth) :
	lb_topk_batch_bytes(&r->set, m, depth, lb_threads_count(r->pool));

	scratch = lbrec_alloc_aligned(working, bytes, "selection");
	if (one)
		LBREC_RUN((status = lb_topk(&best, queries, &r->set, scratch,
									lbrec_cancel_flag())) == LB_CANCELLED);
	else
		LBREC_RUN((status = lb_topk_batch(&best, queries, m, &r->set, scratch,
										  r->pool, lbrec_cancel_flag())) ==
				  LB_CANCELLED);
	lbrec_check_status(status, "a score");
	for (int u = 0; u < m; u++)
		lists[from + u] = (RankedList)
	{
		found[u], ids + u * depth, scores + u * depth
	};
	pfree(found);
	MemoryContextDelete(working);
}

/*
 * Makes the lists of m users from the given one on, with the largest depth
 * that any needs.  all: allow for any number of lowered own recordings.  A
 * list that needs more depth gets n = -1.
 */
static void
make_lists(RankedList *lists, const TopRequest *r, int from, int m, bool all)
{
	int64		depth = 1;

	for (int u = from; u < from + m; u++)
	{
		const Scorer *s = r->scorers[u];
		int64		needed;

		needed = find_depth(&r->set, s, r->queries + (Size) u * r->set.D,
							n_reckoned(s, all), wanted_length(r, s, all));
		depth = Max(depth, needed);
	}
	depth = Min(depth, r->set.n);
	scan(lists, r, from, m, depth);
	for (int u = from; u < from + m; u++)
	{
		const Scorer *s = r->scorers[u];
		bool		all_lowered = n_reckoned(s, all) == s->n_own ||
			depth == r->set.n;
		ListMaker	l;			/* a large struct that needs no zeroing */

		CHECK_FOR_INTERRUPTS();
		l.set = &r->set;
		l.scorer = *s;
		l.query = r->queries + (Size) u * r->set.D;
		l.k = wanted_length(r, s, all || all_lowered);
		l.n = 0;
		l.n_block = 0;
		if (!make_list(&l, &lists[u], lists[u].n < depth, all_lowered,
					   r->new_only ? r->k : 0))
			lists[u].n = -1;
		/* keep the related that the caller has found */
		if (s->related.n == 0)
			lbrec_free_related(&l.scorer);
	}
}

/*
 * Makes the lists of all users, in the current memory context.  A list has
 * min(k, candidates in the set) entries; with new_only, up to as many more as
 * the user has own recordings.
 */
void
lbrec_top_lists(RankedList *lists, const TopRequest *request)
{
	TopRequest	r = *request;

	r.k = Min(r.k, r.set.n);
	if (r.m > 0)
		make_lists(lists, &r, 0, r.m, false);
	/* one at a time: one user's long list must not lengthen the others' */
	for (int u = 0; u < r.m; u++)
		if (lists[u].n < 0)
			make_lists(lists, &r, u, 1, true);
}
