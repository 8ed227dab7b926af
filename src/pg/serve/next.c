/*
 * next.c
 *		Lists of the next recordings after a user's plays, exact.
 *
 * core/score/lb_moment.h defines the score of a recording.  Without a row it
 * is the dot product times a weight above 0, so the scan for the highest dot
 * products finds the best of them.  Recordings with a row are scored one by
 * one.  A row that the scan did not find has at most the lowest dot product
 * found; if even that would leave it behind the k-th best, it is skipped,
 * because the weight of taste is never negative.  The list is certain if its
 * last score is above the score of any recording without a row that was not
 * found; otherwise the scan goes deeper.
 */
#include "pg/serve/next.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_top.h"

#include "pg/model/config.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"

/* Recordings scored together. */
#define BLOCK 256

/* Number of dot products that the first scan finds in addition to k. */
#define BEYOND 64

/*
 * Returns the weights for a moment, inside or outside a session
 * (LB_MOMENT_WEIGHTS).  A model whose scores have no parts has no weights: its
 * dot products are logits, divided by its temperature.
 */
void
lbrec_moment_weights(double *weights, const ServingModel *serving,
					 bool in_session)
{
	const TwoTower *tower = &serving->tower;
	const double *of = tower->mixed ? tower->moment.of[in_session] :
	lb_moment_prior.of[in_session];

	memcpy(weights, of, LB_MOMENT_WEIGHTS * sizeof(double));
	for (int i = 0; !tower->mixed && i < LB_MOMENT_WEIGHTS; i++)
		if (lb_moment_part_of(i) == LB_MOMENT_TASTE)
			weights[i] = 1 / serving->image->config.temperature;
}

/*
 * Makes the query vector from the own recordings if the model has a history
 * input, else takes a known user's; without either, zeros.
 */
static void
set_query(NextListener *next, int32 user, int64 time)
{
	const TwoTower *tower = &next->serving->tower;
	int			D = next->serving->image->D;
	float	   *query = lbrec_alloc_aligned(CurrentMemoryContext,
											D * sizeof(float), "query");
	int			n = (int) Min(next->moment.n_own,
							  next->serving->image->config.history_length);
	int32	   *codes = palloc(Max(n, 1) * sizeof(int32));
	LbSpan		history;

	memset(query, 0, D * sizeof(float));
	next->query = query;
	for (int i = 0; i < n; i++)
		codes[i] = next->moment.rows[i].code;
	if (n > 0 && lbrec_has_history(tower))
	{
		history = lbrec_history(tower, codes, n);
		lbrec_query_vector_after(query, tower, user, time, &history,
								 CurrentMemoryContext);
	}
	else if (user != 0)
		lbrec_query_vectors(query, tower, &user, &time, 1, NULL,
							CurrentMemoryContext);
}

/*
 * Prepares a moment: plays (n) in the order of time, none after time, which is
 * in microseconds since 1970.  user is 0 for a user unknown to the model.
 * Everything is allocated in the current memory context.
 */
void
lbrec_find_next(NextListener *next, const ServingModel *serving, int32 user,
				const LbPlay *plays, int64 n, int64 time)
{
	const Counted *c = &serving->tower.counted;
	LbMomentModel model = {c->neighbours, c->follow};
	LbMoment	own;
	void	   *own_block = palloc_extended(lb_moment_bytes(n),
											MCXT_ALLOC_HUGE);
	int64		most;

	next->serving = serving;
	next->plays = plays;
	next->n_plays = n;
	lb_moment_place(&own, n, own_block);
	lb_moment_gather_own(&own, plays, n, time);
	most = lb_moment_most(&own, &model, plays, n);
	pfree(own_block);
	CHECK_FOR_INTERRUPTS();
	lb_moment_place(&next->moment, most,
					palloc_extended(lb_moment_bytes(most), MCXT_ALLOC_HUGE));
	lb_moment_gather(&next->moment, &model, plays, n, time);
	lbrec_moment_weights(next->weights, serving, next->moment.in_session);
	set_query(next, user, time);
}

/* Returns the score of a row, or of no row for NULL, with that dot product. */
static float
score_of(const NextListener *next, const LbMomentRow *row, double added,
		 float dot)
{
	return lb_score_finish((float) (lb_moment_taste(row, next->weights) * dot +
									added));
}

/* The keys of the best k so far, and rows whose dot products are missing. */
typedef struct Collector
{
	const NextListener *next;
	uint64	   *keys;
	int64		n;
	int64		k;
	const double *added;		/* (moment.n) */
	int			n_block;
	int32		candidates[BLOCK];
	int64		places[BLOCK];
} Collector;

static void
take_block(Collector *c)
{
	const ServingModel *serving = c->next->serving;
	float		dots[BLOCK];

	lb_score_rows(dots, c->next->query, serving->tower.candidates,
				  serving->image->D, c->candidates, c->n_block);
	for (int i = 0; i < c->n_block; i++)
		c->keys[c->n++] =
			lb_key_make(score_of(c->next,
								 &c->next->moment.rows[c->places[i]],
								 c->added[c->places[i]], dots[i]),
						(uint32) c->candidates[i]);
	c->n_block = 0;
}

/* Returns the score that a further key must exceed to be among the k best. */
static float
keep_best(Collector *c)
{
	uint64		low = PG_UINT64_MAX;

	if (c->n < c->k)
		return -INFINITY;
	if (c->n > c->k)
		lb_key_select(c->keys, c->n, c->k);
	c->n = c->k;
	for (int64 i = 0; i < c->n; i++)
		low = Min(low, c->keys[i]);
	return lb_key_score(low);
}

/*
 * Adds rows that the scan did not find; their dot products are at most
 * bar_dot.
 */
static void
add_rows(Collector *c, const bool *done, const CandidateSet *allowed,
		 float bar_dot)
{
	const LbMoment *m = &c->next->moment;
	uint64	   *left = palloc_extended((m->n + 1) * sizeof(uint64),
									   MCXT_ALLOC_HUGE);
	int64		n_left = 0;
	float		bar = keep_best(c);

	/* start with rows that can be best: they raise the bar for the rest */
	for (int64 i = 0; i < m->n; i++)
	{
		float		bound = score_of(c->next, &m->rows[i], c->added[i],
									 bar_dot);

		if (!done[i] && bound >= bar)
			left[n_left++] = lb_key_make(bound, (uint32) i);
	}
	lb_key_sort(left, n_left);
	for (int64 i = 0; i < n_left && lb_key_score(left[i]) >= bar; i++)
	{
		int64		place = lb_key_index(left[i]);
		int32		candidate = m->rows[place].code - 1;

		CHECK_FOR_INTERRUPTS();
		if (!lbrec_is_candidate(allowed, candidate))
			continue;
		c->candidates[c->n_block] = candidate;
		c->places[c->n_block++] = place;
		if (c->n_block == BLOCK)
		{
			take_block(c);
			bar = keep_best(c);
		}
	}
	take_block(c);
	pfree(left);
}

/*
 * Finds the min(k, allowed) best candidates from the depth best by dot
 * product; false if that depth is not enough to be certain.
 */
static bool
rank_within(RankedList *list, const NextListener *next,
			const CandidateSet *allowed, int64 k, int64 depth,
			const double *added)
{
	const ServingModel *serving = next->serving;
	const LbMoment *m = &next->moment;
	LbCandidates set = {.c = serving->tower.candidates,
		.n = serving->tower.n_recordings, .D = serving->image->D,
		.index = serving->index, .allow = allowed->bits,
	.list = allowed->list, .n_list = allowed->n};
	int64	   *ids = palloc_extended(depth * sizeof(int64), MCXT_ALLOC_HUGE);
	float	   *dots = palloc_extended(depth * sizeof(float),
									   MCXT_ALLOC_HUGE);
	void	   *scratch = lbrec_alloc_aligned(CurrentMemoryContext,
											  lb_topk_bytes(&set, depth),
											  "selection");
	bool	   *done = palloc_extended(m->n + 1,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	Collector	c = {.next = next, .k = k, .added = added};
	int64		found;
	LbBest		best = {depth, &found, ids, dots};
	bool		certain = true;
	LbStatus	status;

	LBREC_RUN((status = lb_topk(&best, next->query, &set, scratch,
								lbrec_cancel_flag())) == LB_CANCELLED);
	lbrec_check_status(status, "a score");
	c.keys = palloc_extended((found + m->n + 1) * sizeof(uint64),
							 MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < found; i++)
	{
		int64		place = lb_moment_find(m, (int32) ids[i] + 1);

		if (place >= 0)
			done[place] = true;
		c.keys[c.n++] =
			lb_key_make(score_of(next, place < 0 ? NULL : &m->rows[place],
								 place < 0 ? 0 : added[place], dots[i]),
						(uint32) ids[i]);
	}
	if (found == depth && found > 0)
	{
		add_rows(&c, done, allowed, dots[found - 1]);
		certain = keep_best(&c) > score_of(next, NULL, 0, dots[found - 1]);
	}
	keep_best(&c);
	lb_key_sort(c.keys, c.n);
	list->n = c.n;
	for (int64 i = 0; i < c.n; i++)
	{
		list->ids[i] = lb_key_index(c.keys[i]);
		list->scores[i] = lb_key_score(c.keys[i]);
	}
	pfree(ids);
	pfree(dots);
	pfree(done);
	pfree(c.keys);
	return certain;
}

/* Returns the min(k, allowed) best candidates of a NextListener. */
RankedList
lbrec_next_best(const void *whom, const CandidateSet *allowed, int64 k)
{
	const NextListener *next = whom;
	const LbMoment *m = &next->moment;
	int64		n = next->serving->tower.n_recordings;
	double	   *added = palloc_extended((m->n + 1) * sizeof(double),
										MCXT_ALLOC_HUGE);
	RankedList	list;

	k = Min(k, n);
	list.ids = palloc_extended((k + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	list.scores = palloc_extended((k + 1) * sizeof(float), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < m->n; i++)
		added[i] = lb_moment_added(m, &m->rows[i], next->weights);
	for (int64 depth = Min(k + BEYOND, n);; depth = Min(4 * depth, n))
		if (rank_within(&list, next, allowed, k, depth, added) || depth == n)
			break;
	pfree(added);
	return list;
}
