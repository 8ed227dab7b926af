/*
 * moment_ranks.c
 *		Computes exact ranks of the recording played, at many moments.
 *
 * The rank of a recording is one more than the number of recordings with a
 * higher score, and nearly all scores are dot products.  So moments are ranked
 * together, in three steps:
 *
 *	1	Each worker gathers the rows of its moments, ranks the truth by the
 *		baselines, and keeps for each row the difference of its score and its
 *		dot product.
 *	2	One pass computes the query vectors of all moments.
 *	3	Each worker computes tiles of dot products with all candidates, counts
 *		those that put a recording before the truth, and corrects the count for
 *		recordings with a row.
 *
 * The memory for rows is bounded; when it is full, the moments so far are
 * ranked first.
 */
#include "pg/serve/moment_ranks.h"

#include <math.h>
#include <stdatomic.h>

#include "utils/memutils.h"

#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_tiles.h"
#include "core/scan/lb_scan_top.h"

#include "pg/model/config.h"
#include "pg/model/twotower.h"
#include "pg/serve/next.h"
#include "pg/server/kernels.h"

/* Moments that a worker ranks together. */
#define GROUP 128

/* Limit of rows kept by all workers together, unless one moment has more. */
#define KEPT_ROWS ((int64) 4 << 20)

/* The kept part of a row; sorted by code. */
typedef struct KeptRow
{
	double		added;			/* score minus the dot product */
	int32		code;
	bool		own;
} KeptRow;

/* A moment being ranked. */
typedef struct State
{
	RankedMoment *moment;
	const double *weights;
	int			n_history;		/* own recordings in the history input */
	int64		next;			/* next kept row in step 3 */
	int64		end;
	float		score;			/* a higher dot product alone beats the truth */
	float		floor;			/* above it, a dot product alone scores more */
} State;

typedef struct Worker
{
	LbMoment	moment;
	KeptRow    *rows;
	int64		n_rows;
	int64		room;
	int32	   *listed;			/* indices of rows that a baseline scores */
	State	   *states;			/* (GROUP) */
	float	   *queries;		/* (GROUP, D) */
	int32	   *histories;		/* (GROUP, history_length) */
	void	   *tiles;
	int			n;				/* moments gathered and not yet ranked */
	int64		from;			/* next moment to gather */
	int64		to;
} Worker;

struct MomentRanks
{
	const ServingModel *serving;
	const Baselines *baselines;
	LbMomentModel model;
	double		weights[2][LB_MOMENT_WEIGHTS];	/* [1] inside a session */
	int			history_length;
	LbThreads  *pool;
	MemoryContext context;
	MemoryContext scratch;
	int			n_workers;
	Worker	   *workers;
	/* The current call: */
	RankedMoment *moments;
	LbCancel	cancel;
	_Atomic bool cancelled;
};

MomentRanks *
lbrec_make_moment_ranks(const ServingModel *serving,
						const Baselines *baselines, LbThreads *pool,
						MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	MomentRanks *r = palloc0(sizeof(MomentRanks));
	int64		N = serving->tower.n_recordings;
	int			D = serving->image->D;

	r->serving = serving;
	r->baselines = baselines;
	r->model = (LbMomentModel)
	{
		serving->tower.counted.neighbours, serving->tower.counted.follow
	};
	for (int i = 0; i < 2; i++)
		lbrec_moment_weights(r->weights[i], serving, i == 1);
	r->history_length = lbrec_has_history(&serving->tower) ?
		serving->image->config.history_length : 0;
	r->pool = pool;
	r->context = context;
	r->scratch = AllocSetContextCreate(context, "lbrec moments",
									   ALLOCSET_DEFAULT_SIZES);
	r->n_workers = lb_threads_count(pool);
	r->workers = palloc0(r->n_workers * sizeof(Worker));
	for (int i = 0; i < r->n_workers; i++)
	{
		Worker	   *w = &r->workers[i];

		lb_moment_place_dense(&w->moment, N,
							  palloc_extended(lb_moment_dense_bytes(N),
											  MCXT_ALLOC_HUGE));
		w->room = Max(N, KEPT_ROWS / r->n_workers);
		w->rows = palloc_extended(w->room * sizeof(KeptRow), MCXT_ALLOC_HUGE);
		w->listed = palloc_extended(N * sizeof(int32), MCXT_ALLOC_HUGE);
		w->states = palloc(GROUP * sizeof(State));
		w->queries = lbrec_alloc_aligned(context, (Size) GROUP * D *
										 sizeof(float), "block of queries");
		w->histories = palloc_extended((Size) GROUP * r->history_length *
									   sizeof(int32) + 1, MCXT_ALLOC_HUGE);
		w->tiles = lbrec_alloc_aligned(context, lb_tiles_bytes(GROUP, D),
									   "ranking");
	}
	MemoryContextSwitchTo(old);
	return r;
}

/* Returns a baseline's score of a recording with a row. */
static double
baseline_value(MomentRanker by, const LbMoment *m, const LbMomentRow *row)
{
	switch (by)
	{
		case RANKED_BY_OWN_PLAYS:
			return row->w;
		case RANKED_BY_LAST:
			return row->all[0];
		case RANKED_BY_BLEND:
			return (m->w_sum > 0 ? 0.4 * row->w / m->w_sum : 0) +
				0.3 * row->all[0] +
				(m->own_sums[0] > 0 ? 0.3 * row->own[0] / m->own_sums[0] : 0);
		default:
			return 0;
	}
}

/*
 * Computes the ranks by a baseline; listed (n) has the indices of rows that
 * count.
 */
static void
rank_by_baseline(RankedMoment *moment, MomentRanker by, const LbMoment *m,
				 const int32 *listed, int n, const Baselines *baselines)
{
	const int64 *listens = baselines->tower->recording_listens;
	int32		truth = moment->truth;
	int64		place = lb_moment_find(m, truth + 1);
	double		mine = place < 0 ? 0 :
	baseline_value(by, m, &m->rows[place]);
	int64		rank = mine > 0 ? 1 : 1 + baselines->above[truth];
	int64		new_rank = rank;

	for (int i = 0; i < n; i++)
	{
		const LbMomentRow *row = &m->rows[listed[i]];
		double		value = baseline_value(by, m, row);
		bool		own = row->w > 0;

		if (mine > 0)
		{
			rank += value > mine;
			new_rank += !own && value > mine;
			continue;
		}
		/* it precedes truth in any case, so do not count it as more popular */
		if (value > 0)
			rank += listens[row->code - 1] <= listens[truth];
		if (own)
			new_rank -= listens[row->code - 1] > listens[truth];
		else if (value > 0)
			new_rank += listens[row->code - 1] <= listens[truth];
	}
	moment->ranks[by] = rank;
	moment->new_ranks[by] = new_rank;
}

/* Keeps the differences of scores and dot products, by code. */
static void
keep_rows(Worker *w, const double *weights, int64 n_recordings)
{
	const LbMoment *m = &w->moment;

	for (int32 code = 1; code <= n_recordings; code++)
	{
		const LbMomentRow *row;
		KeptRow    *kept;

		if (m->slots.places[code] == 0)
			continue;
		row = &m->rows[m->slots.places[code] - 1];
		kept = &w->rows[w->n_rows++];
		kept->added = lb_moment_added(m, row, weights);
		kept->code = code;
		kept->own = row->w > 0;
	}
}

static void
gather(MomentRanks *r, Worker *w, RankedMoment *moment)
{
	LbMoment   *m = &w->moment;
	State	   *s = &w->states[w->n];
	int			n_listed = 0;
	int64		place;

	lb_moment_clear(m);
	lb_moment_gather(m, &r->model, moment->plays, moment->n, moment->time);
	place = lb_moment_find(m, moment->truth + 1);
	moment->is_new = place < 0 || place >= m->n_own;
	for (int64 i = 0; i < m->n; i++)
	{
		const LbMomentRow *row = &m->rows[i];

		if (row->w > 0 || row->all[0] > 0 || row->own[0] > 0)
			w->listed[n_listed++] = (int32) i;
	}
	for (MomentRanker by = RANKED_BY_POPULARITY; by < N_MOMENT_RANKERS; by++)
		rank_by_baseline(moment, by, m, w->listed, n_listed, r->baselines);
	s->moment = moment;
	s->weights = r->weights[m->in_session];
	s->n_history = (int) Min(m->n_own, r->history_length);
	for (int i = 0; i < s->n_history; i++)
		w->histories[(Size) w->n * r->history_length + i] = m->rows[i].code;
	s->next = w->n_rows;
	keep_rows(w, s->weights, r->serving->tower.n_recordings);
	s->end = w->n_rows;
	w->n++;
}

/* Step 1: gathers the worker's next moments, as many as there is room for. */
static void
gather_part(void *arg, int worker, int n_workers)
{
	MomentRanks *r = arg;
	Worker	   *w = &r->workers[worker];

	while (w->from < w->to && w->n < GROUP &&
		   w->n_rows + r->serving->tower.n_recordings <= w->room)
	{
		if (LB_CANCEL_REQUESTED(r->cancel))
		{
			atomic_store(&r->cancelled, true);
			return;
		}
		gather(r, w, &r->moments[w->from++]);
	}
}

/*
 * Step 2: computes a moment's query vector from the own recordings if the
 * model has a history input, else takes a known user's; without either, zeros.
 */
static void
find_queries(MomentRanks *r)
{
	const TwoTower *tower = &r->serving->tower;
	int			D = r->serving->image->D;
	MemoryContext old = MemoryContextSwitchTo(r->scratch);
	int			most = r->n_workers * GROUP;
	int32	   *users = palloc(most * sizeof(int32));
	int64	   *times = palloc(most * sizeof(int64));
	float	  **to = palloc(most * sizeof(float *));
	LbSpan	   *histories = palloc(most * sizeof(LbSpan));
	float	   *out = lbrec_alloc_aligned(r->scratch, (Size) most * D *
										  sizeof(float), "block of queries");

	for (int with_history = 0; with_history < 2; with_history++)
	{
		int			n = 0;

		for (int i = 0; i < r->n_workers; i++)
			for (int k = 0; k < r->workers[i].n; k++)
			{
				const Worker *w = &r->workers[i];
				const State *s = &w->states[k];
				float	   *query = w->queries + (Size) k * D;

				if ((s->n_history > 0) != (with_history > 0))
					continue;
				if (s->n_history == 0 && s->moment->user == 0)
				{
					memset(query, 0, D * sizeof(float));
					continue;
				}
				users[n] = s->moment->user;
				times[n] = s->moment->time;
				histories[n] = lbrec_history(tower, w->histories +
											 (Size) k * r->history_length,
											 s->n_history);
				to[n++] = query;
			}
		if (n == 0)
			continue;
		if (with_history)
		{
			TowerRows	rows = {.n = n, .users = users, .times = times,
				.histories = histories};

			lbrec_tower_vectors(out, tower, &rows, r->pool, r->scratch);
		}
		else
			lbrec_query_vectors(out, tower, users, times, n, r->pool,
								r->scratch);
		for (int i = 0; i < n; i++)
			memcpy(to[i], out + (Size) i * D, D * sizeof(float));
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(r->scratch);
}

/*
 * Returns the largest dot product whose score, for a recording without a row,
 * does not exceed the truth's.  That score never falls as the dot product
 * grows, so a binary search over floats, by order-preserving keys, finds it.
 */
static float
find_floor(float score, const double *weights)
{
	double		taste = lb_moment_taste(NULL, weights);
	uint32		low = (uint32) (lb_key_make(-INFINITY, 0) >> 32);
	uint32		high = (uint32) (lb_key_make(INFINITY, 0) >> 32);

	while (low < high)
	{
		uint32		middle = low + (high - low) / 2 + 1;
		float		dot = lb_key_score((uint64) middle << 32);

		if (lb_score_finish((float) (taste * dot)) > score)
			high = middle - 1;
		else
			low = middle;
	}
	return lb_key_score((uint64) low << 32);
}

/* Counts the recordings of a tile that precede the truth. */
static void
count_tile(void *arg, const LbScoreTile *t)
{
	Worker	   *w = arg;
	int32		counts[LB_TILE_QUERIES] = {0};
	float		floors[LB_TILE_QUERIES];

	for (int i = 0; i < t->n_queries; i++)
		floors[i] = w->states[t->first_query + i].floor;
	for (int j = 0; j < t->n_candidates; j++)
		for (int i = 0; i < t->n_queries; i++)
			counts[i] += t->scores[j * t->stride + i] > floors[i];
	for (int i = 0; i < t->n_queries; i++)
	{
		State	   *s = &w->states[t->first_query + i];
		RankedMoment *moment = s->moment;
		int64		rank = counts[i];
		int64		new_rank = counts[i];

		for (; s->next < s->end && w->rows[s->next].code - 1 <
			 t->first_candidate + t->n_candidates; s->next++)
		{
			const KeptRow *row = &w->rows[s->next];
			int64		j = row->code - 1 - t->first_candidate;
			float		dot = lb_score_finish(t->scores[j * t->stride + i]);
			bool		alone = dot > s->floor;
			bool		above = row->code - 1 != moment->truth &&
				lb_score_finish((float) (s->weights[(row->own ? LB_MOMENT_SHARED : 0) +
													LB_MOMENT_TASTE] * dot +
										 row->added)) > s->score;

			rank += above - alone;
			new_rank += (above && !row->own) - alone;
		}
		moment->ranks[RANKED_BY_MODEL] += rank;
		moment->new_ranks[RANKED_BY_MODEL] += new_rank;
	}
}

/* Returns the score of the truth. */
static float
truth_score(const MomentRanks *r, const Worker *w, const State *s,
			const float *query)
{
	int			D = r->serving->image->D;
	int32		truth = s->moment->truth;
	float		dot = lb_score(query, r->serving->tower.candidates +
							   (Size) truth * D, D);
	int64		low = s->next;
	int64		high = s->end;

	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (w->rows[middle].code < truth + 1)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == s->end || w->rows[low].code != truth + 1)
		return lb_score_finish((float) (lb_moment_taste(NULL, s->weights) *
										dot));
	return lb_score_finish((float) (s->weights[(w->rows[low].own ? LB_MOMENT_SHARED : 0) +
											   LB_MOMENT_TASTE] * dot +
									w->rows[low].added));
}

/* Step 3: counts over all candidates. */
static void
rank_part(void *arg, int worker, int n_workers)
{
	MomentRanks *r = arg;
	Worker	   *w = &r->workers[worker];
	int			D = r->serving->image->D;

	for (int k = 0; k < w->n; k++)
	{
		State	   *s = &w->states[k];

		s->score = truth_score(r, w, s, w->queries + (Size) k * D);
		s->floor = find_floor(s->score, s->weights);
		s->moment->ranks[RANKED_BY_MODEL] = 1;
		s->moment->new_ranks[RANKED_BY_MODEL] = 1;
	}
	if (lb_visit_tiles(w->queries, w->n, r->serving->tower.candidates,
					   r->serving->tower.n_recordings, D, w->tiles,
					   count_tile, w, r->cancel) == LB_CANCELLED)
		atomic_store(&r->cancelled, true);
}

/* Gathers and ranks the next moments, at most a group for each worker. */
static void
rank_round(MomentRanks *r)
{
	lb_threads_run(r->pool, gather_part, r);
	if (atomic_load(&r->cancelled))
		return;
	find_queries(r);
	lb_threads_run(r->pool, rank_part, r);
}

/* Fills in is_new and the ranks of n moments. */
void
lbrec_rank_moments(MomentRanks *r, RankedMoment *moments, int64 n)
{
	r->moments = moments;
	r->cancel = lbrec_cancel_flag();
	for (int64 done = 0; done < n;)
	{
		int64		m = Min(n - done, (int64) GROUP * r->n_workers);
		bool		more;

		for (int i = 0; i < r->n_workers; i++)
		{
			int64		from;
			int64		to;

			lb_threads_part(&from, &to, m, i, r->n_workers);
			r->workers[i].from = done + from;
			r->workers[i].to = done + to;
		}
		do
		{
			int64		starts[LB_MAX_THREADS];

			more = false;
			for (int i = 0; i < r->n_workers; i++)
				starts[i] = r->workers[i].from;
			do
			{
				CHECK_FOR_INTERRUPTS();
				atomic_store(&r->cancelled, false);
				for (int i = 0; i < r->n_workers; i++)
				{
					r->workers[i].from = starts[i];
					r->workers[i].n = 0;
					r->workers[i].n_rows = 0;
				}
				rank_round(r);
			} while (lbrec_again(atomic_load(&r->cancelled)));
			for (int i = 0; i < r->n_workers; i++)
				more |= r->workers[i].from < r->workers[i].to;
		} while (more);
		done += m;
	}
}
