/*
 * score.c
 *		Puts recordings that a user's own bring up among the candidates with the
 *		highest dot products, exactly.
 *
 * A score is the dot product, but for the user's own recordings and their
 * neighbours (core/score/lb_mix.h).  Neighbours are never lowered, some of the own
 * may be.  So of the best k by score those that are neither own nor
 * neighbours are among the best k + l by dot product, l being the number of
 * own recordings that are lowered: lbrec_boosted_depth().  The others are
 * scored one by one, unless even the lowest dot product that was found would
 * leave them behind the k-th best: who was not found has no higher one.
 *
 * Somebody has played ten thousand recordings, and of most only that they were
 * played once, years ago, is left: l is that many.  So the first attempt counts
 * the lowered among the latest only.  It has succeeded when k of what was found
 * have kept a score of at least the lowest dot product; else all are counted.
 */
#include "pg/model/score.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_batch.h"
#include "core/scan/lb_scan_top.h"

#include "pg/model/candidates.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"

/* Candidates that are scored together. */
#define SCORE_BLOCK 256

/* What the model adds for a user; nothing is gathered yet. */
Boosts
lbrec_boosts_of(const TwoTower *model, int32 user)
{
	Boosts		b = {.model = model};
	int64		from;

	if (user == 0 || !model->mixed)
		return b;
	from = model->history_offsets[user];
	b.n_own = (int) (model->history_offsets[user + 1] - from);
	b.codes = model->history_codes + from;
	b.plays = model->history_plays + from;
	if (model->history_recency)
		b.recency = model->history_recency + from;
	return b;
}

/*
 * Finds the neighbours, in the current memory context.  That may be a hundred
 * thousand: whoever has many users does so for one after another.
 */
void
lbrec_gather_boosts(Boosts *b)
{
	const LbNeighbours *nb;
	int64		most;

	if (b->n_own == 0 || b->touched.n > 0)
		return;
	nb = b->model->neighbours.offsets ? &b->model->neighbours : NULL;
	most = lb_touched_most(nb, b->codes, b->n_own, lbrec_near(b));
	lb_touched_place(&b->touched, most,
					 palloc_extended(lb_touched_bytes(most),
									 MCXT_ALLOC_HUGE));
	lb_touched_gather(&b->touched, nb, b->codes, b->plays, b->n_own,
					  lbrec_near(b));
}

void
lbrec_free_boosts(Boosts *boosts)
{
	/* the block begins with the sums */
	if (boosts->touched.n > 0)
		pfree(boosts->touched.sums);
	boosts->touched.n = 0;
}

/* The place of a candidate among what is touched, or -1. */
static int64
place_of(const Boosts *b, int64 candidate)
{
	return b->touched.n == 0 ? -1 :
		lb_touched_find(&b->touched, (int32) (candidate + 1));
}

/*
 * The score of what stands at a place, with that dot product and sum of
 * neighbours' weights.
 */
static float
score_of(const Boosts *b, int64 place, float dot, double sum)
{
	const LbMix *mix = &b->model->mix;
	double		explore = lb_mix_explore(mix, dot, sum);

	return (float) (place < b->n_own && b->recency ?
					lb_mix_own(mix, explore, b->recency[place]) : explore);
}

static float
score_at(const Boosts *b, int64 place, float dot)
{
	return score_of(b, place, dot, b->touched.sums[place]);
}

/* Is it one of the user's own?  Boosts are gathered. */
bool
lbrec_is_own(const Boosts *boosts, int64 candidate)
{
	int64		place = place_of(boosts, candidate);

	return place >= 0 && place < boosts->n_own;
}

/* The score of a candidate with that dot product.  Boosts are gathered. */
float
lbrec_boosted(const Boosts *boosts, int64 candidate, float dot)
{
	int64		place = place_of(boosts, candidate);

	return place < 0 ? dot : score_at(boosts, place, dot);
}

/* What a candidate's score is made of beside the dot product. */
ScoreParts
lbrec_score_parts(const Boosts *boosts, int64 candidate)
{
	const LbMix *mix = &boosts->model->mix;
	int64		place = place_of(boosts, candidate);
	ScoreParts	p = {0};

	if (place < 0)
		return p;
	p.own = place < boosts->n_own;
	p.sum = boosts->touched.sums[place];
	p.neighbours = lb_mix_explore(mix, 0, p.sum);
	if (p.own && boosts->recency)
	{
		p.repeat = lb_mix_own(mix, 0, boosts->recency[place]);
		p.share = mix->own_share;
	}
	return p;
}

/* Dot products of n candidates, places of a block at a time. */
typedef struct Scorer
{
	const Boosts *boosts;
	const float *query;
	const float *candidates;
	int			D;
	const CandidateSet *allowed;	/* NULL: all */
	int			n;
	int32		rows[SCORE_BLOCK];
	int32		places[SCORE_BLOCK];
	float		dots[SCORE_BLOCK];
} Scorer;

/* Adds a place; true when the block is full. */
static bool
add_place(Scorer *s, int64 place)
{
	s->places[s->n] = (int32) place;
	s->rows[s->n++] = s->boosts->touched.codes[place] - 1;
	return s->n == SCORE_BLOCK;
}

static void
score_block(Scorer *s)
{
	lb_score_rows(s->dots, s->query, s->candidates, s->D, s->rows, s->n);
}

/* The block's keys behind n others; the block is empty then. */
static int64
take_block(uint64 *keys, int64 n, Scorer *s)
{
	score_block(s);
	for (int i = 0; i < s->n; i++)
		keys[n++] = lb_key_make(score_at(s->boosts, s->places[i], s->dots[i]),
								(uint32) s->rows[i]);
	s->n = 0;
	return n;
}

/*
 * How many of the highest dot products hold what the best k scores need, if
 * only the latest of the own, among, were lowered.  Nothing need be gathered:
 * without neighbours no fewer of them are.
 */
int64
lbrec_boosted_depth(const Boosts *boosts, int among, int64 k,
					const float *query, const float *candidates, int D)
{
	int32		rows[SCORE_BLOCK];
	float		dots[SCORE_BLOCK];

	for (int from = 0; from < among && boosts->recency; from += SCORE_BLOCK)
	{
		int			n = Min(among - from, SCORE_BLOCK);

		for (int i = 0; i < n; i++)
			rows[i] = boosts->codes[from + i] - 1;
		lb_score_rows(dots, query, candidates, D, rows, n);
		for (int i = 0; i < n; i++)
			k += score_of(boosts, from + i, dots[i], 0) < dots[i];
	}
	return k;
}

/* The n keys with the best in front, the k-th of them last of the k. */
static int64
best_keys(uint64 *keys, int64 n, int64 k)
{
	if (n > k)
		lb_key_select(keys, n, k);
	return Min(n, k);
}

/* The lowest of n scores. */
static float
lowest(const uint64 *keys, int64 n)
{
	uint64		low = keys[0];

	for (int64 i = 1; i < n; i++)
		low = Min(low, keys[i]);
	return lb_key_score(low);
}

/*
 * Adds the keys of what no dot product brought: the own, then the neighbours
 * with the highest sums, for they raise the bar for the others.  bar_dot is
 * the lowest dot product that was found.  keys has room for all.
 */
static int64
add_touched(uint64 *keys, int64 n, int64 k, float bar_dot, Scorer *s,
			const bool *done)
{
	const Boosts *b = s->boosts;
	const LbTouched *t = &b->touched;
	uint64	   *left = palloc_extended((t->n + 1) * sizeof(uint64),
									   MCXT_ALLOC_HUGE);
	int64		n_left = 0;
	int64		first;
	float		bar;

	for (int64 i = 0; i < t->n; i++)
	{
		if (done[i] ||
			(s->allowed && !lbrec_is_candidate(s->allowed, t->codes[i] - 1)))
			continue;
		if (i >= b->n_own)
			left[n_left++] = lb_key_make((float) t->sums[i], (uint32) i);
		else if (add_place(s, i))
			n = take_block(keys, n, s);
	}
	first = Min(n_left, k);
	if (first < n_left)
		lb_key_select(left, n_left, first);
	for (int64 i = 0; i < first; i++)
		if (add_place(s, lb_key_index(left[i])))
			n = take_block(keys, n, s);
	n = best_keys(keys, take_block(keys, n, s), k);
	bar = n < k ? -INFINITY : lowest(keys, n);
	for (int64 i = first; i < n_left; i++)
	{
		int64		place = lb_key_index(left[i]);

		if (score_at(b, place, bar_dot) < bar || !add_place(s, place))
			continue;
		n = best_keys(keys, take_block(keys, n, s), k);
		bar = n < k ? -INFINITY : lowest(keys, n);
	}
	n = take_block(keys, n, s);
	pfree(left);
	return n;
}

/* Do k of the found have a score that nobody who was not found can have? */
static bool
has_kept(const uint64 *keys, int64 n, int64 k, float bar_dot)
{
	int64		kept = 0;

	for (int64 i = 0; i < n && kept < k; i++)
		kept += lb_key_score(keys[i]) >= bar_dot;
	return kept >= k;
}

/*
 * ids and scores hold the found candidates with the highest dot products, best
 * first, as lb_topk() gives them for depth, which is at least
 * lbrec_boosted_depth() of k and among; afterwards the k best.  candidates is
 * (n, D); allowed tells which may be recommended, NULL that all may.  Returns
 * their number, and in n_new, unless that is NULL, how many are not the user's
 * own.  -1 tells that more of the own are lowered than were counted: call
 * again for all of them.
 */
int64
lbrec_apply_boosts(int64 *ids, float *scores, int64 found, int64 depth,
				   int among, int64 k, int64 *n_new, const Boosts *boosts,
				   const float *query, const float *candidates, int D,
				   const CandidateSet *allowed)
{
	Boosts		gathered = *boosts;
	const LbTouched *t = &gathered.touched;
	Scorer		s = {.boosts = &gathered, .query = query,
		.candidates = candidates, .D = D, .allowed = allowed};
	int64		n = 0;
	bool	   *done;
	uint64	   *keys;

	if (boosts->n_own == 0)
	{
		if (n_new)
			*n_new = Min(found, k);
		return Min(found, k);
	}
	lbrec_gather_boosts(&gathered);
	done = palloc_extended(t->n, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	keys = palloc_extended((found + t->n) * sizeof(uint64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < found; i++)
	{
		int64		place = place_of(&gathered, ids[i]);

		if (place >= 0)
			done[place] = true;
		keys[n++] = lb_key_make(place < 0 ? scores[i] :
								score_at(&gathered, place, scores[i]),
								(uint32) ids[i]);
	}
	/* where fewer were found than asked for, these are all that may be */
	if (found == depth && among < boosts->n_own &&
		!has_kept(keys, n, k, scores[found - 1]))
		n = -1;
	else if (found == depth)
		n = add_touched(keys, n, k, scores[found - 1], &s, done);
	n = best_keys(keys, n, k);
	lb_key_sort(keys, n);
	if (n_new)
		*n_new = 0;
	for (int64 i = 0; i < n; i++)
	{
		ids[i] = lb_key_index(keys[i]);
		scores[i] = lb_key_score(keys[i]);
		if (n_new)
			*n_new += !lbrec_is_own(&gathered, ids[i]);
	}
	pfree(done);
	pfree(keys);
	if (boosts->touched.n == 0)
		lbrec_free_boosts(&gathered);
	return n;
}

/* What lists of how many users are made from, and where they go. */
typedef struct ListMaker
{
	TopLists   *lists;
	const LbCandidates *set;
	int64		k;
	bool		beyond_own;
	LbThreads  *pool;
} ListMaker;

/* The places that a user's list has, when so many of the own are looked at. */
static int64
places_for(const ListMaker *l, int among)
{
	return Min(l->k + (l->beyond_own ? among : 0), l->set->n);
}

/*
 * Makes the lists of m users, to put at lists->...[at]: all in one scan, with
 * the depth that the most demanding needs.  Those that did not succeed, of the
 * lowered among the latest own, have found -1.
 */
static void
make_lists(ListMaker *l, int at, const Boosts *const *boosts,
		   const float *queries, int m, bool all)
{
	const LbCandidates *set = l->set;
	MemoryContext working = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec selection",
												  ALLOCSET_DEFAULT_SIZES);
	int64		depth = 1;
	int64	   *ids;
	float	   *scores;
	void	   *scratch;
	LbStatus	status;

	for (int u = 0; u < m; u++)
	{
		int			among = all ? boosts[u]->n_own : lbrec_near(boosts[u]);

		depth = Max(depth, lbrec_boosted_depth(boosts[u], among,
											   places_for(l, among),
											   queries + (Size) u * set->D,
											   set->c, set->D));
	}
	depth = Min(depth, set->n);
	ids = palloc_extended(m * depth * sizeof(int64), MCXT_ALLOC_HUGE);
	scores = palloc_extended(m * depth * sizeof(float), MCXT_ALLOC_HUGE);
	scratch = lbrec_alloc_aligned(working,
								  lb_topk_batch_bytes(set, m, depth,
													  lb_threads_count(l->pool)),
								  "selection");
	do
	{
		CHECK_FOR_INTERRUPTS();
		status = lb_topk_batch(l->lists->found + at, ids, scores, queries, m,
							   set, depth, scratch, l->pool,
							   lbrec_cancel_flag());
	} while (lbrec_again(status == LB_CANCELLED));
	lbrec_check_status(status, "a score");
	for (int u = 0; u < m; u++)
	{
		int64	   *found = &l->lists->found[at + u];
		int			among = all || depth == set->n ? boosts[u]->n_own :
		lbrec_near(boosts[u]);
		int64		n_new;

		CHECK_FOR_INTERRUPTS();
		l->lists->ids[at + u] = ids + u * depth;
		l->lists->scores[at + u] = scores + u * depth;
		*found = lbrec_apply_boosts(ids + u * depth, scores + u * depth,
									*found, depth, among,
									places_for(l, among), &n_new, boosts[u],
									queries + (Size) u * set->D, set->c,
									set->D, NULL);
		if (l->beyond_own && among < boosts[u]->n_own && n_new < l->k)
			*found = -1;
	}
	MemoryContextDelete(working);
}

/*
 * The k best of m users' queries (m, D), or, beyond_own, as many more as it
 * takes for k that are new to the user to be among them.  All that lists has
 * is allocated in context.
 */
void
lbrec_top_lists(TopLists *lists, const LbCandidates *set,
				const Boosts *const *boosts, const float *queries, int m,
				int64 k, bool beyond_own, LbThreads *pool,
				MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ListMaker	l = {lists, set, k, beyond_own, pool};

	lists->found = palloc(Max(m, 1) * sizeof(int64));
	lists->ids = palloc(Max(m, 1) * sizeof(int64 *));
	lists->scores = palloc(Max(m, 1) * sizeof(float *));
	if (m > 0)
		make_lists(&l, 0, boosts, queries, m, false);
	/* one by one: who needs a long list does not make the others' long */
	for (int u = 0; u < m; u++)
		if (lists->found[u] < 0)
			make_lists(&l, u, boosts + u, queries + (Size) u * set->D, 1,
					   true);
	MemoryContextSwitchTo(old);
}
