/*
 * ranks.c
 *		Evaluation by counting, as TFRS's score-based FactorizedTopK means it.
 *
 * The rank of a listen is the number of candidates that score strictly higher
 * than its own recording, so ties count for the recording, and top-K accuracy
 * is the share of listens whose rank is below K.  TFRS scores the true
 * candidate by another routine than the rest, so there a candidate can be
 * beaten by itself; here every score comes from the same chain of operations.
 *
 * If scores have parts beside the dot product, counting would need the scores
 * of all neighbours of all that the user played.  So the user's list is made
 * as serving makes it, to the largest rank wanted, and a listen's rank is its
 * place there: the same number.
 */
#include "pg/evaluate/ranks.h"

#include "utils/memutils.h"

#include "core/scan/lb_scan_rank.h"

#include "pg/model/score.h"
#include "pg/model/toplist.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/server/search.h"

/* Query vectors, and lists, in memory at a time. */
#define QUERY_BLOCK 16384
#define LIST_BLOCK 256
#define LIST_ENTRIES ((int64) 1 << 24)	/* limit for all lists of a block */

typedef struct Ranker
{
	const RankRequest *request;
	const float *candidates;
	int			D;
	int64		most;			/* limit of the counts over all candidates */
	float	   *queries;		/* (m, D), the block's queries */
	float	   *floors;			/* the scores that better candidates exceed */
	int64	   *at;				/* indices of the block's listens */
	int64	   *counts;
	void	   *scratch;
} Ranker;

/* The user's own recordings, as codes; their number in n. */
static const int32 *
user_list(const TwoTower *model, int32 user, int *n)
{
	int64		from;

	*n = 0;
	if (model->counted.history_offsets == NULL || user == 0)
		return NULL;
	from = model->counted.history_offsets[user];
	*n = (int) (model->counted.history_offsets[user + 1] - from);
	return model->counted.history_codes + from;
}

/* The dot product of the block's k-th query and its own candidate. */
static float
find_dot(const Ranker *r, int k, int64 candidate)
{
	return lb_score(r->queries + (Size) k * r->D,
					r->candidates + (Size) candidate * r->D, r->D);
}

/*
 * True if the query is all zeros: the model knows nothing of that user.  All
 * scores would tie, and a tie would count as a hit.
 */
static bool
has_zero_query(const Ranker *r, int k)
{
	for (int d = 0; d < r->D; d++)
		if (r->queries[(Size) k * r->D + d] != 0)
			return false;
	return true;
}

/*
 * Turns the number of candidates above the floor into ranks.  Ranks among new
 * recordings leave out those of the user's list.
 */
static void
finish_rank(const Ranker *r, int k)
{
	const RankRequest *q = r->request;
	int64		i = r->at[k];
	int64		rank = r->counts[k];
	int64		new_rank = rank;
	bool		own = false;

	if (q->new_ranks)
	{
		int			n;
		const int32 *codes = user_list(q->model, q->users[i], &n);

		for (int j = 0; j < n; j++)
			if (codes[j] == lbrec_code_of(q->truth[i]))
				own = true;
			else if (find_dot(r, k, lbrec_candidate_with(codes[j])) > r->floors[k])
				new_rank--;
	}
	if (has_zero_query(r, k))
		rank = new_rank = PG_INT64_MAX;
	/* a count that reached the limit is only a bound */
	q->ranks[i] = q->most > 0 ? Min(rank, q->most) : rank;
	if (q->new_ranks)
		q->new_ranks[i] = own ? -1 :
			q->most > 0 ? Min(new_rank, q->most) : new_rank;
}

static void
rank_block(Ranker *r, int m, const int32 *users, const int64 *times,
		   LbThreads *pool, MemoryContext context)
{
	LbRanking	ranking;
	LbStatus	status;

	lbrec_query_vectors(r->queries, r->request->model, users, times, m, pool,
						context);
	for (int k = 0; k < m; k++)
	{
		CHECK_FOR_INTERRUPTS();
		r->floors[k] = find_dot(r, k, r->request->truth[r->at[k]]);
	}
	ranking = (LbRanking)
	{
		.q = r->queries, .n_queries = m, .floor = r->floors, .most = r->most,
			.c = r->candidates, .n = r->request->model->n_recordings, .D = r->D
	};
	LBREC_RUN((status = lb_rank_counts(r->counts, &ranking, r->scratch, pool,
									   lbrec_cancel_flag())) == LB_CANCELLED);
	lbrec_check_status(status, "ranks");
	for (int k = 0; k < m; k++)
	{
		CHECK_FOR_INTERRUPTS();
		finish_rank(r, k);
	}
}

/* Orders listens so that those that share a list are adjacent. */
static int
compare_listens(const void *a, const void *b, void *arg)
{
	const RankRequest *q = arg;
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	CHECK_FOR_INTERRUPTS();
	if (q->users[x] != q->users[y])
		return q->users[x] < q->users[y] ? -1 : 1;
	if (q->times[x] != q->times[y])
		return q->times[x] < q->times[y] ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* True if the query vector depends on the time. */
static bool
has_time(const TwoTower *model)
{
	for (int i = 0; i < model->core.query.n_inputs; i++)
	{
		InputSource source = model->query_inputs[i].source;

		if (source == SOURCE_TIME_BUCKET || lbrec_source_is_number(source))
			return true;
	}
	return false;
}

/*
 * Prefix counts of the list's entries that are new to the user: (list->n + 1).
 */
static int64 *
count_new(const Scorer *s, const RankedList *list)
{
	int64	   *n_new = palloc_extended((list->n + 1) * sizeof(int64),
										MCXT_ALLOC_HUGE);

	n_new[0] = 0;
	for (int64 i = 0; i < list->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		n_new[i + 1] = n_new[i] + !lbrec_is_own(s, list->ids[i]);
	}
	return n_new;
}

/* Users whose lists are made together, each user at the time of a listen. */
typedef struct ListBlock
{
	int			most;			/* capacity in users */
	int			m;				/* number of users */
	bool		timed;			/* lists of one user differ by time */
	int32		users[LIST_BLOCK];
	int64		times[LIST_BLOCK];
	Scorer		scorers[LIST_BLOCK];
	const Scorer *each[LIST_BLOCK];
	RankedList	lists[LIST_BLOCK];
} ListBlock;

/* True if the i-th listen is ranked in the list of user u of the block. */
static bool
shares_list(const ListBlock *b, int u, const RankRequest *q, int64 i)
{
	return b->users[u] == q->users[i] &&
		(!b->timed || b->times[u] == q->times[i]);
}

/*
 * Collects users for the listens from r->at[next] on; returns the next listen.
 */
static int64
take_users(ListBlock *b, const Ranker *r, int64 next, int64 n)
{
	const RankRequest *q = r->request;

	for (b->m = 0; next < n; next++)
	{
		int64		i = r->at[next];

		if (b->m > 0 && shares_list(b, b->m - 1, q, i))
			continue;
		if (b->m == b->most)
			break;
		b->users[b->m] = q->users[i];
		b->times[b->m++] = q->times[i];
	}
	return next;
}

/* Makes the users' lists in the current memory context. */
static void
make_lists(ListBlock *b, const Ranker *r, LbThreads *pool)
{
	const TwoTower *model = r->request->model;
	TopRequest	request = {
		.set = {.c = r->candidates, .n = model->n_recordings, .D = r->D},
		.m = b->m, .scorers = b->each, .queries = r->queries, .k = r->most,
		.new_only = true, .pool = pool
	};

	lbrec_query_vectors(r->queries, model, b->users, b->times, b->m, pool,
						CurrentMemoryContext);
	for (int u = 0; u < b->m; u++)
	{
		b->scorers[u] = lbrec_scorer(model, b->users[u]);
		b->each[u] = &b->scorers[u];
	}
	lbrec_top_lists(b->lists, &request);
}

/*
 * Finds the rank of the i-th listen in the list of the block's user u, whose
 * prefix counts are n_new.
 */
static void
rank_in_list(const Ranker *r, const ListBlock *b, int u, const int64 *n_new,
			 int64 i)
{
	const RankRequest *q = r->request;
	const Scorer *s = &b->scorers[u];
	const RankedList *list = &b->lists[u];
	float		floor = lbrec_full_score(s, q->truth[i],
										 find_dot(r, u, q->truth[i]));
	int64		rank;			/* number of entries above the floor */
	int64		new_rank;

	LBREC_SEARCH(rank, 0, list->n, list->scores[rank] > floor);
	new_rank = n_new[rank];
	if (has_zero_query(r, u))
		rank = new_rank = PG_INT64_MAX;
	q->ranks[i] = Min(rank, r->most);
	if (q->new_ranks)
		q->new_ranks[i] = lbrec_is_own(s, q->truth[i]) ? -1 :
			Min(new_rank, r->most);
}

/* Ranks the listens from r->at[first] up to r->at[end], by user. */
static void
rank_in_lists(const Ranker *r, ListBlock *b, int64 first, int64 end)
{
	int64	   *n_new = NULL;
	int			u = -1;

	for (int64 k = first; k < end; k++)
	{
		int64		i = r->at[k];

		CHECK_FOR_INTERRUPTS();
		if (u < 0 || !shares_list(b, u, r->request, i))
		{
			if (u >= 0)
			{
				lbrec_free_related(&b->scorers[u]);
				pfree(n_new);
			}
			lbrec_find_related(&b->scorers[++u]);
			n_new = count_new(&b->scorers[u], &b->lists[u]);
		}
		rank_in_list(r, b, u, n_new, i);
	}
}

/* Ranks the n listens whose indices are in r->at, with lists. */
static void
rank_by_lists(Ranker *r, int64 n, LbThreads *pool, MemoryContext context)
{
	const RankRequest *q = r->request;
	int64		n_recordings = q->model->n_recordings;
	ListBlock  *b = MemoryContextAlloc(context, sizeof(ListBlock));
	MemoryContext scratch = AllocSetContextCreate(context,
												  "lbrec ranking by lists",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);

	r->most = q->most > 0 ? Min(q->most, n_recordings) : n_recordings;
	b->most = (int) Max(Min(LIST_BLOCK, LIST_ENTRIES / r->most), 1);
	b->timed = has_time(q->model);
	qsort_arg(r->at, n, sizeof(int64), compare_listens,
			  unconstify(RankRequest *, q));
	for (int64 first = 0; first < n;)
	{
		int64		end = take_users(b, r, first, n);

		make_lists(b, r, pool);
		rank_in_lists(r, b, first, end);
		MemoryContextReset(scratch);
		first = end;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* Collects the indices of listens that can be found; the others are misses. */
static int64
findable(Ranker *r, MemoryContext context)
{
	const RankRequest *q = r->request;
	int64		n = 0;

	r->at = MemoryContextAllocHuge(context, Max(q->n, 1) * sizeof(int64));
	for (int64 i = 0; i < q->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		q->ranks[i] = PG_INT64_MAX;
		if (q->new_ranks)
			q->new_ranks[i] = PG_INT64_MAX;
		if (q->truth[i] >= 0)
			r->at[n++] = i;
	}
	return n;
}

/*
 * Ranks of listens, each from 0.  A listen whose recording is no candidate
 * has the rank PG_INT64_MAX, a miss at every K.
 */
void
lbrec_rank_listens(const RankRequest *request, LbThreads *pool,
				   MemoryContext context)
{
	const TwoTower *model = request->model;
	int			D = lb_tower_width(&model->core.query);
	int			block = (int) Min(request->n, QUERY_BLOCK);
	int32	   *users = MemoryContextAlloc(context, block * sizeof(int32));
	int64	   *times = MemoryContextAlloc(context, block * sizeof(int64));
	Ranker		r = {.request = request, .candidates = request->candidates, .D = D};
	int			longest = 0;

	r.queries = lbrec_alloc_aligned(context, (Size) block * D * sizeof(float),
									"block of queries");
	r.floors = MemoryContextAlloc(context, block * sizeof(float));
	r.at = MemoryContextAlloc(context, block * sizeof(int64));
	r.counts = MemoryContextAlloc(context, block * sizeof(int64));
	if (r.candidates == NULL)
	{
		float	   *vectors;

		vectors = lbrec_alloc_aligned(context,
									  (Size) model->n_recordings * D *
									  sizeof(float), "candidate vectors");
		lbrec_candidate_vectors(vectors, model, pool, context);
		r.candidates = vectors;
	}
	if (model->mixed)
	{
		rank_by_lists(&r, findable(&r, context), pool, context);
		return;
	}
	for (int64 i = 0; i < request->n && request->new_ranks; i++)
	{
		int			n;

		CHECK_FOR_INTERRUPTS();
		user_list(model, request->users[i], &n);
		longest = Max(longest, n);
	}
	r.most = request->most > 0 ? request->most + longest : 0;
	r.scratch = lbrec_alloc_aligned(context,
									lb_rank_counts_bytes(block,
														 model->n_recordings,
														 D,
														 lb_threads_count(pool)),
									"ranking");
	for (int64 next = 0; next < request->n;)
	{
		int			m = 0;

		for (; next < request->n && m < block; next++)
		{
			request->ranks[next] = PG_INT64_MAX;
			if (request->new_ranks)
				request->new_ranks[next] = PG_INT64_MAX;
			if (request->truth[next] < 0)
				continue;
			users[m] = request->users[next];
			times[m] = request->times[next];
			r.at[m++] = next;
		}
		if (m > 0)
			rank_block(&r, m, users, times, pool, context);
	}
}
