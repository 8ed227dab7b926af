/*
 * lb_scan_batch.c
 *		The k best candidates of many queries at once.
 *
 * Each worker takes a range of queries, and of these a group that fits its
 * caches.  Either tiles of candidates are scored in float32 against the group
 * (see lb_scan_pack.h), or, with 8-bit dot products at hand, queries take
 * turns at each block of the int8 index.
 */
#include "core/scan/lb_scan_batch.h"

#include "core/kernels/lb_kernels.h"
#include "core/lb_arena.h"
#include "core/scan/lb_index.h"
#include "core/scan/lb_scan_pack.h"
#include "core/scan/lb_scan_plain.h"

/* Queries in a group: their collectors should stay in or near L2. */
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
	char	   *own;			/* scratch of the workers, own_bytes each */
	size_t		own_bytes;
	int			group;			/* queries in a group */
	int			tile;			/* candidates in a tile */
	const LbCandidates *set;
	int64_t		k;				/* the caller's k, or the number of candidates
								 * if that is less */
	int64_t		stride;			/* columns of ids and scores: the caller's k */
	int64_t    *found;
	int64_t    *ids;
	float	   *scores;
	size_t		scan_bytes;		/* bytes of a query's index scan, or 0 */
	bool		use_index;
} Job;

/* a worker's arrays */
typedef struct Own
{
	float	   *qt;				/* (group / lanes, D, lanes) */
	float	   *cpack;			/* (tile / mr, D, mr) */
	float	   *floor;			/* (group) */
	LbHit	   *hits;			/* (MAX_HITS) */
	LbTop	   *tops;			/* (group) */
	uint64_t   *keys;			/* (group, room) */
	char	   *scans;			/* (group, scan_bytes), if there is an index */
	LbIndexScan **scan;			/* (group): NULL for queries that need the
								 * plain scan */
} Own;

static size_t
cut_own(Own *own, char *block, int group, int tile, int D, int64_t room,
		size_t scan_bytes)
{
	LbArena		arena = {block};
	size_t		lanes = (size_t) group;

	own->qt = lb_arena_cut(&arena, lanes * D * sizeof(float));
	own->cpack = lb_arena_cut(&arena, (size_t) tile * D * sizeof(float));
	own->floor = lb_arena_cut(&arena, lanes * sizeof(float));
	own->hits = lb_arena_cut(&arena, MAX_HITS * sizeof(LbHit));
	own->tops = lb_arena_cut(&arena, lanes * sizeof(LbTop));
	own->keys = lb_arena_cut(&arena, lanes * room * sizeof(uint64_t));
	own->scans = lb_arena_cut(&arena, lanes * scan_bytes);
	own->scan = lb_arena_cut(&arena, lanes * sizeof(LbIndexScan *));
	return arena.used;
}

static int
top_group_size(int64_t n_queries, int64_t room, size_t scan_bytes)
{
	int64_t		most = TOP_BYTES /
		((int64_t) sizeof(uint64_t) * room + (int64_t) scan_bytes);

	return group_size(n_queries, most < TOP_QUERIES ? most : TOP_QUERIES);
}

/* scores one tile against the lanes from query i of the group on */
static void
top_tile(const Job *job, Own *own, int i, const int32_t *rows, int64_t first,
		 int in_tile, int n_blocks)
{
	const LbScanKernel *kernel = &lb_kernels()->scan;
	int			done = 0;

	while (done < n_blocks)
	{
		int			blocks = n_blocks - done;
		const float *cpack = own->cpack +
			(size_t) done * kernel->mr * job->D;
		int			n_hits;

		n_hits = kernel->tile_hits(own->hits, MAX_HITS, own->floor + i,
								   own->qt + (size_t) i * job->D, cpack,
								   job->D, &blocks);
		for (int h = 0; h < n_hits; h++)
		{
			const LbHit *hit = &own->hits[h];
			int			place = done * kernel->mr + (int) hit->candidate;
			LbTop	   *top = &own->tops[i + hit->lane];

			if (place >= in_tile)
				continue;		/* skips a repeat of the last candidate */
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

/* collects the next allowed candidates, from *next on; returns their number */
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
	const LbScanKernel *kernel = &lb_kernels()->scan;
	const LbCandidates *set = job->set;
	int64_t		most = lb_candidates_most(set);
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
		{
			if (LB_CANCEL_REQUESTED(job->cancel))
				return false;
			top_tile(job, own, i, rows, from, in_tile, n_blocks);
		}
	}
	for (int i = 0; i < n; i++)
		job->found[first + i] =
			lb_top_finish(&own->tops[i], job->ids + (first + i) * job->stride,
						  job->scores + (first + i) * job->stride);
	return true;
}

/*
 * True if queries take turns at each block of codes.  That pays with 8-bit dot
 * products only: without them float32 tiles are as fast (AVX2: 2,156 queries a
 * CPU second, against 2,075 from the index).
 */
static bool
use_index(const LbCandidates *set, int64_t k)
{
	return lb_kernels()->scan.fast_codes && lb_index_pays(set, k);
}

/* Returns the bytes for a query's scan of the index; 0 if it is not used. */
static size_t
index_bytes(const LbCandidates *set, int64_t k)
{
	return use_index(set, k) ? lb_index_scan_bytes(set->n, k) : 0;
}

static bool
index_group(Job *job, Own *own, int64_t first, int n)
{
	const LbCandidates *set = job->set;
	int64_t		room = lb_top_room(job->k, set->n);
	int64_t		n_groups = (set->n + LB_GROUP - 1) / LB_GROUP;

	for (int i = 0; i < n; i++)
	{
		lb_top_init(&own->tops[i], own->keys + i * room, job->k, room);
		own->scan[i] = lb_index_begin(&own->tops[i],
									  job->q + (size_t) (first + i) * job->D,
									  set, own->scans + i * job->scan_bytes);
	}
	for (int64_t g = 0; g < n_groups; g += LB_GROUPS_PER_BLOCK)
	{
		if (LB_CANCEL_REQUESTED(job->cancel))
			return false;
		for (int i = 0; i < n; i++)
		{
			if (own->scan[i] != NULL)
				lb_index_block(own->scan[i], g);
		}
	}
	for (int i = 0; i < n; i++)
	{
		if (own->scan[i] != NULL)
			lb_index_end(own->scan[i]);
		else if (lb_scan_plain(&own->tops[i],
							   job->q + (size_t) (first + i) * job->D, set,
							   job->cancel) != LB_OK)
			return false;
		job->found[first + i] =
			lb_top_finish(&own->tops[i], job->ids + (first + i) * job->stride,
						  job->scores + (first + i) * job->stride);
	}
	return true;
}

static bool
top_part(void *arg, int worker, int64_t from, int64_t to)
{
	Job		   *job = arg;
	Own			own;

	cut_own(&own, job->own + worker * job->own_bytes, job->group, job->tile,
			job->D, lb_top_room(job->k, lb_candidates_most(job->set)),
			job->scan_bytes);
	return job->use_index ? index_group(job, &own, from, (int) (to - from)) :
		top_group(job, &own, from, (int) (to - from));
}

size_t
lb_topk_batch_bytes(const LbCandidates *set, int64_t n_queries, int64_t k,
					int n_threads)
{
	Own			own = {0};
	int64_t		most = lb_candidates_most(set);
	int64_t		room = lb_top_room(k < most ? k : most, most);
	size_t		scan_bytes = index_bytes(set, k < most ? k : most);
	int			group = top_group_size(n_queries, room, scan_bytes);

	return n_threads * cut_own(&own, NULL, group, tile_size(set->D), set->D,
							   room, scan_bytes);
}

LbStatus
lb_topk_batch(const LbBest *best, const float *q, int64_t n_queries,
			  const LbCandidates *set, void *scratch, LbThreads *pool,
			  LbCancel cancel)
{
	int64_t		most = lb_candidates_most(set);
	int64_t		k = best->k;
	int64_t		room;
	Own			own = {0};
	Job			job = {
		.q = q, .n_queries = n_queries, .c = set->c, .n = set->n,
		.D = set->D, .cancel = cancel, .own = scratch, .set = set,
		.k = k < most ? k : most, .stride = k, .found = best->found,
		.ids = best->ids, .scores = best->scores,
	};

	if (n_queries < 0 || k < 1 || !lb_candidates_sound(set))
		return LB_BAD_ARGUMENT;
	if (most == 0)
	{
		memset(best->found, 0, n_queries * sizeof(*best->found));
		return LB_OK;
	}
	room = lb_top_room(job.k, most);
	job.use_index = use_index(set, job.k);
	job.scan_bytes = index_bytes(set, job.k);
	job.group = top_group_size(n_queries, room, job.scan_bytes);
	job.tile = tile_size(set->D);
	job.own_bytes = cut_own(&own, NULL, job.group, job.tile, set->D, room,
							job.scan_bytes);
	return lb_threads_for(pool, n_queries, 1, job.group, top_part, &job,
						  cancel);
}
