/*
 * feature_codes.c
 *		Codes and ranges of further columns, once all rows are read.
 *
 * Numbers are normalised, or cut into buckets of equal count, each with an
 * embedding; codes are renumbered so that they do not depend on the order of
 * rows.
 */
#include "pg/listens/feature_codes.h"

#include <math.h>

#include "pg/listens/dataset.h"
#include "pg/listens/vocabulary.h"
#include "pg/server/search.h"

/* Marks the keys that at least one entity has. */
static bool *
used_keys(const Feature *f)
{
	bool	   *used = palloc_extended(lbrec_vocabulary_size(f->keys) + 1,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (int64 e = 0; e < f->n; e++)
	{
		CHECK_FOR_INTERRUPTS();
		if (f->kind == FEATURE_CATEGORY)
			used[f->codes[e]] = true;
		else
			for (int i = 0; i < f->lengths[e]; i++)
				used[f->bag_codes[f->starts[e] + i]] = true;
	}
	return used;
}

/* Joins the bags into one array, by the new codes of entities and keys. */
static void
order_bags(Feature *f, const int64 *from, const int32 *keys,
		   MemoryContext context)
{
	int64		total = 0;
	int64		at = 0;
	int32	   *codes;

	for (int64 e = 0; e < f->n; e++)
		total += f->lengths[e];
	f->offsets = MemoryContextAllocHuge(context, (f->n + 1) * sizeof(int64));
	codes = MemoryContextAllocHuge(context, Max(total, 1) * sizeof(int32));
	f->longest_bag = 0;
	for (int64 e = 0; e < f->n; e++)
	{
		int32		length = f->lengths[from[e]];

		CHECK_FOR_INTERRUPTS();
		f->offsets[e] = at;
		f->longest_bag = Max(f->longest_bag, length);
		for (int i = 0; i < length; i++)
			codes[at++] = keys[f->bag_codes[f->starts[from[e]] + i]];
	}
	f->offsets[f->n] = at;
	f->bag_codes = codes;
	f->n_bag_codes = f->bag_allocated = total;
}

/*
 * Gives entities new codes (map, by the old ones) and numbers the keys in the
 * order of their bytes; keys that no entity has are dropped.
 */
void
lbrec_order_feature(Feature *f, const int32 *map, MemoryContext context)
{
	int64	   *from = palloc_extended(Max(f->n, 1) * sizeof(int64),
									   MCXT_ALLOC_HUGE);
	int32	   *keys = NULL;
	void	   *values = NULL;

	for (int64 e = 0; e < f->n; e++)
		from[map[e]] = e;
	if (f->keys)
	{
		bool	   *used = used_keys(f);

		keys = lbrec_vocabulary_sort(f->keys, f->n_known_keys, used);
		pfree(used);
	}
	if (f->kind == FEATURE_BAG)
		order_bags(f, from, keys, context);
	else if (f->n > 0)
	{
		values = palloc_extended(f->n * sizeof(int32), MCXT_ALLOC_HUGE);
		for (int64 e = 0; e < f->n; e++)
			if (f->kind == FEATURE_CATEGORY)
				((int32 *) values)[e] = keys[f->codes[from[e]]];
			else
				((float *) values)[e] = f->numbers[from[e]];
		memcpy(f->kind == FEATURE_CATEGORY ? (void *) f->codes :
			   (void *) f->numbers, values, f->n * sizeof(int32));
		pfree(values);
	}
	if (keys)
		pfree(keys);
	pfree(from);
}

/* Computes mean and deviation of the known values. */
static void
summarize_numbers(Feature *f)
{
	double		sum = 0;
	double		squares = 0;
	int64		known = 0;

	for (int64 i = 0; i < f->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!isnan(f->numbers[i]))
		{
			sum += f->numbers[i];
			known++;
		}
	}
	f->mean = known > 0 ? sum / known : 0;
	for (int64 i = 0; i < f->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!isnan(f->numbers[i]))
			squares += (f->numbers[i] - f->mean) * (f->numbers[i] - f->mean);
	}
	f->deviation = known > 0 ? sqrt(squares / known) : 0;
	if (!(f->deviation > 0))
		f->deviation = 1;
}

static int
compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

/*
 * Computes edges of buckets with about equal counts.  Equal values share a
 * bucket, so there may be fewer buckets than requested.
 */
static void
find_edges(Feature *f, int buckets, MemoryContext context)
{
	int64		known = 0;
	float	   *sorted = palloc_extended(Max(f->n, 1) * sizeof(float),
										 MCXT_ALLOC_HUGE);

	for (int64 i = 0; i < f->n; i++)
		if (!isnan(f->numbers[i]))
			sorted[known++] = f->numbers[i];
	qsort(sorted, known, sizeof(float), compare_floats);
	f->edges = MemoryContextAlloc(context, buckets * sizeof(float));
	f->n_edges = 0;
	for (int b = 1; b < buckets && known > 0; b++)
	{
		float		edge = sorted[known * b / buckets];

		if (edge > sorted[0] &&
			(f->n_edges == 0 || edge > f->edges[f->n_edges - 1]))
			f->edges[f->n_edges++] = edge;
	}
	pfree(sorted);
}

/*
 * Returns 0 for NaN, else 1 + the number of edges that do not exceed the
 * value.
 */
int32
lbrec_bucket_of(const float *edges, int n_edges, float value)
{
	int64		at;

	if (isnan(value))
		return 0;
	LBREC_SEARCH(at, 0, n_edges, edges[at] <= value);
	return 1 + (int32) at;
}

/*
 * Call this when all rows are read.  A bucketed number becomes a category
 * whose codes are the buckets; it has no vocabulary.
 */
void
lbrec_finish_features(Dataset *data, int buckets)
{
	for (int i = 0; i < data->n_features; i++)
	{
		Feature    *f = &data->features[i];

		if (f->kind != FEATURE_NUMBER)
			continue;
		if (!f->bucketed)
		{
			if (!f->scaled)
				summarize_numbers(f);
			continue;
		}
		/* a warm start brings the edges of the older model's buckets */
		if (f->edges == NULL)
			find_edges(f, buckets, data->context);
		f->codes = MemoryContextAllocHuge(data->context,
										  Max(f->n, 1) * sizeof(int32));
		for (int64 e = 0; e < f->n; e++)
		{
			CHECK_FOR_INTERRUPTS();
			f->codes[e] = lbrec_bucket_of(f->edges, f->n_edges,
										  f->numbers[e]);
		}
		f->kind = FEATURE_CATEGORY;
	}
}

/* Returns the rows of a feature's embedding table; 0 for a plain number. */
int64
lbrec_feature_rows(const Feature *f)
{
	if (f->kind == FEATURE_NUMBER)
		return 0;
	return f->keys ? (int64) lbrec_vocabulary_size(f->keys) + 1 :
		f->n_edges + 2;
}

/* Joins the lists of the entities in from (n). */
static void
move_bags(Feature *f, const int64 *from, int64 n, MemoryContext context)
{
	int64	   *offsets = MemoryContextAllocHuge(context,
												 (n + 1) * sizeof(int64));
	int32	   *codes = MemoryContextAllocHuge(context,
											   Max(f->n_bag_codes, 1) *
											   sizeof(int32));
	int64		at = 0;

	for (int64 e = 0; e < n; e++)
	{
		int64		start = f->offsets[from[e]];
		int64		length = f->offsets[from[e] + 1] - start;

		CHECK_FOR_INTERRUPTS();
		offsets[e] = at;
		if (length > 0)
			memcpy(codes + at, f->bag_codes + start, length * sizeof(int32));
		at += length;
	}
	offsets[n] = at;
	f->offsets = offsets;
	f->bag_codes = codes;
	f->n_bag_codes = at;
}

/*
 * Gives the entities of a finished feature new codes (map, by the old ones, 1
 * to n); those with 0 are dropped.
 */
void
lbrec_renumber_feature(Feature *f, const int32 *map, int32 n,
					   MemoryContext context)
{
	int64	   *from;

	if (f->n == 0)
		return;
	from = palloc_extended(((Size) n + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	from[0] = 0;
	for (int64 e = 1; e < f->n; e++)
		if (map[e] != 0)
			from[map[e]] = e;
	if (f->kind == FEATURE_BAG)
		move_bags(f, from, n + 1, context);
	if (f->codes)
	{
		int32	   *codes = MemoryContextAllocHuge(context, ((Size) n + 1) *
												   sizeof(int32));

		for (int64 e = 0; e <= n; e++)
			codes[e] = f->codes[from[e]];
		f->codes = codes;
	}
	if (f->numbers)
	{
		float	   *numbers = MemoryContextAllocHuge(context, ((Size) n + 1) *
													 sizeof(float));

		for (int64 e = 0; e <= n; e++)
			numbers[e] = f->numbers[from[e]];
		f->numbers = numbers;
	}
	f->n = (int64) n + 1;
	pfree(from);
}
