/*
 * lb_scan_batch.c
 *		Many queries at once: top-k lists, and ranks by counting.
 *
 * Each worker takes a range of queries, and of these a group that fits its
 * caches, transposed so that lanes are queries.  All candidates pass by in
 * tiles, packed once per group: a tile stays in L1 while every query of the
 * group meets it.  A score lives in a register, is compared with the query's
 * threshold, and is gone: the score matrix is never written.
 *
 * Counting up to a limit drops a query when it has reached it: with the limit
 * at 100 and a query's true candidate at rank 10,000, a hundredth of the
 * candidates decides.  Lanes of dropped queries are filled by closing ranks.
 */
#include "core/lb_scan.h"

#include <stdatomic.h>

#include "core/lb_scan_int.h"

/* Candidates of a tile, a multiple of LB_CAND_UNIT: 30 kB at D = 32. */
#define TILE_BYTES 30720
#define TILE_MIN (4 * LB_CAND_UNIT)

/*
 * Queries of a group: enough that packing a tile, which costs as much as some
 * twenty queries, is lost among them; they, or their collectors, stay in L2.
 */
#define COUNT_BYTES (1024 * 1024)
#define TOP_QUERIES 512
#define TOP_BYTES (4 * 1024 * 1024)

#define MAX_HITS (2 * LB_QUERY_LANES * LB_CAND_UNIT)

typedef struct Job
{
	const float *q;
	int64_t		n_queries;
	const float *c;
	int64_t		n;
	int			D;
	LbCancel	cancel;
	_Atomic int stop;
	char	   *own;			/* scratch of each worker, own_bytes apart */
	size_t		own_bytes;
	int			group;			/* queries of a group */
	int			tile;			/* candidates of a tile */

	/* counting */
	int64_t    *counts;
	const float *floor;
	const int32_t *true_candidate;
	int64_t		most;			/* where counting stops; 0: never */

	/* top-k */
	const LbCandidates *set;
	int64_t		k;				/* or the candidates, if they are fewer */
	int64_t		stride;			/* of ids and scores: the caller's k */
	int64_t    *found;
	int64_t    *ids;
	float	   *scores;
} Job;

/* a worker's arrays */
typedef struct Own
{
	float	   *qt;				/* (group / lanes, D, lanes) */
	float	   *cpack;			/* (tile / mr, D, mr) */
	float	   *floor;			/* (group) */
	int32_t    *counts;			/* (group) */
	int32_t    *query;			/* (group): which query a lane has */
	LbHit	   *hits;			/* (MAX_HITS) */
	LbTop	   *tops;			/* (group) */
	uint64_t   *keys;			/* (group, room) */
} Own;

static size_t
cut(void **array, char **next, size_t bytes)
{
	size_t		aligned = LB_ALIGN_UP(bytes);

	if (*next != NULL)
	{
		*array = *next;
		*next += aligned;
	}
	return aligned;
}

/* the arrays in block, or with block NULL only their size */
static size_t
cut_own(Own *own, char *block, int group, int tile, int D, int64_t room)
{
	char	   *next = block;
	size_t		total = 0;
	size_t		lanes = (size_t) group;

	total += cut((void **) &own->qt, &next, lanes * D * sizeof(float));
	total += cut((void **) &own->cpack, &next,
				 (size_t) tile * D * sizeof(float));
	total += cut((void **) &own->floor, &next, lanes * sizeof(float));
	total += cut((void **) &own->counts, &next, lanes * sizeof(int32_t));
	total += cut((void **) &own->query, &next, lanes * sizeof(int32_t));
	if (room > 0)
	{
		total += cut((void **) &own->hits, &next, MAX_HITS * sizeof(LbHit));
		total += cut((void **) &own->tops, &next, lanes * sizeof(LbTop));
		total += cut((void **) &own->keys, &next,
					 lanes * room * sizeof(uint64_t));
	}
	return total;
}

static int
tile_size(int D)
{
	int			tile = TILE_BYTES / (int) sizeof(float) / D;

	tile = tile / LB_CAND_UNIT * LB_CAND_UNIT;
	return tile > TILE_MIN ? tile : TILE_MIN;
}

/* queries of a group, a multiple of LB_QUERY_LANES */
static int
group_size(int64_t n_queries, int64_t most)
{
	int64_t		wanted = (n_queries + LB_QUERY_LANES - 1) / LB_QUERY_LANES;

	most = most / LB_QUERY_LANES > 0 ? most / LB_QUERY_LANES : 1;
	return (int) (wanted < most ? wanted > 0 ? wanted : 1 : most) *
		LB_QUERY_LANES;
}

static int
top_group_size(int64_t n_queries, int64_t room)
{
	int64_t		most = TOP_BYTES / ((int64_t) sizeof(uint64_t) * room);

	return group_size(n_queries, most < TOP_QUERIES ? most : TOP_QUERIES);
}

static bool
should_stop(Job *job)
{
	if (LB_CANCEL_REQUESTED(job->cancel))
		atomic_store(&job->stop, 1);
	return atomic_load(&job->stop) != 0;
}

/*
 * n queries, row rows[i] of q or the i-th when rows is NULL, lanes side by
 * side; what is left of the last lanes is zero.
 */
static void
pack_queries(float *qt, const float *q, const int32_t *rows, int n, int lanes,
			 int D)
{
	for (int i = 0; i < (n + lanes - 1) / lanes * lanes; i++)
	{
		float	   *to = qt + (size_t) (i / lanes) * lanes * D + i % lanes;
		const float *from = q + (size_t) (rows != NULL && i < n ? rows[i] : i) *
			D;

		for (int d = 0; d < D; d++)
			to[(size_t) d * lanes] = i < n ? from[d] : 0;
	}
}

/*
 * n candidates in blocks of mr; row(i) = rows[i], or first + i when rows is
 * NULL.  Returns the number of blocks; places without a candidate repeat the
 * last one, and their hits and counts are taken out by the caller.
 */
static int
pack_candidates(float *cpack, const float *c, int64_t first,
				const int32_t *rows, int n, int mr, int D)
{
	int			n_blocks = (n + mr - 1) / mr;

	for (int b = 0; b < n_blocks; b++, cpack += (size_t) mr * D)
	{
		for (int r = 0; r < mr; r++)
		{
			int			i = b * mr + r < n ? b * mr + r : n - 1;
			const float *row = c +
				(size_t) (rows != NULL ? rows[i] : first + i) * D;

			for (int d = 0; d < D; d++)
				cpack[(size_t) d * mr + r] = row[d];
		}
	}
	return n_blocks;
}

/*
 * Counting
 */

/*
 * A tile's last block repeats its last candidate: where that counts, each
 * repeat has been counted.
 */
static void
take_out_repeats(const Job *job, Own *own, int64_t first, int n, int repeats)
{
	const LbScanKernel *kernel = lb_scan_kernel();
	const float *last = job->c + (size_t) (job->n - 1) * job->D;

	for (int i = 0; i < n; i++)
	{
		float		chain;

		kernel->score_range(&chain,
							job->q + (size_t) (first + own->query[i]) * job->D,
							last, job->D, 1);
		if (chain > own->floor[i])
			own->counts[i] -= repeats;
	}
}

/*
 * Writes the counts of queries that have reached the limit and closes ranks.
 * Returns how many are left.
 */
static int
drop_finished(Job *job, Own *own, int64_t first, int n)
{
	int			lanes = lb_scan_kernel()->lanes;
	int			finished = 0;
	int			kept = 0;

	for (int i = 0; i < n; i++)
		finished += own->counts[i] >= job->most;
	/* repacking costs as much as a tile: not for every single query */
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
	const LbScanKernel *kernel = lb_scan_kernel();
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
								D, 1);
			own->floor[i] = lb_score_finish(chain);
		}
	}
	for (int64_t j = 0; j < job->n && n > 0; j += job->tile)
	{
		int64_t		left = job->n - j;
		int			in_tile = left < job->tile ? (int) left : job->tile;
		int			n_blocks = pack_candidates(own->cpack, job->c, j, NULL,
											   in_tile, kernel->mr, D);

		if (should_stop(job))
			return false;
		for (int i = 0; i < n; i += lanes)
			kernel->tile_counts(own->counts + i, own->floor + i,
								own->qt + (size_t) i * D, own->cpack, D,
								n_blocks);
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

static void
count_part(void *arg, int worker, int n_workers)
{
	Job		   *job = arg;
	Own			own = {0};
	int64_t		from;
	int64_t		to;

	cut_own(&own, job->own + worker * job->own_bytes, job->group, job->tile,
			job->D, 0);
	lb_threads_part(&from, &to, job->n_queries, worker, n_workers);
	for (int64_t i = from; i < to; i += job->group)
	{
		int			n = to - i < job->group ? (int) (to - i) : job->group;

		if (!count_group(job, &own, i, n))
			return;
	}
}

/* a worker's queries, if they fit */
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
							   tile_size(D), D, 0);
}

static LbStatus
count(Job *job, void *scratch, LbThreads *pool)
{
	int			n_threads = lb_threads_count(pool);
	Own			own = {0};

	if (job->n_queries < 0 || job->n < 0 || job->n > LB_SCAN_MAX_N ||
		job->D < 1 || job->D > LB_SCAN_MAX_D || job->most < 0)
		return LB_BAD_ARGUMENT;
	for (int64_t i = 0; job->floor == NULL && i < job->n_queries; i++)
	{
		if (job->true_candidate[i] < 0 || job->true_candidate[i] >= job->n)
			return LB_BAD_ARGUMENT;
	}
	job->own = scratch;
	job->group = count_group_size(job->n_queries, job->D, n_threads);
	job->tile = tile_size(job->D);
	job->own_bytes = cut_own(&own, NULL, job->group, job->tile, job->D, 0);
	lb_threads_run(pool, count_part, job);
	return atomic_load(&job->stop) ? LB_CANCELLED : LB_OK;
}

LbStatus
lb_rank_counts(int64_t *counts, const float *q, int64_t n_queries,
			   const int32_t *true_candidate, const float *c, int64_t n, int D,
			   void *scratch, LbThreads *pool, LbCancel cancel)
{
	return lb_rank_counts_within(counts, q, n_queries, true_candidate, 0, c, n,
								 D, scratch, pool, cancel);
}

LbStatus
lb_rank_counts_within(int64_t *counts, const float *q, int64_t n_queries,
					  const int32_t *true_candidate, int64_t most,
					  const float *c, int64_t n, int D, void *scratch,
					  LbThreads *pool, LbCancel cancel)
{
	Job			job = {
		.q = q, .n_queries = n_queries, .c = c, .n = n, .D = D,
		.cancel = cancel, .counts = counts, .most = most,
		.true_candidate = true_candidate,
	};

	return count(&job, scratch, pool);
}

LbStatus
lb_rank_counts_above(int64_t *counts, const float *q, int64_t n_queries,
					 const float *floor, int64_t most, const float *c,
					 int64_t n, int D, void *scratch, LbThreads *pool,
					 LbCancel cancel)
{
	Job			job = {
		.q = q, .n_queries = n_queries, .c = c, .n = n, .D = D,
		.cancel = cancel, .counts = counts, .most = most, .floor = floor,
	};

	return count(&job, scratch, pool);
}

/*
 * Top-k
 */

/* one tile against the lanes from query i of the group on */
static void
top_tile(const Job *job, Own *own, int i, const int32_t *rows, int64_t first,
		 int in_tile, int n_blocks)
{
	const LbScanKernel *kernel = lb_scan_kernel();
	int			done = 0;

	while (done < n_blocks)
	{
		int			blocks = n_blocks - done;
		int			n_hits = kernel->tile_hits(
			own->hits, MAX_HITS, own->floor + i,
			own->qt + (size_t) i * job->D,
			own->cpack + (size_t) done * kernel->mr * job->D, job->D, &blocks);

		for (int h = 0; h < n_hits; h++)
		{
			const LbHit *hit = &own->hits[h];
			int			place = done * kernel->mr + (int) hit->candidate;
			LbTop	   *top = &own->tops[i + hit->lane];

			if (place >= in_tile)
				continue;		/* a repeat of the last candidate */
			lb_top_push(top, hit->score,
						(uint32_t) (rows != NULL ? rows[place] :
									first + place));
			if (top->floor == LB_KEY_NONE && top->n >= top->k &&
				top->n >= top->k + (top->room - top->k) / 2)
				lb_top_sift(top);
			own->floor[i + hit->lane] = top->floor_score;
		}
		done += blocks;
	}
}

/* the next candidates allowed, from *next on; returns how many */
static int
next_rows(int32_t *rows, int most, const LbCandidates *set, int64_t *next)
{
	int			n = 0;

	while (n < most && *next < set->n)
	{
		uint64_t	bits = set->allow[*next / 64] >> (*next % 64);

		if (bits == 0)
		{
			*next = (*next / 64 + 1) * 64;
			continue;
		}
		*next += __builtin_ctzll(bits);
		if (*next >= set->n)
			break;
		rows[n++] = (int32_t) (*next)++;
	}
	return n;
}

static bool
top_group(Job *job, Own *own, int64_t first, int n)
{
	const LbScanKernel *kernel = lb_scan_kernel();
	const LbCandidates *set = job->set;
	int64_t		most = set->list != NULL ? set->n_list : set->n;
	int64_t		room = lb_top_room(job->k, most);
	int64_t		next = 0;
	int32_t		allowed[TILE_BYTES / sizeof(float)];

	pack_queries(own->qt, job->q + (size_t) first * job->D, NULL, n,
				 kernel->lanes, job->D);
	for (int i = 0; i < job->group; i++)
	{
		own->floor[i] = i < n ? -INFINITY : INFINITY;
		lb_top_init(&own->tops[i], own->keys + i * room, job->k, room);
	}
	while (next < most)
	{
		int64_t		from = next;
		const int32_t *rows = NULL;
		int			in_tile;
		int			n_blocks;

		if (should_stop(job))
			return false;
		if (set->allow != NULL)
		{
			in_tile = next_rows(allowed, job->tile, set, &next);
			rows = allowed;
			if (in_tile == 0)
				break;
		}
		else
		{
			in_tile = most - next < job->tile ? (int) (most - next) : job->tile;
			rows = set->list != NULL ? set->list + next : NULL;
			next += in_tile;
		}
		n_blocks = pack_candidates(own->cpack, job->c, from, rows, in_tile,
								   kernel->mr, job->D);
		for (int i = 0; i < n; i += kernel->lanes)
			top_tile(job, own, i, rows, from, in_tile, n_blocks);
	}
	for (int i = 0; i < n; i++)
		job->found[first + i] =
			lb_top_finish(&own->tops[i], job->ids + (first + i) * job->stride,
						  job->scores + (first + i) * job->stride);
	return true;
}

static void
top_part(void *arg, int worker, int n_workers)
{
	Job		   *job = arg;
	Own			own = {0};
	const LbCandidates *set = job->set;
	int64_t		most = set->list != NULL ? set->n_list : set->n;
	int64_t		from;
	int64_t		to;

	cut_own(&own, job->own + worker * job->own_bytes, job->group, job->tile,
			job->D, lb_top_room(job->k, most));
	lb_threads_part(&from, &to, job->n_queries, worker, n_workers);
	for (int64_t i = from; i < to; i += job->group)
	{
		int			n = to - i < job->group ? (int) (to - i) : job->group;

		if (!top_group(job, &own, i, n))
			return;
	}
}

size_t
lb_topk_batch_bytes(const LbCandidates *set, int64_t n_queries, int64_t k,
					int n_threads)
{
	Own			own = {0};
	int64_t		most = set->list != NULL ? set->n_list : set->n;
	int64_t		room = lb_top_room(k < most ? k : most, most);

	return n_threads * cut_own(&own, NULL, top_group_size(n_queries, room),
							   tile_size(set->D), set->D, room);
}

LbStatus
lb_topk_batch(int64_t *found, int64_t *ids, float *scores, const float *q,
			  int64_t n_queries, const LbCandidates *set, int64_t k,
			  void *scratch, LbThreads *pool, LbCancel cancel)
{
	int64_t		most = set->list != NULL ? set->n_list : set->n;
	int64_t		room;
	Own			own = {0};
	Job			job = {
		.q = q, .n_queries = n_queries, .c = set->c, .n = set->n,
		.D = set->D, .cancel = cancel, .own = scratch, .set = set,
		.k = k < most ? k : most, .stride = k, .found = found, .ids = ids,
		.scores = scores,
	};

	if (n_queries < 0 || k < 1 || set->n < 0 || set->n > LB_SCAN_MAX_N ||
		set->D < 1 || set->D > LB_SCAN_MAX_D ||
		(set->allow != NULL && set->list != NULL))
		return LB_BAD_ARGUMENT;
	if (most == 0)
	{
		memset(found, 0, n_queries * sizeof(*found));
		return LB_OK;
	}
	room = lb_top_room(job.k, most);
	job.group = top_group_size(n_queries, room);
	job.tile = tile_size(set->D);
	job.own_bytes = cut_own(&own, NULL, job.group, job.tile, set->D, room);
	lb_threads_run(pool, top_part, &job);
	return atomic_load(&job.stop) ? LB_CANCELLED : LB_OK;
}
