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
 * Where scores have parts beside the dot product, counting would have to look
 * at all neighbours of all that the user played.  There the user's list is
 * made as serving makes it, as long as ranks are asked for, and a listen's
 * rank is found in it: the same number.
 */
#include "pg/evaluate/ranks.h"

#include "utils/memutils.h"

#include "core/scan/lb_scan_rank.h"

#include "pg/model/score.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"

/* Queries whose vectors are held at a time; and whose lists are. */
#define QUERY_BLOCK 16384
#define LIST_BLOCK 256
#define LIST_ENTRIES ((int64) 1 << 24)	/* at most, of a block's lists */

typedef struct Ranker
{
	const RankRequest *request;
	const float *candidates;
	int			D;
	int64		most;			/* of the counts over all candidates */
	float	   *queries;		/* the block's, (m, D) */
	float	   *floors;			/* scores to be beaten */
	int64	   *at;				/* places of the block's listens */
	int64	   *counts;
	void	   *scratch;
} Ranker;

/* The user's own recordings, as codes; their number in n. */
static const int32 *
user_list(const TwoTower *model, int32 user, int *n)
{
	int64		from;

	*n = 0;
	if (model->history_offsets == NULL || user == 0)
		return NULL;
	from = model->history_offsets[user];
	*n = (int) (model->history_offsets[user + 1] - from);
	return model->history_codes + from;
}

static float
list_score(const Ranker *r, int k, int32 code)
{
	return lb_score(r->queries + (Size) k * r->D,
					r->candidates + (Size) (code - 1) * r->D, r->D);
}

/*
 * A user of whom the model knows nothing has a vector of zeros: all scores are
 * equal, and a tie would count as found.
 */
static bool
is_nobody(const Ranker *r, int k)
{
	for (int d = 0; d < r->D; d++)
		if (r->queries[(Size) k * r->D + d] != 0)
			return false;
	return true;
}

/*
 * Turns the count of candidates above the floor into ranks.  Among new
 * recordings those of the user's list do not count.
 */
static void
finish_rank(const Ranker *r, int k)
{
	const RankRequest *q = r->request;
	int64		i = r->at[k];
	int64		rank = r->counts[k];
	int64		new_rank = rank;

	if (q->new_ranks)
	{
		int			n;
		const int32 *codes = user_list(q->model, q->users[i], &n);

		for (int j = 0; j < n; j++)
			if (codes[j] == q->truth[i] + 1)
				new_rank = PG_INT64_MIN;
			else if (list_score(r, k, codes[j]) > r->floors[k])
				new_rank--;
	}
	if (is_nobody(r, k))
		rank = new_rank = PG_INT64_MAX;
	/* at the limit, what was subtracted from is only a bound */
	q->ranks[i] = q->most > 0 ? Min(rank, q->most) : rank;
	if (q->new_ranks)
		q->new_ranks[i] = new_rank < 0 ? -1 :
			q->most > 0 ? Min(new_rank, q->most) : new_rank;
}

static void
rank_block(Ranker *r, int m, const int32 *users, const int64 *times,
		   LbThreads *pool, MemoryContext context)
{
	LbStatus	status;

	lbrec_query_vectors(r->queries, r->request->model, users, times, m, pool,
						context);
	for (int k = 0; k < m; k++)
	{
		CHECK_FOR_INTERRUPTS();
		r->floors[k] = list_score(r, k, r->request->truth[r->at[k]] + 1);
	}
	do
	{
		CHECK_FOR_INTERRUPTS();
		status = lb_rank_counts_above(r->counts, r->queries, m, r->floors,
									  r->most, r->candidates,
									  r->request->model->n_recordings, r->D,
									  r->scratch, pool, lbrec_cancel_flag());
	} while (lbrec_again(status == LB_CANCELLED));
	lbrec_check_status(status, "ranks");
	for (int k = 0; k < m; k++)
	{
		CHECK_FOR_INTERRUPTS();
		finish_rank(r, k);
	}
}

/* Listens in the order in which they share lists. */
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

/* Does the query vector know the time? */
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

/* How many of a list's first entries are new to the user: (found + 1). */
static int64 *
count_new(const Boosts *b, const int64 *ids, int64 found)
{
	int64	   *n_new = palloc_extended((found + 1) * sizeof(int64),
										MCXT_ALLOC_HUGE);

	n_new[0] = 0;
	for (int64 i = 0; i < found; i++)
	{
		CHECK_FOR_INTERRUPTS();
		n_new[i + 1] = n_new[i] + !lbrec_is_own(b, ids[i]);
	}
	return n_new;
}

/*
 * The rank of one listen of user u of a block, from the user's list, of which
 * n_new is count_new().
 */
static void
rank_in_list(const Ranker *r, const TopLists *lists, const int64 *n_new,
			 const Boosts *b, int u, int64 i)
{
	const RankRequest *q = r->request;
	float		floor = lbrec_boosted(b, q->truth[i],
									  list_score(r, u, q->truth[i] + 1));
	int64		rank = 0;		/* entries above the floor */
	int64		end = lists->found[u];
	int64		new_rank;

	while (rank < end)
	{
		int64		middle = (rank + end) / 2;

		if (lists->scores[u][middle] > floor)
			rank = middle + 1;
		else
			end = middle;
	}
	new_rank = n_new[rank];
	if (lbrec_is_own(b, q->truth[i]))
		new_rank = -1;
	if (is_nobody(r, u))
		rank = new_rank = PG_INT64_MAX;
	q->ranks[i] = Min(rank, r->most);
	if (q->new_ranks)
		q->new_ranks[i] = Min(new_rank, r->most);
}

/* Ranks of the n listens whose places are in r->at, by lists. */
static void
rank_by_lists(Ranker *r, int64 n, LbThreads *pool, MemoryContext context)
{
	const RankRequest *q = r->request;
	LbCandidates set = {.c = r->candidates, .n = q->model->n_recordings,
		.D = r->D};
	bool		timed = has_time(q->model);
	int32		users[LIST_BLOCK];
	int64		times[LIST_BLOCK];
	Boosts		boosts[LIST_BLOCK];
	const Boosts *each[LIST_BLOCK];
	int			block;
	MemoryContext scratch = AllocSetContextCreate(context,
												  "lbrec ranking by lists",
												  ALLOCSET_DEFAULT_SIZES);

	r->most = q->most > 0 ? Min(q->most, set.n) : set.n;
	block = (int) Max(Min(LIST_BLOCK, LIST_ENTRIES / r->most), 1);
	qsort_arg(r->at, n, sizeof(int64), compare_listens,
			  unconstify(RankRequest *, q));
	for (int64 next = 0; next < n;)
	{
		int64		first = next;
		int			m = 0;
		int			u = -1;
		TopLists	lists;
		int64	   *n_new = NULL;
		MemoryContext old;

		for (; next < n; next++)
		{
			int64		i = r->at[next];

			if (m > 0 && users[m - 1] == q->users[i] &&
				(!timed || times[m - 1] == q->times[i]))
				continue;
			if (m == block)
				break;
			users[m] = q->users[i];
			times[m++] = q->times[i];
		}
		lbrec_query_vectors(r->queries, q->model, users, times, m, pool,
							scratch);
		for (int i = 0; i < m; i++)
		{
			boosts[i] = lbrec_boosts_of(q->model, users[i]);
			each[i] = &boosts[i];
		}
		lbrec_top_lists(&lists, &set, each, r->queries, m, r->most, true,
						pool, scratch);
		old = MemoryContextSwitchTo(scratch);
		for (int64 k = first; k < next; k++)
		{
			int64		i = r->at[k];

			CHECK_FOR_INTERRUPTS();
			if (u < 0 || users[u] != q->users[i] ||
				(timed && times[u] != q->times[i]))
			{
				if (u >= 0)
				{
					lbrec_free_boosts(&boosts[u]);
					pfree(n_new);
				}
				lbrec_gather_boosts(&boosts[++u]);
				n_new = count_new(&boosts[u], lists.ids[u], lists.found[u]);
			}
			rank_in_list(r, &lists, n_new, &boosts[u], u, i);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
}

/* Places of the listens that can be found; the others are misses. */
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
