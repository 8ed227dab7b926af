/*
 * lb_index_build.c
 *		Builds the int8 index that lb_index.c scans.
 */
#include "core/scan/lb_index.h"

#include "core/scan/lb_index_block.h"

#define SMALLEST_SCALE 0x1p-60f

/*
 * Sort key: exponent and seven bits of the largest component, descending.  A
 * counting sort suffices, because a group needs similar rows, not sorted ones.
 */
#define N_BUCKETS 32768
#define BUCKET_OF(bits) (N_BUCKETS - 1 - ((bits) >> 16))

typedef struct Build
{
	Index		index;
	uint32_t   *bits;			/* (n): bits of the largest components, stored
								 * where the codes will be */
	const float *c;
	int64_t		n;
	int			D;
	LbCancel	cancel;
} Build;

static bool
find_bits(void *arg, int worker, int64_t from, int64_t to)
{
	Build	   *build = arg;

	for (int64_t i = from; i < to; i++)
		build->bits[i] = largest_bits(build->c + (size_t) i * build->D,
									  build->D);
	return true;
}

/*
 * fills index->order; *largest_all gets the bits of the largest component of
 * all
 */
static LbStatus
sort_rows(Build *build, uint32_t *largest_all, LbThreads *pool)
{
	const uint32_t *bits = build->bits;
	int32_t		start[N_BUCKETS];
	int32_t		at = 0;

	LbStatus	status = lb_threads_for(pool, build->n, 1, LB_SCAN_BLOCK,
										find_bits, build, build->cancel);

	if (status != LB_OK)
		return status;
	memset(start, 0, sizeof(start));
	*largest_all = 0;
	for (int64_t i = 0; i < build->n; i++)
	{
		if (bits[i] >= 0x7f800000u)
			return LB_NOT_FINITE;
		*largest_all = bits[i] > *largest_all ? bits[i] : *largest_all;
		start[BUCKET_OF(bits[i])]++;
	}
	for (int b = 0; b < N_BUCKETS; b++)
	{
		int32_t		count = start[b];

		start[b] = at;
		at += count;
	}
	for (int64_t i = 0; i < build->n; i++)
	{
		if (i % LB_SCAN_BLOCK == 0 && LB_CANCEL_REQUESTED(build->cancel))
			return LB_CANCELLED;
		build->index.order[start[BUCKET_OF(bits[i])]++] = (int32_t) i;
	}
	return LB_OK;
}

/* Number of sums computed side by side, for speed. */
#define LANES 4

/*
 * Writes C + 128 for a row x (D) with scale s to codes; *norm2 and *rest2
 * become the squares of |c| and |r|.  Plain loops, so that compilers use
 * vectors.
 */
static void
quantise_row(uint8_t *codes, double *norm2, double *rest2, const float *x,
			 float scale, int D)
{
	float		rounded[LB_SCAN_MAX_D];
	double		norm[LANES] = {0};
	double		rest[LANES] = {0};
	int			d;

	for (d = 0; d < D; d++)
		rounded[d] = (x[d] / scale + ROUNDER) - ROUNDER;
	for (d = 0; d < D; d++)
		codes[d] = (uint8_t) (CODE_ZERO + (int) rounded[d]);
	for (d = 0; d + LANES <= D; d += LANES)
		for (int j = 0; j < LANES; j++)
		{
			double		v = x[d + j];
			double		r = v - (double) scale * rounded[d + j];

			norm[j] += v * v;
			rest[j] += r * r;
		}
	for (; d < D; d++)
	{
		double		r = x[d] - (double) scale * rounded[d];

		norm[0] += (double) x[d] * x[d];
		rest[0] += r * r;
	}
	*norm2 = *rest2 = 0;
	for (int j = 0; j < LANES; j++)
	{
		*norm2 += norm[j];
		*rest2 += rest[j];
	}
}

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
	uint8_t		row_codes[LB_SCAN_MAX_D + 3];
	uint32_t	largest = 0;
	double		norm = 0;
	double		rest = 0;
	float		scale;

	if (in_use < LB_GROUP)
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
		double		norm2;
		double		rest2;

		memset(row_codes + D, CODE_ZERO, 3);
		quantise_row(row_codes, &norm2, &rest2, rows[l], scale, D);
		for (int k = 0; k < index->n_quads; k++)
			memcpy(codes + (k * LB_GROUP + l) * 4, row_codes + k * 4, 4);
		norm = norm2 > norm ? norm2 : norm;
		rest = rest2 > rest ? rest2 : rest;
	}
	index->scale[group] = scale;
	index->norm[group] = rounded_up(sqrt(norm));
	index->rest[group] = rounded_up(sqrt(rest));
}

static bool
build_groups(void *arg, int worker, int64_t from, int64_t to)
{
	for (int64_t g = from; g < to; g++)
		build_group(arg, g);
	return true;
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
	lb_index_plan(header, n, D);
	lb_index_point(&build.index, block);
	/* clears the alignment gaps, so that equal rows give equal blocks */
	memset((char *) block + header->order_at, 0,
		   header->codes_at - header->order_at);
	build.bits = (uint32_t *) build.index.codes;
	status = sort_rows(&build, &largest, pool);
	if (status != LB_OK)
		return status;
	header->usable = float_from_bits(largest) <= LARGEST_EXACT;
	/* a candidate too large for codes makes the index unusable */
	if (!header->usable)
		return LB_OK;
	return lb_threads_for(pool, build.index.n_groups, 1, LB_GROUPS_PER_BLOCK,
						  build_groups, &build, cancel);
}
