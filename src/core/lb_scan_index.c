/*
 * lb_scan_index.c
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
 * score the float32 chain of lb_scan.h.
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
#include "core/lb_scan.h"

#include <float.h>

#include "core/lb_cpu.h"
#include "core/lb_scan_int.h"

#define INDEX_MAGIC UINT64_C(0x3130786469626c)	/* "lbidx01" */
#define CODE_ZERO 128
#define CODE_MAX 127
#define LARGEST_EXACT 0x1p50f
#define SMALLEST_QUERY 0x1p-50f
#define SMALLEST_SCALE 0x1p-60f
#define ABSOLUTE_ERROR 0x1p-120f
#define LARGEST_DOT 0x1p30f		/* more than any, and an int32 */

/* 1.5 * 2^23: adding and taking it away rounds to the nearest integer */
#define ROUNDER 12582912.0f

typedef struct IndexHeader
{
	uint64_t	magic;			/* also tells the byte order */
	int64_t		n;
	int32_t		D;
	int32_t		usable;			/* 0: a component is above LARGEST_EXACT */
	uint64_t	bytes;			/* of the whole block */
	uint64_t	order_at;		/* offsets into the block */
	uint64_t	scale_at;
	uint64_t	norm_at;
	uint64_t	rest_at;
	uint64_t	codes_at;
} IndexHeader;

/* the same with pointers */
typedef struct Index
{
	int64_t		n_groups;
	int			n_quads;
	int32_t    *order;			/* (n): place -> candidate */
	float	   *scale;			/* (n_groups padded) s */
	float	   *norm;			/* (n_groups padded) largest |c| */
	float	   *rest;			/* (n_groups padded) largest |r| */
	uint8_t    *codes;			/* (n_groups, n_quads, 16, 4): C + 128 */
} Index;

static void
plan(IndexHeader *header, int64_t n, int D)
{
	uint64_t	groups = (uint64_t) (n + LB_GROUP - 1) / LB_GROUP;
	uint64_t	padded = (groups + LB_GROUPS_PER_BLOCK - 1) /
		LB_GROUPS_PER_BLOCK * LB_GROUPS_PER_BLOCK;
	uint64_t	quads = (uint64_t) (D + 3) / 4;
	uint64_t	at = LB_ALIGN_UP(sizeof(IndexHeader));

	memset(header, 0, sizeof(*header));
	header->magic = INDEX_MAGIC;
	header->n = n;
	header->D = D;
	header->order_at = at;
	at += LB_ALIGN_UP(n * sizeof(int32_t));
	header->scale_at = at;
	at += LB_ALIGN_UP(padded * sizeof(float));
	header->norm_at = at;
	at += LB_ALIGN_UP(padded * sizeof(float));
	header->rest_at = at;
	at += LB_ALIGN_UP(padded * sizeof(float));
	header->codes_at = at;
	at += groups * quads * LB_GROUP * 4;
	header->bytes = at;
}

static void
point(Index *index, const void *block)
{
	const IndexHeader *header = block;
	char	   *base = (char *) block;

	index->n_groups = (header->n + LB_GROUP - 1) / LB_GROUP;
	index->n_quads = (header->D + 3) / 4;
	index->order = (int32_t *) (base + header->order_at);
	index->scale = (float *) (base + header->scale_at);
	index->norm = (float *) (base + header->norm_at);
	index->rest = (float *) (base + header->rest_at);
	index->codes = (uint8_t *) (base + header->codes_at);
}

size_t
lb_index_bytes(int64_t n, int D)
{
	IndexHeader header;

	plan(&header, n, D);
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
	plan(&wanted, n, D);
	wanted.usable = found.usable != 0;
	return bytes >= wanted.bytes &&
		memcmp(&wanted, &found, sizeof(found)) == 0;
}

/*
 * Building
 */

/* the largest component's bits; above 0x7f800000 when one is not finite */
static uint32_t
largest_bits(const float *c, int D)
{
	uint32_t	largest = 0;

	for (int d = 0; d < D; d++)
	{
		uint32_t	bits;

		memcpy(&bits, c + d, sizeof(bits));
		bits &= 0x7fffffffu;
		largest = bits > largest ? bits : largest;
	}
	return largest;
}

static float
float_from_bits(uint32_t bits)
{
	float		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* x as a float that is not below it, for sums of squares' roots */
static float
rounded_up(double x)
{
	return (float) (x * (1 + 0x1p-20) + FLT_MIN);
}

/*
 * Sorting key: exponent and seven bits of the largest component, descending.
 * A counting sort does, because a group needs likeness, not order.
 */
#define N_BUCKETS 32768
#define BUCKET_OF(bits) (N_BUCKETS - 1 - ((bits) >> 16))

/*
 * index->order; *largest_all gets the largest component's bits of all.
 */
static LbStatus
sort_rows(Index *index, uint32_t *largest_all, const float *c, int64_t n,
		  int D, LbCancel cancel)
{
	int32_t		start[N_BUCKETS];
	int32_t		at = 0;

	memset(start, 0, sizeof(start));
	*largest_all = 0;
	for (int64_t i = 0; i < n; i++)
	{
		uint32_t	bits = largest_bits(c + (size_t) i * D, D);

		if (i % LB_SCAN_BLOCK == 0 && LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		if (bits >= 0x7f800000u)
			return LB_NOT_FINITE;
		*largest_all = bits > *largest_all ? bits : *largest_all;
		start[BUCKET_OF(bits)]++;
	}
	for (int b = 0; b < N_BUCKETS; b++)
	{
		int32_t		count = start[b];

		start[b] = at;
		at += count;
	}
	for (int64_t i = 0; i < n; i++)
	{
		if (i % LB_SCAN_BLOCK == 0 && LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		index->order[start[BUCKET_OF(largest_bits(c + (size_t) i * D, D))]++] =
			(int32_t) i;
	}
	return LB_OK;
}

typedef struct Build
{
	Index		index;
	const float *c;
	int64_t		n;
	int			D;
	LbCancel	cancel;
} Build;

static void
build_group(const Build *build, int64_t group)
{
	const Index *index = &build->index;
	int			D = build->D;
	uint8_t    *codes = index->codes +
		(size_t) group * index->n_quads * LB_GROUP * 4;
	int			in_use = build->n - group * LB_GROUP < LB_GROUP ?
		(int) (build->n - group * LB_GROUP) : LB_GROUP;
	const float *rows[LB_GROUP];
	uint32_t	largest = 0;
	double		norm = 0;
	double		rest = 0;
	float		scale;

	memset(codes, CODE_ZERO, (size_t) index->n_quads * LB_GROUP * 4);
	for (int l = 0; l < in_use; l++)
	{
		uint32_t	bits;

		rows[l] = build->c +
			(size_t) index->order[group * LB_GROUP + l] * D;
		bits = largest_bits(rows[l], D);
		largest = bits > largest ? bits : largest;
	}
	scale = float_from_bits(largest) / CODE_MAX;
	if (scale < SMALLEST_SCALE)
		scale = SMALLEST_SCALE;
	for (int l = 0; l < in_use; l++)
	{
		double		norm2 = 0;
		double		rest2 = 0;

		for (int d = 0; d < D; d++)
		{
			float		x = rows[l][d];
			float		code = (x / scale + ROUNDER) - ROUNDER;
			double		r = x - (double) scale * code;

			codes[(d / 4 * LB_GROUP + l) * 4 + d % 4] =
				(uint8_t) (CODE_ZERO + (int) code);
			norm2 += (double) x * x;
			rest2 += r * r;
		}
		norm = norm2 > norm ? norm2 : norm;
		rest = rest2 > rest ? rest2 : rest;
	}
	index->scale[group] = scale;
	index->norm[group] = rounded_up(sqrt(norm));
	index->rest[group] = rounded_up(sqrt(rest));
}

static void
build_groups(void *arg, int worker, int n_workers)
{
	Build	   *build = arg;
	int64_t		from;
	int64_t		to;

	lb_threads_part(&from, &to, build->index.n_groups, worker, n_workers);
	for (int64_t g = from; g < to; g++)
	{
		if (LB_CANCEL_REQUESTED(build->cancel))
			return;
		build_group(build, g);
	}
}

LbStatus
lb_index_build(void *block, const float *c, int64_t n, int D, LbThreads *pool,
			   LbCancel cancel)
{
	IndexHeader *header = block;
	Build		build = {.c = c, .n = n, .D = D, .cancel = cancel};
	uint32_t	largest;
	LbStatus	status;

	if (n < 0 || n > LB_SCAN_MAX_N || D < 1 || D > LB_SCAN_MAX_D)
		return LB_BAD_ARGUMENT;
	plan(header, n, D);
	point(&build.index, block);
	/* what no group fills: alignment, so that equal rows give equal blocks */
	memset((char *) block + header->order_at, 0,
		   header->codes_at - header->order_at);
	status = sort_rows(&build.index, &largest, c, n, D, cancel);
	if (status != LB_OK)
		return status;
	header->usable = float_from_bits(largest) <= LARGEST_EXACT;
	/* a finite candidate that is too large has no codes to speak of */
	if (!header->usable)
		return LB_OK;
	lb_threads_run(pool, build_groups, &build);
	return LB_CANCEL_REQUESTED(cancel) ? LB_CANCELLED : LB_OK;
}

/*
 * Scanning
 */

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

size_t
lb_index_scan_bytes(int64_t n, int64_t k)
{
	return LB_ALIGN_UP(sizeof(Scan)) +
		LB_ALIGN_UP(lb_top_room(k, n) * sizeof(uint64_t));
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
	const LbScanKernel *kernel = lb_scan_kernel();
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

/* raises T from the lower bounds and drops what is below it */
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
	Scan	   *scan = scratch;

	if (header->n != set->n || header->D != set->D || !header->usable)
		return NULL;
	point(&scan->index, header);
	scan->q = q;
	scan->set = set;
	scan->top = top;
	scan->near = (uint64_t *) ((char *) scratch + LB_ALIGN_UP(sizeof(Scan)));
	scan->n_near = 0;
	scan->room = lb_top_room(top->k, set->n);
	scan->threshold = -INFINITY;
	return prepare_query(scan) ? scan : NULL;
}

void
lb_index_block(LbIndexScan *scan, const LbScanKernel *kernel, int64_t group)
{
	int64_t		left = scan->index.n_groups - group;
	int			n_groups = left < LB_GROUPS_PER_BLOCK ?
		(int) left : LB_GROUPS_PER_BLOCK;
	int32_t		places[LB_SCAN_BLOCK];
	int32_t		dots[LB_SCAN_BLOCK];
	int32_t		floors[LB_GROUPS_PER_BLOCK];
	int			n;

	set_floors(floors, scan, group);
	n = kernel->scan_codes(places, dots, scan->index.codes +
						   (size_t) group * scan->index.n_quads * LB_GROUP * 4,
						   n_groups, scan->index.n_quads, scan->qcodes,
						   scan->start, floors);
	for (int i = 0; i < n; i++)
		take_near(scan, group * LB_GROUP + places[i], dots[i]);
}

void
lb_index_end(LbIndexScan *scan)
{
	thin_near(scan);
	score_near(scan);
}
