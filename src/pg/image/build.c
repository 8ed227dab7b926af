/*
 * build.c
 *		Builds serving images.
 *
 * Building walks the parts of the image twice through one function: first to
 * learn each part's size and place, then, with the block at hand, to load it.
 * Here are the walk and the settings; imagequery.c has the parts of who asks,
 * imageitems.c those of what is recommended.
 */
#include "pg/image/build.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/memutils.h"

#include "pg/image/image.h"
#include "pg/model/twotower.h"
#include "pg/server/fault.h"
#include "pg/server/kernels.h"
#include "pg/store/tensors.h"
#include "pg/store/versions.h"

/* Below that, starting threads is not worth their while. */
#define THREADED_BYTES ((Size) 32 << 20)

void
lbrec_bad_part(const ImageBuilder *b, const char *tensor)
{
	lbrec_damaged(b->row, tensor, 0,
				  "The tensor is missing, or its shape does not fit the model's.");
}

/* Sets aside bytes of the image. */
int64
lbrec_reserve_part(ImageBuilder *b, Size bytes)
{
	int64		at = (int64) b->used;

	b->used += LB_ALIGN_UP(bytes);
	return at;
}

/*
 * A tensor of the given type becomes a part of the image.  rows and cols say
 * what is expected; -1 takes what is stored.
 */
int64
lbrec_take_tensor(ImageBuilder *b, const char *name, TensorType type, int64 rows,
				  int cols, TensorShape *shape)
{
	int64		place;

	if (!lbrec_tensor_shape(b->row, name, shape) || shape->type != type ||
		(rows >= 0 && shape->rows != rows) ||
		(cols >= 0 && shape->cols != cols))
		lbrec_bad_part(b, name);
	place = lbrec_reserve_part(b, lbrec_tensor_size(shape));
	if (b->loading)
		lbrec_load_tensor(b->row, name, shape, lbrec_part(b, place));
	return place;
}

/* SPI_getvalue with a column that must not be null. */
char *
lbrec_config_text(const ImageBuilder *b, uint64 row, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row],
									 SPI_tuptable->tupdesc, column);

	if (value == NULL)
		lbrec_damaged(b->row, "config", 0, "A setting is missing.");
	return value;
}

void
lbrec_select_config(const ImageBuilder *b, const char *sql)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(b->row->id)};

	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read a model's config");
}

static void
take_parts(ImageBuilder *b)
{
	b->used = LB_ALIGN_UP(sizeof(ImageHeader));
	lbrec_take_inputs(b);
	lbrec_take_layers(b);
	lbrec_take_users(b);
	lbrec_take_history(b);
	lbrec_take_neighbours(b);
	lbrec_take_groupings(b);
	lbrec_take_recordings(b);
	lbrec_take_popularity(b);
}

/*
 * What lbrec.model says of the model must be what was saved with its tensors:
 * nothing else would tell a changed config from another model's.
 */
static void
check_config(ImageBuilder *b)
{
	TensorShape shape;
	char	   *saved;

	if (!lbrec_tensor_shape(b->row, "config", &shape) ||
		shape.type != TENSOR_BYTES || lbrec_tensor_size(&shape) > MaxAllocSize / 2)
		lbrec_bad_part(b, "config");
	saved = palloc0(lbrec_tensor_size(&shape) + 1);
	lbrec_load_tensor(b->row, "config", &shape, saved);
	lbrec_select_config(b, "SELECT config FROM lbrec.model "
						"WHERE id OPERATOR(pg_catalog.=) $1");
	if (SPI_processed != 1 || strcmp(lbrec_config_text(b, 0, 1), saved) != 0)
		lbrec_damaged(b->row, "config", 0,
					  "The config in lbrec.model is not the one that was saved with the tensors.");
	SPI_freetuptable(SPI_tuptable);
	pfree(saved);
}

static void
take_settings(ImageBuilder *b)
{
	ImageHeader *h = b->header;

	lbrec_select_config(b,
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
	h->time.mean = atof(lbrec_config_text(b, 0, 1));
	h->time.deviation = atof(lbrec_config_text(b, 0, 2));
	h->time.first_edge = atof(lbrec_config_text(b, 0, 3));
	h->time.last_edge = atof(lbrec_config_text(b, 0, 4));
	h->time.buckets = atoi(lbrec_config_text(b, 0, 5));
	h->normalize = strcmp(lbrec_config_text(b, 0, 6), "true") == 0;
	h->n_layers = atoi(lbrec_config_text(b, 0, 7));
	if (h->n_layers < 0 || h->n_layers > LB_MAX_LAYERS)
		lbrec_bad_part(b, "config");
	h->summed = h->n_layers == 0;
	h->groups = atoi(lbrec_config_text(b, 0, 8));
	h->history_length = atoi(lbrec_config_text(b, 0, 9));
	h->history_mean = strcmp(lbrec_config_text(b, 0, 10), "mean") == 0;
	h->temperature = atof(lbrec_config_text(b, 0, 11));
	h->logq = strcmp(lbrec_config_text(b, 0, 12), "true") == 0;
	h->repeat_power = atof(lbrec_config_text(b, 0, 13));
	h->has_neighbours = atoi(lbrec_config_text(b, 0, 14)) > 0;
	h->mixed = h->repeat_power > 0 || h->has_neighbours;
	if (h->mixed)
	{
		h->mix.neighbour = atof(lbrec_config_text(b, 0, 15));
		h->mix.own = atof(lbrec_config_text(b, 0, 16));
		h->mix.recency = atof(lbrec_config_text(b, 0, 17));
		h->mix.own_share = atof(lbrec_config_text(b, 0, 18));
	}
	if (!(h->time.deviation > 0) || h->time.buckets < 0 ||
		h->time.buckets > MAX_TIME_BUCKETS || h->groups < 1 ||
		h->history_length < 0 || !(h->temperature > 0) ||
		!(h->mix.neighbour >= 0) || !(h->mix.own_share >= -1) ||
		!isfinite(h->mix.neighbour) || !isfinite(h->mix.own) ||
		!isfinite(h->mix.recency) || !isfinite(h->mix.own_share))
		lbrec_bad_part(b, "config");
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The places of all parts, from what the tables say of their shapes; b->used
 * is then the bytes that lbrec_build_image() needs.  Called within SPI.
 */
void
lbrec_plan_image(ImageBuilder *b, const ModelRow *row)
{
	memset(b, 0, sizeof(ImageBuilder));
	b->row = row;
	b->header = &b->sizing;
	if (row->n_users < 1 || row->n_recordings < 1 ||
		row->n_users > PG_INT32_MAX / 2 || row->n_recordings > PG_INT32_MAX / 2)
		lbrec_bad_part(b, "user_key");
	check_config(b);
	take_settings(b);
	take_parts(b);
}

/* An error where serving would not find the tensors that the config needs. */
void
lbrec_check_image(const ModelRow *row)
{
	ImageBuilder b;

	lbrec_plan_image(&b, row);
}

/* Builds the image that was planned in block.  Called within SPI. */
void
lbrec_build_image(ImageBuilder *b, void *block)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec image builder",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	if (b->used >= THREADED_BYTES)
		b->pool = lbrec_start_threads(context);
	b->header = block;
	*b->header = b->sizing;
	b->header->magic = IMAGE_MAGIC;
	b->header->image_version = IMAGE_VERSION;
	b->header->size = b->used;
	b->header->row = *b->row;
	b->loading = true;
	take_parts(b);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	b->pool = NULL;
	lbrec_check_maps();
}

/* May a session bring an image of that size into its memory? */
void
lbrec_check_model_memory(const ModelRow *row, Size size)
{
	if (lbrec_max_model_memory == 0 ||
		size <= (Size) lbrec_max_model_memory * 1024)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("version %d of model \"%s\" needs %zu kB to be served",
					row->version, row->name, (size_t) (size + 1023) / 1024),
			 errdetail("lbrec.max_model_memory allows %d kB.",
					   lbrec_max_model_memory),
			 errhint("Raise lbrec.max_model_memory, or train with min_listens or a smaller embedding_dim.")));
}
