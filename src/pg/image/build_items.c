/*
 * build_items.c
 *		The parts of a serving image that tell of recordings: their vectors and
 *		the index of them, keys, popularity, categories, neighbours.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "executor/spi.h"
#include "utils/timestamp.h"

#include "core/scan/lb_scan.h"

#include "pg/image/build.h"
#include "pg/image/image.h"
#include "pg/listens/dataset.h"
#include "pg/listens/weeks.h"
#include "pg/model/neighbours.h"
#include "pg/server/kernels.h"
#include "pg/server/time.h"
#include "pg/store/tensors.h"

/* A candidate and the first bytes of its key. */
typedef struct KeyPlace
{
	uint64		head;
	int32		candidate;
} KeyPlace;

/* Recordings of a bucket, about. */
#define BUCKET_SIZE 8

static int
compare_places(const void *a, const void *b, void *keys)
{
	const KeyPlace *x = a;
	const KeyPlace *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return memcmp(((const pg_uuid_t *) keys)[x->candidate].data,
				  ((const pg_uuid_t *) keys)[y->candidate].data, UUID_LEN);
}

/*
 * Candidates in the order of their keys, heads of these, and where the heads
 * of each bucket begin (2^bits + 1).  UUIDs are mostly random, so buckets by
 * their first bits have a few each, and sorting those is quick; were all in
 * one bucket, it would be a sort as any other.
 */
static void
sort_recordings(int32 *order, uint64 *heads, int32 *buckets, int bits,
				const pg_uuid_t *keys, int64 n)
{
	KeyPlace   *places = palloc_extended(n * sizeof(KeyPlace),
										 MCXT_ALLOC_HUGE);
	int64		n_buckets = INT64CONST(1) << bits;
	int32	   *next;

	memset(buckets, 0, (n_buckets + 1) * sizeof(int32));
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		buckets[lbrec_key_bucket(lbrec_key_head(&keys[i]), bits) + 1]++;
	}
	for (int64 b = 0; b < n_buckets; b++)
		buckets[b + 1] += buckets[b];
	next = palloc_extended(n_buckets * sizeof(int32), MCXT_ALLOC_HUGE);
	memcpy(next, buckets, n_buckets * sizeof(int32));
	for (int64 i = 0; i < n; i++)
	{
		uint64		head = lbrec_key_head(&keys[i]);
		KeyPlace   *place = &places[next[lbrec_key_bucket(head, bits)]++];

		CHECK_FOR_INTERRUPTS();
		place->head = head;
		place->candidate = (int32) i;
	}
	for (int64 b = 0; b < n_buckets; b++)
	{
		CHECK_FOR_INTERRUPTS();
		if (buckets[b + 1] - buckets[b] > 1)
			qsort_arg(places + buckets[b], buckets[b + 1] - buckets[b],
					  sizeof(KeyPlace), compare_places,
					  unconstify(pg_uuid_t *, keys));
	}
	for (int64 i = 0; i < n; i++)
	{
		order[i] = places[i].candidate;
		heads[i] = places[i].head;
	}
	pfree(places);
	pfree(next);
}

typedef struct Lengths
{
	float	   *lengths;
	const float *vectors;
	int			D;
} Lengths;

static bool
measure(void *arg, int worker, int64 from, int64 to)
{
	Lengths    *l = arg;

	for (int64 i = from; i < to; i++)
	{
		const float *v = l->vectors + (Size) i * l->D;
		double		sum = 0;

		for (int d = 0; d < l->D; d++)
			sum += (double) v[d] * v[d];
		l->lengths[i] = (float) sqrt(sum);
	}
	return true;
}

/* Cosines need the lengths of vectors. */
static void
measure_candidates(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	Lengths		l = {.lengths = lbrec_part(b, h->lengths),
		.vectors = lbrec_part(b, h->candidates),
	.D = h->D};
	LbStatus	status;

	do
	{
		CHECK_FOR_INTERRUPTS();
		status = lb_threads_for(b->pool, b->row->n_recordings, 1, 256, measure,
								&l, lbrec_cancel_flag());
	} while (lbrec_again(status == LB_CANCELLED));
	h->shortest = h->least = INFINITY;
	h->longest = 0;
	for (int64 i = 0; i < b->row->n_recordings; i++)
	{
		h->shortest = Min(h->shortest, l.lengths[i]);
		h->longest = Max(h->longest, l.lengths[i]);
		if (l.lengths[i] > 0)
			h->least = Min(h->least, l.lengths[i]);
	}
}

void
lbrec_take_recordings(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	int64		n = b->row->n_recordings;
	TensorShape shape;
	LbStatus	status;

	h->recording_keys = lbrec_take_tensor(b, "recording_key", TENSOR_UUID, n, 1,
										  &shape);
	h->recording_listens = lbrec_take_tensor(b, "recording_listens", TENSOR_INT8,
											 n, 1, &shape);
	h->recording_order = lbrec_reserve_part(b, n * sizeof(int32));
	h->recording_heads = lbrec_reserve_part(b, n * sizeof(uint64));
	h->bucket_bits = 0;
	while (n >> h->bucket_bits > BUCKET_SIZE)
		h->bucket_bits++;
	h->recording_buckets = lbrec_reserve_part(b, ((INT64CONST(1) << h->bucket_bits) + 1) *
											  sizeof(int32));
	h->candidates = lbrec_take_tensor(b, "candidate", TENSOR_FLOAT4, n, h->D,
									  &shape);
	h->index = lbrec_reserve_part(b, lb_index_bytes(n, h->D));
	h->lengths = lbrec_reserve_part(b, n * sizeof(float));
	if (!b->loading)
		return;
	sort_recordings(lbrec_part(b, h->recording_order),
					lbrec_part(b, h->recording_heads),
					lbrec_part(b, h->recording_buckets), h->bucket_bits,
					lbrec_part(b, h->recording_keys), n);
	do
	{
		CHECK_FOR_INTERRUPTS();
		status = lb_index_build(lbrec_part(b, h->index),
								lbrec_part(b, h->candidates), n, h->D,
								b->pool, lbrec_cancel_flag());
	} while (lbrec_again(status == LB_CANCELLED));
	lbrec_check_status(status, "a candidate's vector");
	measure_candidates(b);
}

/* Who was played when, and what is popular now; see popularity.c. */
void
lbrec_take_popularity(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	int64		n = b->row->n_recordings;
	int64		now = GetCurrentTimestamp() +
		LBREC_UNIX_EPOCH;
	const int64 *offsets;
	const int32 *counts;
	float	   *popular;
	TensorShape shape;

	h->popular = lbrec_reserve_part(b, n * sizeof(float));
	h->week_offsets = lbrec_take_tensor(b, "recording_week_starts", TENSOR_INT8,
										n + 1, 1, &shape);
	h->week_counts = lbrec_take_tensor(b, "recording_weeks", TENSOR_INT4, -1, 2,
									   &shape);
	if (!b->loading)
		return;
	popular = lbrec_part(b, h->popular);
	offsets = lbrec_part(b, h->week_offsets);
	counts = lbrec_part(b, h->week_counts);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (offsets[i] < 0 || offsets[i] > offsets[i + 1] ||
			offsets[i + 1] > shape.rows)
			lbrec_bad_part(b, "recording_week_starts");
	}
	h->first_week = PG_INT32_MAX;
	h->last_week = PG_INT32_MIN;
	for (int64 i = 0; i < shape.rows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		h->first_week = Min(h->first_week, counts[2 * i]);
		h->last_week = Max(h->last_week, counts[2 * i]);
	}
	/* a wrong clock may have told of listens in the future */
	h->popular_week = Max(Min(h->last_week, lbrec_week_of(now)),
						  h->first_week);
	lbrec_weigh_weeks(popular, offsets, counts, n, h->popular_week);
}

/*
 * Columns that put each recording into one category: a list may have so many
 * of each.
 */
void
lbrec_take_groupings(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	SPITupleTable *rows;
	uint64		n;

	lbrec_select_config(b,
						"SELECT i.value OPERATOR(pg_catalog.->>) 'column' "
						"FROM lbrec.model AS m, pg_catalog.jsonb_array_elements("
						"m.config OPERATOR(pg_catalog.->) 'candidate') AS i (value) "
						"WHERE m.id OPERATOR(pg_catalog.=) $1 "
						"AND i.value OPERATOR(pg_catalog.->>) 'kind' OPERATOR(pg_catalog.=) 'category'");
	rows = SPI_tuptable;
	n = SPI_processed;
	if (n > MAX_FEATURES)
		lbrec_bad_part(b, "config");
	h->n_groupings = (int32) n;
	for (uint64 i = 0; i < n; i++)
	{
		ImageGrouping *g = &h->groupings[i];
		TensorShape shape;

		SPI_tuptable = rows;
		memset(g, 0, sizeof(ImageGrouping));
		strlcpy(g->column, lbrec_config_text(b, i, 1), sizeof(g->column));
		g->codes = lbrec_take_tensor(b, psprintf("%s_codes", g->column),
									 TENSOR_INT4, -1, 1, &shape);
		g->n = shape.rows;
		for (int64 c = 0; b->loading && c < g->n; c++)
		{
			CHECK_FOR_INTERRUPTS();
			if (((const int32 *) lbrec_part(b, g->codes))[c] < 0)
				lbrec_bad_part(b, g->column);
		}
	}
	SPI_freetuptable(rows);
}

/*
 * Rows of neighbours.  They are stored as counts, which a later training adds
 * to; scores need weights.
 */
void
lbrec_take_neighbours(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	int64		n = b->row->n_recordings;
	TensorShape shape;
	const int64 *offsets;
	const int32 *codes;
	float	   *sums;
	int64		entries;

	if (!h->has_neighbours)
		return;
	h->neighbour_offsets = lbrec_take_tensor(b, "neighbour_offsets", TENSOR_INT8,
											 n + 2, 1, &shape);
	h->neighbour_codes = lbrec_take_tensor(b, "neighbour_codes", TENSOR_INT4, -1, 1,
										   &shape);
	entries = shape.rows;
	h->neighbour_weights = lbrec_take_tensor(b, "neighbour_counts", TENSOR_FLOAT4,
											 entries, 1, &shape);
	if (!b->loading)
		return;
	offsets = lbrec_part(b, h->neighbour_offsets);
	codes = lbrec_part(b, h->neighbour_codes);
	for (int64 r = 0; r <= n; r++)
	{
		CHECK_FOR_INTERRUPTS();
		if (offsets[r] < 0 || offsets[r] > offsets[r + 1] ||
			offsets[r + 1] > entries)
			lbrec_bad_part(b, "neighbour_offsets");
	}
	for (int64 i = 0; i < entries; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (codes[i] < 1 || codes[i] > n)
			lbrec_bad_part(b, "neighbour_codes");
	}
	if (!lbrec_tensor_shape(b->row, "neighbour_sums", &shape) ||
		shape.type != TENSOR_FLOAT4 || shape.rows != n + 1 || shape.cols != 1)
		lbrec_bad_part(b, "neighbour_sums");
	sums = palloc_extended(lbrec_tensor_size(&shape), MCXT_ALLOC_HUGE);
	lbrec_load_tensor(b->row, "neighbour_sums", &shape, (char *) sums);
	lbrec_weigh_neighbours(lbrec_part(b, h->neighbour_weights), n, offsets, codes,
						   lbrec_part(b, h->neighbour_weights), sums);
	pfree(sums);
}
