/*
 * build_query.c
 *		The parts of a serving image that tell of who asks: the query tower,
 *		the users and what they played.
 */
#include "pg/server/lbrec.h"

#include "executor/spi.h"

#include "pg/image/build.h"
#include "pg/image/image.h"
#include "pg/listens/dataset.h"
#include "pg/model/twotower.h"
#include "pg/store/tensors.h"

/* The values of a column that belongs to users. */
static void
take_feature(ImageBuilder *b, ImageInput *input, const char *column)
{
	TensorShape shape;
	char	   *codes = psprintf("%s_codes", column);

	switch (input->feature_kind)
	{
		case FEATURE_CATEGORY:
			input->codes = lbrec_take_tensor(b, codes, TENSOR_INT4, -1, 1, &shape);
			input->n = shape.rows;
			break;
		case FEATURE_NUMBER:
			input->codes = lbrec_take_tensor(b, psprintf("%s_numbers", column),
											 TENSOR_FLOAT4, -1, 1, &shape);
			input->n = shape.rows;
			break;
		case FEATURE_BAG:
			input->offsets = lbrec_take_tensor(b, psprintf("%s_offsets", column),
											   TENSOR_INT8, -1, 1, &shape);
			input->n = shape.rows - 1;
			input->codes = lbrec_take_tensor(b, codes, TENSOR_INT4, -1, 1, &shape);
			break;
	}
	if (input->n < 1)
		lbrec_bad_part(b, codes);
	if (!b->loading)
		return;

	/* codes index a table at serving time: none may point outside */
	if (input->feature_kind == FEATURE_CATEGORY)
		shape.rows = input->n;
	if (input->feature_kind != FEATURE_NUMBER)
		for (int64 i = 0; i < shape.rows; i++)
		{
			int32		code = ((int32 *) lbrec_part(b, input->codes))[i];

			CHECK_FOR_INTERRUPTS();
			if (code < 0 || code >= input->rows)
				lbrec_bad_part(b, codes);
		}
	if (input->feature_kind == FEATURE_BAG)
	{
		const int64 *offsets = lbrec_part(b, input->offsets);

		for (int64 i = 0; i < input->n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (offsets[i] < 0 || offsets[i] > offsets[i + 1] ||
				offsets[i + 1] > shape.rows)
				lbrec_bad_part(b, codes);
		}
	}
}

void
lbrec_take_inputs(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	SPITupleTable *rows;
	uint64		n;

	lbrec_select_config(b,
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
		lbrec_bad_part(b, "config");
	h->n_inputs = (int32) n;
	for (uint64 i = 0; i < n; i++)
	{
		ImageInput *input = &h->inputs[i];
		TensorShape shape;

		SPI_tuptable = rows;
		memset(input, 0, sizeof(ImageInput));
		input->source = lbrec_source_by_name(lbrec_config_text(b, i, 1));
		input->kind = LB_INPUT_EMBEDDING;
		input->feature_kind = FEATURE_CATEGORY;
		if (lbrec_source_is_number(input->source))
			input->kind = LB_INPUT_NUMBER;
		else if (input->source == SOURCE_HISTORY)
			input->kind = LB_INPUT_BAG;
		else if (input->source == SOURCE_FEATURE)
		{
			const char *kind = lbrec_config_text(b, i, 4);

			if (strcmp(kind, "number") == 0)
			{
				input->kind = LB_INPUT_NUMBER;
				input->feature_kind = FEATURE_NUMBER;
				input->mean = atof(lbrec_config_text(b, i, 5));
				input->deviation = atof(lbrec_config_text(b, i, 6));
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
			input->table = lbrec_take_tensor(b, lbrec_config_text(b, i, 2), TENSOR_FLOAT4,
											 expected, -1, &shape);
			input->rows = shape.rows;
			input->cols = shape.cols;
		}
		if (input->source == SOURCE_FEATURE)
		{
			SPI_tuptable = rows;
			take_feature(b, input, lbrec_config_text(b, i, 3));
		}
	}
	SPI_tuptable = rows;
	SPI_freetuptable(rows);
}

void
lbrec_take_layers(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	int			in = 0;

	for (int i = 0; i < h->n_inputs; i++)
	{
		if (h->summed && i > 0 && h->inputs[i].cols != in)
			lbrec_bad_part(b, "config");
		in = h->summed ? h->inputs[i].cols : in +
			(h->inputs[i].kind == LB_INPUT_NUMBER ? 1 : h->inputs[i].cols);
	}
	if (in % h->groups != 0)
		lbrec_bad_part(b, "config");
	for (int l = 0; l < h->n_layers; l++)
	{
		TensorShape shape;

		h->kernels[l] = lbrec_take_tensor(b, psprintf("query_kernel_%d", l),
										  TENSOR_FLOAT4, in, -1, &shape);
		in = h->layers[l] = shape.cols;
		h->biases[l] = lbrec_take_tensor(b, psprintf("query_bias_%d", l),
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
void
lbrec_take_users(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	int64		n = b->row->n_users;
	TensorShape shape;
	UserKey    *pairs;
	int64	   *keys;

	h->user_keys = lbrec_take_tensor(b, "user_key", TENSOR_INT8, n, 1, &shape);
	h->user_codes = lbrec_reserve_part(b, n * sizeof(int32));
	if (!b->loading)
		return;
	keys = lbrec_part(b, h->user_keys);
	pairs = palloc_extended(n * sizeof(UserKey), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		pairs[i].key = keys[i];
		pairs[i].code = (int32) (i + 1);
	}
	qsort(pairs, n, sizeof(UserKey), compare_user_keys);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		keys[i] = pairs[i].key;
		((int32 *) lbrec_part(b, h->user_codes))[i] = pairs[i].code;
	}
	pfree(pairs);
}

/* Users' own recordings. */
void
lbrec_take_history(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	int64		n_users = b->row->n_users;
	TensorShape shape;
	const int64 *offsets;
	const int32 *codes;
	int64		n;

	h->history_offsets = lbrec_take_tensor(b, "history_offsets", TENSOR_INT8,
										   n_users + 2, 1, &shape);
	h->history_codes = lbrec_take_tensor(b, "history_codes", TENSOR_INT4, -1, 1,
										 &shape);
	n = shape.rows;
	h->history_plays = lbrec_take_tensor(b, "history_plays", TENSOR_FLOAT4, n, 1,
										 &shape);
	h->history_recency = h->repeat_power > 0 ?
		lbrec_take_tensor(b, "history_recency", TENSOR_FLOAT4, n, 1, &shape) : 0;
	if (!b->loading)
		return;

	/* as with features: nothing may point outside */
	offsets = lbrec_part(b, h->history_offsets);
	codes = lbrec_part(b, h->history_codes);
	for (int64 u = 0; u <= n_users; u++)
	{
		CHECK_FOR_INTERRUPTS();
		if (offsets[u] < 0 || offsets[u] > offsets[u + 1] ||
			offsets[u + 1] > n)
			lbrec_bad_part(b, "history_offsets");
	}
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (codes[i] < 1 || codes[i] > b->row->n_recordings)
			lbrec_bad_part(b, "history_codes");
	}
}
