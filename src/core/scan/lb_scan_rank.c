/*
 * lb_scan_rank.c
 *		Ranks by counting: how many candidates score above the true one.
 *
 * Each worker takes a range of queries, and tiles of all candidates (see
 * lb_scan_pack.h) against them.
 *
 * Counting up to a limit drops a query when it has reached it: with the limit
 * at 100 and a query's true candidate at rank 10,000, a hundredth of the
 * candidates decides.  Lanes of dropped queries are filled by closing ranks.
 */
#include "core/scan/lb_scan_rank.h"

#include "core/kernels/lb_kernels.h"
#include "core/lb_arena.h"
#include "core/scan/lb_scan_pack.h"
#include "core/scan/lb_scan_top.h"

/*
 * Bytes of a group's queries.  They stay in L2, and there are enough of them
 * that packing a tile, which costs as much as some twenty queries, does not
 * matter.
 */
#define COUNT_BYTES (1024 * 1024)

typedef struct Job
{
	int64_t    *counts;
	const float *q;
	int64_t		n_queries;
	const int32_t *true_candidate;	/* one of these two is NULL */
	const float *floor;
	int64_t		most;			/* limit of counting; 0: none */
	const float *c;
	int64_t		n;
	int			D;
	LbCancel	cancel;
	char	   *own;			/* scratch of the workers, own_bytes each */
	size_t		own_bytes;
	int			group;			/* queries in a group */
	int			tile;			/* candidates in a tile */
} Job;

/* a worker's arrays */
typedef struct Own
{
	float	   *qt;				/* (group / lanes, D, lanes) */
	float	   *cpack;			/* (tile / mr, D, mr) */
	float	   *floor;			/* (group) */
	int32_t    *counts;			/* (group) */
	int32_t    *query;			/* (group): the query in each lane */
} Own;

static size_t
cut_own(Own *own, char *block, int group, int tile, int D)
{
	LbArena		arena = {block};
	size_t		lanes = (size_t) group;

	own->qt = lb_arena_cut(&arena, lanes * D * sizeof(float));
	own->cpack = lb_arena_cut(&arena, (size_t) tile * D * sizeof(float));
	own->floor = lb_arena_cut(&arena, lanes * sizeof(float));
	own->counts = lb_arena_cut(&arena, lanes * sizeof(int32_t));
	own->query = lb_arena_cut(&arena, lanes * sizeof(int32_t));
	return arena.used;
}

/*
 * A tile's last block repeats its last candidate: subtracts the repeats that
 * were counted.
 */
static void
take_out_repeats(const Job *job, Own *own, int64_t first, int n, int repeats)
{
	const LbScanKernel *kernel = &lb_kernels()->scan;
	const float *last = job->c + (size_t) (job->n - 1) * job->D;

	for (int i = 0; i < n; i++)
	{
		float		chain;

		kernel->score_range(&chain,
							job->q + (size_t) (first + own->query[i]) * job->D,
							last, job->D, 1, -INFINITY);
		if (chain > own->floor[i])
			own->counts[i] -= repeats;
	}
}

/*
 * Writes the counts of queries that reached the limit, and moves the others
 * together.  Returns the number left.
 */
static int
drop_finished(Job *job, Own *own, int64_t first, int n)
{
	int			lanes = lb_kernels()->scan.lanes;
	int			finished = 0;
	int			kept = 0;

	for (int i = 0; i < n; i++)
		finished += own->counts[i] >= job->most;
	/* repacking costs as much as a tile, so wait until several are finished */
	if (finished < n && (finished < lanes || finished < n / 8))
		return n;
	for (int i = 0; i < n; i++)
	{
		if (own->counts[i] >= job->most)
		{
			job->counts[first + own->query[i]] = job->most;
			continue;
		}
		own->counts[kept] = own->counts[i];
		own->floor[kept] = own->floor[i];
		own->query[kept++] = own->query[i];
	}
	for (int i = kept; i < n; i++)
		own->floor[i] = INFINITY;
	pack_queries(own->qt, job->q + (size_t) first * job->D, own->query, kept,
				 lanes, job->D);
	return kept;
}

static bool
count_group(Job *job, Own *own, int64_t first, int n)
{
	const LbScanKernel *kernel = &lb_kernels()->scan;
	int			lanes = kernel->lanes;
	int			D = job->D;

	pack_queries(own->qt, job->q + (size_t) first * D, NULL, n, lanes, D);
	for (int i = 0; i < job->group; i++)
	{
		own->counts[i] = 0;
		own->query[i] = i;
		if (i >= n)
			own->floor[i] = INFINITY;
		else if (job->floor != NULL)
			own->floor[i] = job->floor[first + i];
		else
		{
			float		chain;

			kernel->score_range(&chain, job->q + (size_t) (first + i) * D,
								job->c +
								(size_t) job->true_candidate[first + i] * D,
								D, 1, -INFINITY);
			own->floor[i] = lb_score_finish(chain);
		}
	}
	for (int64_t j = 0; j < job->n && n > 0; j += job->tile)
	{
		int64_t		left = job->n - j;
		int			in_tile = left < job->tile ? (int) left : job->tile;
		int			n_blocks = pack_candidates(own->cpack, job->c, j, NULL,
											   in_tile, kernel->mr, D);

		for (int i = 0; i < n; i += lanes)
		{
			if (LB_CANCEL_REQUESTED(job->cancel))
				return false;
			kernel->tile_counts(own->counts + i, own->floor + i,
								own->qt + (size_t) i * D, own->cpack, D,
								n_blocks);
		}
		if (n_blocks * kernel->mr > in_tile)
			take_out_repeats(job, own, first, n,
							 n_blocks * kernel->mr - in_tile);
		if (job->most > 0)
			n = drop_finished(job, own, first, n);
	}
	for (int i = 0; i < n; i++)
	{
		int64_t		n_above = own->counts[i];

		job->counts[first + own->query[i]] =
			job->most > 0 && n_above > job->most ? job->most : n_above;
	}
	return true;
}

static bool
count_part(void *arg, int worker, int64_t from, int64_t to)
{
	Job		   *job = arg;
	Own			own;

	cut_own(&own, job->own + worker * job->own_bytes, job->group, job->tile,
			job->D);
	return count_group(job, &own, from, (int) (to - from));
}

/* returns a worker's queries, if they fit */
static int
count_group_size(int64_t n_queries, int D, int n_threads)
{
	return group_size((n_queries + n_threads - 1) / n_threads,
					  COUNT_BYTES / (D * (int) sizeof(float)));
}

size_t
lb_rank_counts_bytes(int64_t n_queries, int64_t n, int D, int n_threads)
{
	Own			own = {0};

	(void) n;
	return n_threads * cut_own(&own, NULL,
							   count_group_size(n_queries, D, n_threads),
							   tile_size(D), D);
}

LbStatus
lb_rank_counts(int64_t *counts, const LbRanking *r, void *scratch,
			   LbThreads *pool, LbCancel cancel)
{
	Own			own = {0};
	Job			job = {
		.q = r->q, .n_queries = r->n_queries, .c = r->c, .n = r->n,
		.D = r->D, .cancel = cancel, .own = scratch, .counts = counts,
		.most = r->most, .true_candidate = r->true_candidate,
		.floor = r->floor,
	};

	if (r->n_queries < 0 || r->n < 0 || r->n > LB_SCAN_MAX_N || r->D < 1 ||
		r->D > LB_SCAN_MAX_D || r->most < 0)
		return LB_BAD_ARGUMENT;
	for (int64_t i = 0; r->floor == NULL && i < r->n_queries; i++)
	{
		if (r->true_candidate[i] < 0 || r->true_candidate[i] >= r->n)
			return LB_BAD_ARGUMENT;
	}
	job.group = count_group_size(r->n_queries, r->D, lb_threads_count(pool));
	job.tile = tile_size(r->D);
	job.own_bytes = cut_own(&own, NULL, job.group, job.tile, r->D);
	return lb_threads_for(pool, r->n_queries, 1, job.group, count_part, &job,
						  cancel);
}
