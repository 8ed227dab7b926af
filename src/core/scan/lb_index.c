/*
 * lb_index.c
 *		The int8 index: a quarter of the bytes, the same answer.
 *
 * Candidates, sorted by their largest component so that neighbours are alike,
 * are cut into groups of 16.  A group shares one scale s; candidate c becomes
 * integers C with c = s C + r.  The query becomes integers Q with
 * q = t Q + e.  The scan computes I = <Q, C> in integers, exactly, and passes
 * on those whose score could reach the k-th best; only these, some 175 of
 * 500,000 for k = 100, are scored in float32.
 *
 * Proof that none is lost.  Let |x| be the Euclidean norm, u = 2^-24, and
 * score the float32 chain of lb_candidates.h.
 *
 *	1. <q,c> = <tQ,sC> + <tQ,r> + <e,c>, so by Cauchy and Schwarz
 *			| <q,c> - s t I |  <=  |tQ| |r|  +  |e| |c|.
 *	2. A chain of D fused multiply-adds rounds D times, each time by at most
 *	   u of a partial sum and, in the denormal range, 2^-150:
 *			| score - <q,c> |  <=  g sum |q_d c_d| + D 2^-150
 *							   <=  g |q| |c| + D 2^-150,	g = D u / (1 - D u).
 *	3. So with E = (|e| + g' |q|) |c| + |tQ| |r| + 2^-120:
 *			s t I - E  <=  score  <=  s t I + E.				(*)
 *	   |c| and |r| are the largest of the group, computed in double and
 *	   rounded up when the index is built; |e|, |q|, |tQ| likewise for the
 *	   query.  g' has D + 32 instead of D: rounding to nearest gives
 *	   |r| <= |c|, |sC| <= 2 |c|, and the same for q, hence |s t I| and E stay
 *	   below 4 |q| |c|, and 32 u |q| |c| covers the few roundings of s t I,
 *	   of the sums, and of the lower bound to float32.  2^-120 covers D 2^-150
 *	   and underflow in these very formulas.
 *	4. T, the k-th largest of lower bounds (or exact scores) of k different
 *	   candidates, is at most the k-th best score.  A candidate with
 *	   s t I + E < T therefore scores strictly below the k-th best: it is not
 *	   in the answer, however ties are broken.
 *	5. The scan compares I with an integer at most (T - E) / (s t): the
 *	   float32 quotient, less 2^-20 of it, less 2.
 *
 * All this needs that nothing overflows: components above 2^50, and queries
 * whose largest is below 2^-50 or above 2^50, take the plain scan.
 *
 * Tried and left out: a scale per candidate (a fifth more bytes to read, and
 * reading is what it costs), 16-bit queries (halves E; too few candidates pass
 * as it is).
 */
#include "core/scan/lb_index.h"

#include "core/kernels/lb_kernels.h"
#include "core/lb_arena.h"
#include "core/scan/lb_index_block.h"

#define SMALLEST_QUERY 0x1p-50f
#define ABSOLUTE_ERROR 0x1p-120f
#define LARGEST_DOT 0x1p30f		/* more than any, and an int32 */

/*
 * Below one allowed candidate in this number, rows are read by number even
 * when there is an index.  518,540 x 32, AVX-512: one in 8 takes 0.77 ms by
 * number and 0.74 by the index, one in 16 takes 0.47 and 0.81.
 */
#define NARROW_FILTER 10

/* Above this share of all candidates an index cannot leave out enough. */
#define WIDE_K 4

size_t
lb_index_bytes(int64_t n, int D)
{
	IndexHeader header;

	lb_index_plan(&header, n, D);
	return header.bytes;
}

bool
lb_index_check(const void *block, size_t bytes, int64_t n, int D)
{
	IndexHeader wanted;
	IndexHeader found;

	if (bytes < sizeof(found) || n < 0 || n > LB_SCAN_MAX_N || D < 1 ||
		D > LB_SCAN_MAX_D)
		return false;
	memcpy(&found, block, sizeof(found));
	lb_index_plan(&wanted, n, D);
	wanted.usable = found.usable != 0;
	return bytes >= wanted.bytes &&
		memcmp(&wanted, &found, sizeof(found)) == 0;
}

static int64_t
count_allowed(const LbCandidates *set)
{
	int64_t		n = 0;

	if (set->allow == NULL)
		return set->n;
	for (int64_t w = 0; w < (set->n + 63) / 64; w++)
		n += __builtin_popcountll(set->allow[w]);
	return n;
}

bool
lb_index_pays(const LbCandidates *set, int64_t k)
{
	int64_t		allowed;

	if (set->index == NULL || set->list != NULL)
		return false;
	allowed = count_allowed(set);
	return k <= allowed / WIDE_K && allowed >= set->n / NARROW_FILTER;
}

struct LbIndexScan
{
	Index		index;
	const float *q;
	const LbCandidates *set;
	LbTop	   *top;			/* exact scores */
	int32_t		start;			/* takes CODE_ZERO out of the products */
	float		t;
	float		by_norm;		/* factor of |c| in E */
	float		by_rest;		/* factor of |r| in E */
	float		threshold;		/* T */
	uint64_t   *near;			/* lower bounds of candidates not below T, as
								 * keys with the place as index */
	int64_t		n_near;
	int64_t		room;
	int8_t		qcodes[LB_SCAN_MAX_D];	/* padded to n_quads * 4 with zeros */
};

typedef struct LbIndexScan Scan;

/* A scan in block, or with block NULL only its bytes. */
static size_t
lay_out(Scan **scan, char *block, int64_t n, int64_t k)
{
	LbArena		arena = {block};
	uint64_t   *near;

	*scan = lb_arena_cut(&arena, sizeof(Scan));
	near = lb_arena_cut(&arena, lb_top_room(k, n) * sizeof(uint64_t));
	if (block != NULL)
		(*scan)->near = near;
	return arena.used;
}

size_t
lb_index_scan_bytes(int64_t n, int64_t k)
{
	Scan	   *scan;

	return lay_out(&scan, NULL, n, k);
}

static inline float
error_of(const Scan *scan, int64_t group)
{
	return scan->by_norm * scan->index.norm[group] +
		scan->by_rest * scan->index.rest[group] + ABSOLUTE_ERROR;
}

/* the query's codes and norms; false: the plain scan must do it */
static bool
prepare_query(Scan *scan)
{
	int			D = scan->set->D;
	const float *q = scan->q;
	float		largest = float_from_bits(largest_bits(q, D));
	double		norm2 = 0;
	double		coded2 = 0;
	double		rest2 = 0;
	double		rounding;
	int			sum = 0;

	if (!(largest >= SMALLEST_QUERY && largest <= LARGEST_EXACT))
		return false;
	scan->t = largest / CODE_MAX;
	memset(scan->qcodes, 0, (size_t) scan->index.n_quads * 4);
	for (int d = 0; d < D; d++)
	{
		float		code = (q[d] / scan->t + ROUNDER) - ROUNDER;
		double		r = q[d] - (double) scan->t * code;

		scan->qcodes[d] = (int8_t) code;
		sum += (int) code;
		norm2 += (double) q[d] * q[d];
		rest2 += r * r;
		coded2 += (double) code * code;
	}
	scan->start = -CODE_ZERO * sum;
	rounding = (D + 32) * 0x1p-24;
	rounding = rounding / (1 - rounding);
	scan->by_norm = rounded_up(sqrt(rest2) + rounding * sqrt(norm2));
	scan->by_rest = rounded_up(scan->t * sqrt(coded2));
	return true;
}

/* exact scores of all candidates in near; near is empty afterwards */
static void
score_near(Scan *scan)
{
	const LbScanKernel *kernel = &lb_kernels()->scan;
	int32_t		rows[LB_SCAN_BLOCK];
	float		chains[LB_SCAN_BLOCK];
	int64_t		done = 0;

	while (done < scan->n_near)
	{
		int			n = 0;

		for (; n < LB_SCAN_BLOCK && done < scan->n_near; n++, done++)
			rows[n] = scan->index.order[lb_key_index(scan->near[done])];
		kernel->score_rows(chains, scan->q, scan->set->c, scan->set->D, rows,
						   n);
		for (int i = 0; i < n; i++)
			lb_top_push(scan->top, chains[i], (uint32_t) rows[i]);
	}
	scan->n_near = 0;
}

/* Raises T from the lower bounds and drops the rows below it. */
static void
thin_near(Scan *scan)
{
	int64_t		k = scan->top->k;
	int64_t		kept = 0;

	if (scan->n_near >= k)
	{
		float		lowest = INFINITY;

		if (scan->n_near > k)
			lb_key_select(scan->near, scan->n_near, k);
		for (int64_t i = 0; i < k; i++)
		{
			float		bound = lb_key_score(scan->near[i]);

			lowest = bound < lowest ? bound : lowest;
		}
		if (lowest > scan->threshold)
			scan->threshold = lowest;
	}
	for (int64_t i = 0; i < scan->n_near; i++)
	{
		uint64_t	key = scan->near[i];
		double		upper = lb_key_score(key) +
			2.001 * error_of(scan, lb_key_index(key) / LB_GROUP);

		if (upper >= scan->threshold)
			scan->near[kept++] = key;
	}
	scan->n_near = kept;
}

/* near is full */
static void
make_room(Scan *scan)
{
	thin_near(scan);
	if (scan->n_near <= scan->room / 2 + scan->top->k / 2)
		return;
	/* many ties: only exact scores can tell them apart */
	score_near(scan);
	lb_top_sift(scan->top);
	if (scan->top->floor_score > scan->threshold)
		scan->threshold = scan->top->floor_score;
}

static inline void
take_near(Scan *scan, int64_t place, int32_t dot)
{
	int64_t		group = place / LB_GROUP;
	double		middle;
	double		error;

	if (place >= scan->set->n)
		return;					/* padding of the last group */
	if (scan->set->allow != NULL)
	{
		int32_t		id = scan->index.order[place];

		if ((scan->set->allow[id / 64] >> id % 64 & 1) == 0)
			return;
	}
	middle = (double) scan->index.scale[group] * scan->t * dot;
	error = error_of(scan, group);
	if (middle + error < scan->threshold)
		return;					/* T has risen since */
	if (scan->n_near == scan->room)
	{
		make_room(scan);
		if (middle + error < scan->threshold)
			return;
	}
	scan->near[scan->n_near++] =
		lb_key_make((float) (middle - error), (uint32_t) place);
}

/* the least dot product of each group that could reach T */
static void
set_floors(int32_t *floors, const Scan *scan, int64_t group)
{
	const float *scale = scan->index.scale + group;
	const float *norm = scan->index.norm + group;
	const float *rest = scan->index.rest + group;
	float		threshold = scan->threshold;
	float		t = scan->t;
	float		by_norm = scan->by_norm;
	float		by_rest = scan->by_rest;

	for (int g = 0; g < LB_GROUPS_PER_BLOCK; g++)
	{
		float		error = by_norm * norm[g] + by_rest * rest[g] +
			ABSOLUTE_ERROR;
		float		least = (threshold - error) / (scale[g] * t);

		least = least - fabsf(least) * 0x1p-20f - 2;
		least = least > -LARGEST_DOT ? least : -LARGEST_DOT;
		least = least < LARGEST_DOT ? least : LARGEST_DOT;
		floors[g] = (int32_t) least;
	}
}

LbIndexScan *
lb_index_begin(LbTop *top, const float *q, const LbCandidates *set,
			   void *scratch)
{
	const IndexHeader *header = set->index;
	Scan	   *scan;

	if (header->n != set->n || header->D != set->D || !header->usable)
		return NULL;
	lay_out(&scan, scratch, set->n, top->k);
	lb_index_point(&scan->index, header);
	scan->q = q;
	scan->set = set;
	scan->top = top;
	scan->n_near = 0;
	scan->room = lb_top_room(top->k, set->n);
	scan->threshold = -INFINITY;
	return prepare_query(scan) ? scan : NULL;
}

void
lb_index_block(LbIndexScan *scan, int64_t group)
{
	int64_t		left = scan->index.n_groups - group;
	int			n_groups = left < LB_GROUPS_PER_BLOCK ?
		(int) left : LB_GROUPS_PER_BLOCK;
	int32_t		places[LB_SCAN_BLOCK];
	int32_t		dots[LB_SCAN_BLOCK];
	int32_t		floors[LB_GROUPS_PER_BLOCK];
	int			n;

	set_floors(floors, scan, group);
	n = lb_kernels()->scan.scan_codes(places, dots, scan->index.codes +
									  (size_t) group * scan->index.n_quads *
									  LB_GROUP * 4,
									  n_groups, scan->index.n_quads,
									  scan->qcodes, scan->start, floors);
	for (int i = 0; i < n; i++)
		take_near(scan, group * LB_GROUP + places[i], dots[i]);
}

void
lb_index_end(LbIndexScan *scan)
{
	thin_near(scan);
	score_near(scan);
}
