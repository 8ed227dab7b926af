/*
 * image.c
 *		Builds serving images.
 *
 * Building walks the parts of the image twice through one function: first to
 * learn each part's size and place, then, with the block at hand, to load it.
 */
#include "image.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/lb_scan.h"
#include "neighbours.h"
#include "popularity.h"

typedef struct Builder
{
	const ModelRow *row;
	ImageHeader *header;		/* the block, or a header alone while sizing */
	bool		loading;
	Size		used;
} Builder;

static void
bad_shape(const Builder *b, const char *tensor)
{
	lbrec_damaged(b->row, tensor, 0,
				  "The tensor is missing, or its shape does not fit the model's.");
}

/* Sets aside bytes of the image. */
static int64
reserve(Builder *b, Size bytes)
{
	int64		at = (int64) b->used;

	b->used += LB_ALIGN_UP(bytes);
	return at;
}

static void *
at(const Builder *b, int64 offset)
{
	return (char *) b->header + offset;
}

/*
 * A tensor of the given type becomes a part of the image.  rows and cols say
 * what is expected; -1 takes what is stored.
 */
static int64
take_tensor(Builder *b, const char *name, TensorType type, int64 rows,
			int cols, TensorShape *shape)
{
	int64		place;

	if (!lbrec_tensor_shape(b->row, name, shape) || shape->type != type ||
		(rows >= 0 && shape->rows != rows) ||
		(cols >= 0 && shape->cols != cols))
		bad_shape(b, name);
	place = reserve(b, lbrec_tensor_size(shape));
	if (b->loading)
		lbrec_load_tensor(b->row, name, shape, at(b, place));
	return place;
}

/* The values of a column that belongs to users. */
static void
take_feature(Builder *b, ImageInput *input, const char *column)
{
	TensorShape shape;
	char	   *codes = psprintf("%s_codes", column);

	switch (input->feature_kind)
	{
		case FEATURE_CATEGORY:
			input->codes = take_tensor(b, codes, TENSOR_INT4, -1, 1, &shape);
			input->n = shape.rows;
			break;
		case FEATURE_NUMBER:
			input->codes = take_tensor(b, psprintf("%s_numbers", column),
									   TENSOR_FLOAT4, -1, 1, &shape);
			input->n = shape.rows;
			break;
		case FEATURE_BAG:
			input->offsets = take_tensor(b, psprintf("%s_offsets", column),
										 TENSOR_INT8, -1, 1, &shape);
			input->n = shape.rows - 1;
			input->codes = take_tensor(b, codes, TENSOR_INT4, -1, 1, &shape);
			break;
	}
	if (input->n < 1)
		bad_shape(b, codes);
	if (!b->loading)
		return;

	/* codes index a table at serving time: none may point outside */
	if (input->feature_kind == FEATURE_CATEGORY)
		shape.rows = input->n;
	if (input->feature_kind != FEATURE_NUMBER)
		for (int64 i = 0; i < shape.rows; i++)
		{
			int32		code = ((int32 *) at(b, input->codes))[i];

			if (code < 0 || code >= input->rows)
				bad_shape(b, codes);
		}
	if (input->feature_kind == FEATURE_BAG)
	{
		const int64 *offsets = at(b, input->offsets);

		for (int64 i = 0; i < input->n; i++)
			if (offsets[i] < 0 || offsets[i] > offsets[i + 1] ||
				offsets[i + 1] > shape.rows)
				bad_shape(b, codes);
	}
}

/* SPI_getvalue with a column that must not be null. */
static char *
text_value(const Builder *b, uint64 row, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row],
									 SPI_tuptable->tupdesc, column);

	if (value == NULL)
		lbrec_damaged(b->row, "config", 0, "A setting is missing.");
	return value;
}

static void
select_config(const Builder *b, const char *sql)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(b->row->id)};

	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read a model's config");
}

static void
take_inputs(Builder *b)
{
	ImageHeader *h = b->header;
	SPITupleTable *rows;
	uint64		n;

	select_config(b,
				  "SELECT i.value OPERATOR(pg_catalog.->>) 'source', "
				  "i.value OPERATOR(pg_catalog.->>) 'table', "
				  "i.value OPERATOR(pg_catalog.->>) 'column', "
				  "i.value OPERATOR(pg_catalog.->>) 'kind', "
				  "i.value OPERATOR(pg_catalog.->>) 'mean', "
				  "i.value OPERATOR(pg_catalog.->>) 'deviation' "
				  "FROM lbrec.model AS m, pg_catalog.jsonb_array_elements("
				  "m.config OPERATOR(pg_catalog.->) 'query') "
				  "WITH ORDINALITY AS i (value, place) "
				  "WHERE m.id OPERATOR(pg_catalog.=) $1 ORDER BY i.place");
	rows = SPI_tuptable;
	n = SPI_processed;
	if (n < 1 || n > LB_MAX_INPUTS)
		bad_shape(b, "config");
	h->n_inputs = (int32) n;
	for (uint64 i = 0; i < n; i++)
	{
		ImageInput *input = &h->inputs[i];
		TensorShape shape;

		SPI_tuptable = rows;
		memset(input, 0, sizeof(ImageInput));
		input->source = lbrec_source_by_name(text_value(b, i, 1));
		input->kind = LB_INPUT_EMBEDDING;
		input->feature_kind = FEATURE_CATEGORY;
		if (lbrec_source_is_number(input->source))
			input->kind = LB_INPUT_NUMBER;
		else if (input->source == SOURCE_HISTORY)
			input->kind = LB_INPUT_BAG;
		else if (input->source == SOURCE_FEATURE)
		{
			const char *kind = text_value(b, i, 4);

			if (strcmp(kind, "number") == 0)
			{
				input->kind = LB_INPUT_NUMBER;
				input->feature_kind = FEATURE_NUMBER;
				input->mean = atof(text_value(b, i, 5));
				input->deviation = atof(text_value(b, i, 6));
			}
			else if (strcmp(kind, "bag") == 0)
			{
				input->kind = LB_INPUT_BAG;
				input->feature_kind = FEATURE_BAG;
			}
		}
		/* where inputs are summed, a number is one row times the number */
		if (input->kind == LB_INPUT_NUMBER && h->summed)
			input->kind = LB_INPUT_BAG;
		if (input->kind != LB_INPUT_NUMBER)
		{
			int64		expected = -1;

			if (input->source == SOURCE_USER)
				expected = b->row->n_users + 1;
			else if (input->source == SOURCE_TIME_BUCKET)
				expected = h->time.buckets + 1;
			else if (input->source == SOURCE_HISTORY)
				expected = b->row->n_recordings + 1;
			input->table = take_tensor(b, text_value(b, i, 2), TENSOR_FLOAT4,
									   expected, -1, &shape);
			input->rows = shape.rows;
			input->cols = shape.cols;
		}
		if (input->source == SOURCE_FEATURE)
		{
			SPI_tuptable = rows;
			take_feature(b, input, text_value(b, i, 3));
		}
	}
	SPI_tuptable = rows;
	SPI_freetuptable(rows);
}

static void
take_layers(Builder *b)
{
	ImageHeader *h = b->header;
	int			in = 0;

	for (int i = 0; i < h->n_inputs; i++)
	{
		if (h->summed && i > 0 && h->inputs[i].cols != in)
			bad_shape(b, "config");
		in = h->summed ? h->inputs[i].cols : in +
			(h->inputs[i].kind == LB_INPUT_NUMBER ? 1 : h->inputs[i].cols);
	}
	if (in % h->groups != 0)
		bad_shape(b, "config");
	for (int l = 0; l < h->n_layers; l++)
	{
		TensorShape shape;

		h->kernels[l] = take_tensor(b, psprintf("query_kernel_%d", l),
									TENSOR_FLOAT4, in, -1, &shape);
		in = h->layers[l] = shape.cols;
		h->biases[l] = take_tensor(b, psprintf("query_bias_%d", l),
								   TENSOR_FLOAT4, 1, in, &shape);
	}
	h->D = in;
}

typedef struct UserKey
{
	int64		key;
	int32		code;
} UserKey;

static int
compare_user_keys(const void *a, const void *b)
{
	int64		x = ((const UserKey *) a)->key;
	int64		y = ((const UserKey *) b)->key;

	/* millions of keys take longer to sort than a cancel may wait */
	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

/* Users are stored by code and looked up by key. */
static void
take_users(Builder *b)
{
	ImageHeader *h = b->header;
	int64		n = b->row->n_users;
	TensorShape shape;
	UserKey    *pairs;
	int64	   *keys;

	h->user_keys = take_tensor(b, "user_key", TENSOR_INT8, n, 1, &shape);
	h->user_codes = reserve(b, n * sizeof(int32));
	if (!b->loading)
		return;
	keys = at(b, h->user_keys);
	pairs = palloc_extended(n * sizeof(UserKey), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
	{
		pairs[i].key = keys[i];
		pairs[i].code = (int32) (i + 1);
	}
	qsort(pairs, n, sizeof(UserKey), compare_user_keys);
	for (int64 i = 0; i < n; i++)
	{
		keys[i] = pairs[i].key;
		((int32 *) at(b, h->user_codes))[i] = pairs[i].code;
	}
	pfree(pairs);
}

static int
compare_candidates(const void *a, const void *b, void *keys)
{
	CHECK_FOR_INTERRUPTS();
	return memcmp(((const pg_uuid_t *) keys)[*(const int32 *) a].data,
				  ((const pg_uuid_t *) keys)[*(const int32 *) b].data,
				  UUID_LEN);
}

static void
take_recordings(Builder *b)
{
	ImageHeader *h = b->header;
	int64		n = b->row->n_recordings;
	TensorShape shape;
	int32	   *order;
	pg_uuid_t  *keys;
	uint64	   *heads;
	LbStatus	status;

	h->recording_keys = take_tensor(b, "recording_key", TENSOR_UUID, n, 1,
									&shape);
	h->recording_listens = take_tensor(b, "recording_listens", TENSOR_INT8,
									   n, 1, &shape);
	h->recording_order = reserve(b, n * sizeof(int32));
	h->recording_heads = reserve(b, n * sizeof(uint64));
	h->candidates = take_tensor(b, "candidate", TENSOR_FLOAT4, n, h->D,
								&shape);
	h->index = reserve(b, lb_index_bytes(n, h->D));
	if (!b->loading)
		return;
	order = at(b, h->recording_order);
	for (int64 i = 0; i < n; i++)
		order[i] = (int32) i;
	keys = at(b, h->recording_keys);
	qsort_arg(order, n, sizeof(int32), compare_candidates, keys);
	heads = at(b, h->recording_heads);
	for (int64 i = 0; i < n; i++)
		heads[i] = lbrec_key_head(&keys[order[i]]);
	do
	{
		CHECK_FOR_INTERRUPTS();
		status = lb_index_build(at(b, h->index), at(b, h->candidates), n,
								h->D, NULL, lbrec_cancel_flag());
	} while (status == LB_CANCELLED);
	lbrec_check_status(status, "a candidate's vector");
}

/* Who was played when, and what is popular now; see popularity.c. */
static void
take_popularity(Builder *b)
{
	ImageHeader *h = b->header;
	int64		n = b->row->n_recordings;
	int64		now = GetCurrentTimestamp() +
		((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * USECS_PER_DAY;
	const int64 *offsets;
	const int32 *counts;
	float	   *popular;
	TensorShape shape;

	h->popular = reserve(b, n * sizeof(float));
	/* a model from before 0.2.0 has no weeks */
	h->week_offsets = h->week_counts = 0;
	if (lbrec_tensor_shape(b->row, "recording_week_starts", &shape))
	{
		h->week_offsets = take_tensor(b, "recording_week_starts", TENSOR_INT8,
									  n + 1, 1, &shape);
		h->week_counts = take_tensor(b, "recording_weeks", TENSOR_INT4, -1, 2,
									 &shape);
	}
	if (!b->loading)
		return;
	popular = at(b, h->popular);
	if (h->week_offsets == 0)
	{
		const int64 *listens = at(b, h->recording_listens);

		for (int64 i = 0; i < n; i++)
			popular[i] = (float) listens[i];
		return;
	}
	offsets = at(b, h->week_offsets);
	counts = at(b, h->week_counts);
	for (int64 i = 0; i < n; i++)
		if (offsets[i] < 0 || offsets[i] > offsets[i + 1] ||
			offsets[i + 1] > shape.rows)
			bad_shape(b, "recording_week_starts");
	h->first_week = PG_INT32_MAX;
	h->last_week = PG_INT32_MIN;
	for (int64 i = 0; i < shape.rows; i++)
	{
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
static void
take_groupings(Builder *b)
{
	ImageHeader *h = b->header;
	SPITupleTable *rows;
	uint64		n;

	select_config(b,
				  "SELECT i.value OPERATOR(pg_catalog.->>) 'column' "
				  "FROM lbrec.model AS m, pg_catalog.jsonb_array_elements("
				  "m.config OPERATOR(pg_catalog.->) 'candidate') AS i (value) "
				  "WHERE m.id OPERATOR(pg_catalog.=) $1 "
				  "AND i.value OPERATOR(pg_catalog.->>) 'kind' OPERATOR(pg_catalog.=) 'category'");
	rows = SPI_tuptable;
	n = SPI_processed;
	if (n > MAX_FEATURES)
		bad_shape(b, "config");
	h->n_groupings = (int32) n;
	for (uint64 i = 0; i < n; i++)
	{
		ImageGrouping *g = &h->groupings[i];
		TensorShape shape;

		SPI_tuptable = rows;
		memset(g, 0, sizeof(ImageGrouping));
		strlcpy(g->column, text_value(b, i, 1), sizeof(g->column));
		g->codes = take_tensor(b, psprintf("%s_codes", g->column),
							   TENSOR_INT4, -1, 1, &shape);
		g->n = shape.rows;
		for (int64 c = 0; b->loading && c < g->n; c++)
			if (((const int32 *) at(b, g->codes))[c] < 0)
				bad_shape(b, g->column);
	}
	SPI_freetuptable(rows);
}

/* Users' own recordings. */
static void
take_history(Builder *b)
{
	ImageHeader *h = b->header;
	int64		n_users = b->row->n_users;
	TensorShape shape;
	const int64 *offsets;
	const int32 *codes;
	int64		n;

	h->history_offsets = take_tensor(b, "history_offsets", TENSOR_INT8,
									 n_users + 2, 1, &shape);
	h->history_codes = take_tensor(b, "history_codes", TENSOR_INT4, -1, 1,
								   &shape);
	n = shape.rows;
	h->history_plays = take_tensor(b, "history_plays", TENSOR_FLOAT4, n, 1,
								   &shape);
	h->history_boosts = h->boosted ?
		take_tensor(b, "history_boosts", TENSOR_FLOAT4, n, 1, &shape) : 0;
	h->history_recency = h->repeat_power > 0 ?
		take_tensor(b, "history_recency", TENSOR_FLOAT4, n, 1, &shape) : 0;
	if (!b->loading)
		return;

	/* as with features: nothing may point outside */
	offsets = at(b, h->history_offsets);
	codes = at(b, h->history_codes);
	for (int64 u = 0; u <= n_users; u++)
		if (offsets[u] < 0 || offsets[u] > offsets[u + 1] ||
			offsets[u + 1] > n)
			bad_shape(b, "history_offsets");
	for (int64 i = 0; i < n; i++)
		if (codes[i] < 1 || codes[i] > b->row->n_recordings)
			bad_shape(b, "history_codes");
}

/*
 * Rows of neighbours.  They are stored as counts, which a later training adds
 * to; scores need weights.
 */
static void
take_neighbours(Builder *b)
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
	h->neighbour_offsets = take_tensor(b, "neighbour_offsets", TENSOR_INT8,
									   n + 2, 1, &shape);
	h->neighbour_codes = take_tensor(b, "neighbour_codes", TENSOR_INT4, -1, 1,
									 &shape);
	entries = shape.rows;
	h->neighbour_weights = take_tensor(b, "neighbour_counts", TENSOR_FLOAT4,
									   entries, 1, &shape);
	if (!b->loading)
		return;
	offsets = at(b, h->neighbour_offsets);
	codes = at(b, h->neighbour_codes);
	for (int64 r = 0; r <= n; r++)
		if (offsets[r] < 0 || offsets[r] > offsets[r + 1] ||
			offsets[r + 1] > entries)
			bad_shape(b, "neighbour_offsets");
	for (int64 i = 0; i < entries; i++)
		if (codes[i] < 1 || codes[i] > n)
			bad_shape(b, "neighbour_codes");
	if (!lbrec_tensor_shape(b->row, "neighbour_sums", &shape) ||
		shape.type != TENSOR_FLOAT4 || shape.rows != n + 1 || shape.cols != 1)
		bad_shape(b, "neighbour_sums");
	sums = palloc_extended(lbrec_tensor_size(&shape), MCXT_ALLOC_HUGE);
	lbrec_load_tensor(b->row, "neighbour_sums", &shape, (char *) sums);
	lbrec_weigh_neighbours(at(b, h->neighbour_weights), n, offsets, codes,
						   at(b, h->neighbour_weights), sums);
	pfree(sums);
}

static void
take_parts(Builder *b)
{
	b->used = LB_ALIGN_UP(sizeof(ImageHeader));
	take_inputs(b);
	take_layers(b);
	take_users(b);
	take_history(b);
	take_neighbours(b);
	take_groupings(b);
	take_recordings(b);
	take_popularity(b);
}

/*
 * What lbrec.model says of the model must be what was saved with its tensors:
 * nothing else would tell a changed config from another model's.
 */
static void
check_config(Builder *b)
{
	TensorShape shape;
	char	   *saved;

	if (!lbrec_tensor_shape(b->row, "config", &shape) ||
		shape.type != TENSOR_BYTES || lbrec_tensor_size(&shape) > MaxAllocSize / 2)
		bad_shape(b, "config");
	saved = palloc0(lbrec_tensor_size(&shape) + 1);
	lbrec_load_tensor(b->row, "config", &shape, saved);
	select_config(b, "SELECT config FROM lbrec.model "
				  "WHERE id OPERATOR(pg_catalog.=) $1");
	if (SPI_processed != 1 || strcmp(text_value(b, 0, 1), saved) != 0)
		lbrec_damaged(b->row, "config", 0,
					  "The config in lbrec.model is not the one that was saved with the tensors.");
	SPI_freetuptable(SPI_tuptable);
	pfree(saved);
}

/* A number of the config that models of earlier versions do not have. */
static double
later_value(int column, double otherwise)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, column);

	return value ? atof(value) : otherwise;
}

static void
take_settings(Builder *b)
{
	ImageHeader *h = b->header;

	select_config(b,
				  "SELECT config OPERATOR(pg_catalog.#>>) '{time,mean}', "
				  "config OPERATOR(pg_catalog.#>>) '{time,deviation}', "
				  "config OPERATOR(pg_catalog.#>>) '{time,first_edge}', "
				  "config OPERATOR(pg_catalog.#>>) '{time,last_edge}', "
				  "config OPERATOR(pg_catalog.#>>) '{time,buckets}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,l2_normalize}', "
				  "pg_catalog.jsonb_array_length(config OPERATOR(pg_catalog.#>) '{options,layers}'), "
				  "config OPERATOR(pg_catalog.#>>) '{options,ensemble}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,history_length}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,history_pooling}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,repeat_half_life}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,repeat_weight}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,temperature}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,logq}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,repeat_power}', "
				  "config OPERATOR(pg_catalog.#>>) '{options,neighbours}', "
				  "config OPERATOR(pg_catalog.#>>) '{mix,neighbour}', "
				  "config OPERATOR(pg_catalog.#>>) '{mix,own}', "
				  "config OPERATOR(pg_catalog.#>>) '{mix,recency}', "
				  "config OPERATOR(pg_catalog.#>>) '{mix,own_share}' "
				  "FROM lbrec.model WHERE id OPERATOR(pg_catalog.=) $1");
	if (SPI_processed != 1)
		elog(ERROR, "model %lld has gone", (long long) b->row->id);
	h->time.mean = atof(text_value(b, 0, 1));
	h->time.deviation = atof(text_value(b, 0, 2));
	h->time.first_edge = atof(text_value(b, 0, 3));
	h->time.last_edge = atof(text_value(b, 0, 4));
	h->time.buckets = atoi(text_value(b, 0, 5));
	h->normalize = strcmp(text_value(b, 0, 6), "true") == 0;
	h->n_layers = atoi(text_value(b, 0, 7));
	if (h->n_layers < 0 || h->n_layers > LB_MAX_LAYERS)
		bad_shape(b, "config");
	h->summed = h->n_layers == 0;
	h->groups = atoi(text_value(b, 0, 8));
	h->history_length = atoi(text_value(b, 0, 9));
	h->history_mean = strcmp(text_value(b, 0, 10), "mean") == 0;
	h->repeat_half_life = later_value(11, 0);
	h->repeat_weight = later_value(12, 0);
	h->repeat_power = later_value(15, 0);
	h->has_neighbours = later_value(16, 0) > 0;
	h->mixed = h->repeat_power > 0 || h->has_neighbours;
	h->mix.neighbour = later_value(17, 0);
	h->mix.own = later_value(18, 0);
	h->mix.recency = later_value(19, 0);
	h->mix.own_share = later_value(20, 0);
	h->boosted = h->repeat_half_life > 0;
	h->temperature = atof(text_value(b, 0, 13));
	h->logq = strcmp(text_value(b, 0, 14), "true") == 0;
	if (!(h->time.deviation > 0) || h->time.buckets < 0 ||
		h->time.buckets > MAX_TIME_BUCKETS || h->groups < 1 ||
		h->history_length < 0 || !(h->temperature > 0) ||
		!(h->mix.neighbour >= 0) || !(h->mix.own_share >= -1) ||
		!isfinite(h->mix.neighbour) || !isfinite(h->mix.own) ||
		!isfinite(h->mix.recency) || !isfinite(h->mix.own_share))
		bad_shape(b, "config");
	SPI_freetuptable(SPI_tuptable);
}

/* The places of all parts, from what the tables say of their shapes. */
static Builder
size_image(const ModelRow *row, ImageHeader *sizing)
{
	Builder		b = {.row = row, .header = sizing};

	memset(sizing, 0, sizeof(ImageHeader));
	if (row->n_users < 1 || row->n_recordings < 1 ||
		row->n_users > PG_INT32_MAX / 2 || row->n_recordings > PG_INT32_MAX / 2)
		bad_shape(&b, "user_key");
	check_config(&b);
	take_settings(&b);
	take_parts(&b);
	return b;
}

/* An error where serving would not find the tensors that the config needs. */
void
lbrec_check_image(const ModelRow *row)
{
	ImageHeader sizing;

	(void) size_image(row, &sizing);
}

/* Builds a model's image in context.  Called within SPI. */
ImageHeader *
lbrec_build_image(const ModelRow *row, MemoryContext context)
{
	ImageHeader sizing;
	Builder		b = size_image(row, &sizing);

	lbrec_check_model_memory(row, b.used);
	b.header = lbrec_alloc_aligned(context, b.used, "model");
	*b.header = sizing;
	b.header->magic = IMAGE_MAGIC;
	b.header->image_version = IMAGE_VERSION;
	b.header->size = b.used;
	b.header->row = *row;
	b.loading = true;
	take_parts(&b);
	return b.header;
}
