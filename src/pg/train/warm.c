/*
 * warm.c
 *		Warm start: training that continues an older model with new listens.
 *
 * Vocabularies begin with the older model's keys in their order, so a key's
 * row in a table stays; new keys follow, and their rows begin as in any new
 * model.  The optimiser's states continue too: with Adagrad a row that was
 * trained for long moves little, a new one fast, which is what new listens
 * need.  Users' lists are merged, so that a user with new listens is trained
 * on the old ones again and nothing is forgotten.
 */
#include "pg/train/warm.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/features.h"
#include "pg/listens/histories.h"
#include "pg/listens/rare.h"
#include "pg/listens/vocabulary.h"
#include "pg/listens/weeks.h"
#include "pg/model/neighbours.h"
#include "pg/model/twotower.h"
#include "pg/store/tensors.h"
#include "pg/store/versions.h"
#include "pg/train/options.h"
#include "pg/train/settings.h"
#include "pg/train/request.h"

struct WarmStart
{
	MemoryContext context;
	ModelRow	row;
	TimeScale	time;
	int64	   *users;
	pg_uuid_t  *recordings;
	int64	   *listens;		/* (n_recordings) */
	WeekCounts *weeks;			/* of them, or NULL */
	UserLists  *lists;
	Neighbours *neighbours;		/* or NULL */
	int			min_listens;	/* the older model's settings */
	int			hash_buckets;
	int			ensemble;
	double		temperature;
	bool		mixed;
	LbMix		mix;			/* of all members */
};

/* A tensor of the older model, or NULL where it has none of that name. */
static void *
load(const WarmStart *warm, const char *name, TensorType type,
	 TensorShape *shape)
{
	char	   *data;

	if (!lbrec_tensor_shape(&warm->row, name, shape))
		return NULL;
	if (shape->type != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("version %d of model \"%s\" is damaged in tensor \"%s\"",
						warm->row.version, warm->row.name, name),
				 errdetail("It has another type than expected."),
				 errhint("Train the model again, without start_from.")));
	data = MemoryContextAllocHuge(warm->context,
								  Max(lbrec_tensor_size(shape), 1));
	lbrec_load_tensor(&warm->row, name, shape, data);
	return data;
}

static void *
need(const WarmStart *warm, const char *name, TensorType type, int64 rows)
{
	TensorShape shape;
	void	   *data = load(warm, name, type, &shape);

	if (data == NULL || shape.rows != rows)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("version %d of model \"%s\" is damaged in tensor \"%s\"",
						warm->row.version, warm->row.name, name),
				 errdetail("It is missing, or its shape does not fit the model's."),
				 errhint("Train the model again, without start_from.")));
	return data;
}

/* Listens by week; a model from before 0.2.0 has none. */
static WeekCounts *
load_weeks(const WarmStart *warm)
{
	WeekCounts *w = MemoryContextAllocZero(warm->context, sizeof(WeekCounts));
	TensorShape shape;
	bool		sound;

	w->n = warm->row.n_recordings;
	if (!lbrec_tensor_shape(&warm->row, "recording_week_starts", &shape))
		return NULL;
	w->offsets = need(warm, "recording_week_starts", TENSOR_INT8, w->n + 1);
	sound = w->offsets[0] == 0;
	for (int64 r = 0; r < w->n; r++)
	{
		CHECK_FOR_INTERRUPTS();
		sound = sound && w->offsets[r] <= w->offsets[r + 1];
	}
	w->counts = need(warm, "recording_weeks", TENSOR_INT4,
					 sound ? w->offsets[w->n] : -1);
	return w;
}

static void
read_config(WarmStart *warm, TrainOptions *options)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(warm->row.id)};
	TupleDesc	desc;

	if (SPI_execute_with_args("SELECT o.key, o.value, "
							  "m.config OPERATOR(pg_catalog.#>>) '{time,mean}', "
							  "m.config OPERATOR(pg_catalog.#>>) '{time,deviation}', "
							  "m.config OPERATOR(pg_catalog.#>>) '{time,first_edge}', "
							  "m.config OPERATOR(pg_catalog.#>>) '{time,last_edge}', "
							  "m.config OPERATOR(pg_catalog.#>>) '{time,buckets}', "
							  "m.config OPERATOR(pg_catalog.#>>) '{mix,neighbour}', "
							  "m.config OPERATOR(pg_catalog.#>>) '{mix,own}', "
							  "m.config OPERATOR(pg_catalog.#>>) '{mix,recency}', "
							  "m.config OPERATOR(pg_catalog.#>>) '{mix,own_share}' "
							  "FROM lbrec.model AS m, pg_catalog.jsonb_each_text("
							  "m.config OPERATOR(pg_catalog.->) 'options') AS o "
							  "WHERE m.id OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a model's config");
	desc = SPI_tuptable->tupdesc;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		char	   *key = SPI_getvalue(row, desc, 1);
		char	   *value = SPI_getvalue(row, desc, 2);
		MemoryContext old;

		old = MemoryContextSwitchTo(warm->context);
		lbrec_set_option(options, key, value);
		MemoryContextSwitchTo(old);
		if (i > 0)
			continue;
		warm->time.mean = atof(SPI_getvalue(row, desc, 3));
		warm->time.deviation = atof(SPI_getvalue(row, desc, 4));
		warm->time.first_edge = atof(SPI_getvalue(row, desc, 5));
		warm->time.last_edge = atof(SPI_getvalue(row, desc, 6));
		warm->time.buckets = atoi(SPI_getvalue(row, desc, 7));
		warm->mixed = SPI_getvalue(row, desc, 11) != NULL;
		if (!warm->mixed)
			continue;
		warm->mix.neighbour = atof(SPI_getvalue(row, desc, 8));
		warm->mix.own = atof(SPI_getvalue(row, desc, 9));
		warm->mix.recency = atof(SPI_getvalue(row, desc, 10));
		warm->mix.own_share = atof(SPI_getvalue(row, desc, 11));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* The older model's counts of neighbours, if it has any. */
static void
open_neighbours(WarmStart *warm)
{
	int64		n = warm->row.n_recordings;
	TensorShape shape;
	Neighbours *nb;
	int64	   *offsets = load(warm, "neighbour_offsets", TENSOR_INT8, &shape);

	if (offsets == NULL || shape.rows != n + 2)
		return;
	nb = MemoryContextAllocZero(warm->context, sizeof(Neighbours));
	nb->n_recordings = n;
	nb->offsets = offsets;
	nb->codes = need(warm, "neighbour_codes", TENSOR_INT4, offsets[n + 1]);
	nb->counts = need(warm, "neighbour_counts", TENSOR_FLOAT4, offsets[n + 1]);
	nb->sums = need(warm, "neighbour_sums", TENSOR_FLOAT4, n + 1);
	warm->neighbours = nb;
}

/*
 * Opens the active version of the named model.  options become its settings;
 * what the caller gives is to be set over them.
 */
WarmStart *
lbrec_warm_open(const char *name, TrainOptions *options,
				MemoryContext context)
{
	WarmStart  *warm = MemoryContextAllocZero(context, sizeof(WarmStart));
	TensorShape shape;
	UserLists  *lists;

	warm->context = context;
	SPI_connect();
	if (!lbrec_find_model(&warm->row, name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist, or no version of it is active",
						name),
				 errdetail("start_from names the model that training is to continue."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	lbrec_hold_version(warm->row.id);
	read_config(warm, options);
	warm->min_listens = options->min_listens;
	warm->hash_buckets = options->hash_buckets;
	warm->ensemble = options->ensemble;
	warm->temperature = options->temperature;
	warm->users = need(warm, "user_key", TENSOR_INT8, warm->row.n_users);
	warm->recordings = need(warm, "recording_key", TENSOR_UUID,
							warm->row.n_recordings);
	warm->listens = need(warm, "recording_listens", TENSOR_INT8,
						 warm->row.n_recordings);
	warm->weeks = load_weeks(warm);
	lists = MemoryContextAllocZero(context, sizeof(UserLists));
	lists->n_users = warm->row.n_users;
	lists->offsets = need(warm, "history_offsets", TENSOR_INT8,
						  warm->row.n_users + 2);
	lists->codes = load(warm, "history_codes", TENSOR_INT4, &shape);
	lists->plays = load(warm, "history_plays", TENSOR_FLOAT4, &shape);
	lists->recency = load(warm, "history_recency", TENSOR_FLOAT4, &shape);
	lists->last = load(warm, "history_last", TENSOR_INT8, &shape);
	if (lists->last && shape.rows != warm->row.n_users + 1)
		lists->last = NULL;
	warm->lists = lists;
	open_neighbours(warm);
	SPI_finish();
	return warm;
}

void
lbrec_warm_time(const WarmStart *warm, TimeScale *time)
{
	if (time->buckets == warm->time.buckets)
		*time = warm->time;
}

/*
 * The weights of the scores' parts that the older model has, for one member;
 * false where it has none, or was trained at another temperature: dot products
 * are weighed by it.
 */
bool
lbrec_warm_mix(const WarmStart *warm, const TrainOptions *options, LbMix *mix)
{
	if (!warm->mixed || warm->temperature != options->temperature)
		return false;
	*mix = warm->mix;
	mix->neighbour /= warm->ensemble;
	mix->own /= warm->ensemble;
	mix->recency /= warm->ensemble;
	return true;
}

const UserLists *
lbrec_warm_lists(const WarmStart *warm)
{
	return warm->lists;
}

const Neighbours *
lbrec_warm_neighbours(const WarmStart *warm)
{
	return warm->neighbours;
}

/* The keys of varying length of a feature's vocabulary. */
static void
prepare_keys(const WarmStart *warm, Feature *f)
{
	TensorShape shape;
	TensorShape ignored;
	int64	   *offsets = load(warm, psprintf("%s_key_offsets", f->name),
							   TENSOR_INT8, &shape);
	char	   *keys;

	if (offsets == NULL)
		return;
	keys = load(warm, psprintf("%s_keys", f->name), TENSOR_BYTES,
				&ignored);
	for (int64 i = 0; i + 1 < shape.rows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		lbrec_vocabulary_add(f->keys, keys + offsets[i],
							 (uint32) (offsets[i + 1] - offsets[i]));
	}
}

/* The values that the older model has of a column, or unknown for all. */
static void
prepare_feature(const WarmStart *warm, Feature *f)
{
	int64		entities = (f->of_user ? warm->row.n_users :
							warm->row.n_recordings) + 1;
	TensorShape shape;

	shape.rows = 0;
	if (f->keys)
		prepare_keys(warm, f);
	if (f->kind == FEATURE_CATEGORY)
		f->codes = load(warm, psprintf("%s_codes", f->name), TENSOR_INT4,
						&shape);
	else if (f->kind == FEATURE_NUMBER)
	{
		f->numbers = load(warm, psprintf("%s_numbers", f->name),
						  TENSOR_FLOAT4, &shape);
		if (f->bucketed)
		{
			f->edges = load(warm, psprintf("%s_edges", f->name),
							TENSOR_FLOAT4, &shape);
			f->n_edges = f->edges ? (int) shape.rows : 0;
			shape.rows = entities;
		}
	}
	else
	{
		f->bag_codes = load(warm, psprintf("%s_codes", f->name), TENSOR_INT4,
							&shape);
		f->n_bag_codes = f->bag_allocated = f->bag_codes ? shape.rows : 0;
		f->offsets = load(warm, psprintf("%s_offsets", f->name), TENSOR_INT8,
						  &shape);
		shape.rows--;
	}
	if ((f->codes || f->numbers || f->offsets) && shape.rows == entities)
	{
		for (int64 e = 0; f->offsets && e < entities; e++)
			f->longest_bag = Max(f->longest_bag,
								 (int32) (f->offsets[e + 1] - f->offsets[e]));
		/* one more than there are: room for a bag's last offset */
		f->allocated = f->kind == FEATURE_BAG ? entities + 1 : entities;
		f->n = entities;
		return;
	}
	for (int64 e = 1; e < entities; e++)
	{
		CHECK_FOR_INTERRUPTS();
		lbrec_append_value(f, (Datum) 0, true, warm->context);
	}
}

/* Called before the first row is read: what is known comes first. */
void
lbrec_warm_prepare(Dataset *data, void *arg)
{
	WarmStart  *warm = arg;

	for (int64 i = 0; i < warm->row.n_users; i++)
	{
		CHECK_FOR_INTERRUPTS();
		lbrec_vocabulary_add(data->users, &warm->users[i], sizeof(int64));
	}
	for (int64 i = 0; i < warm->row.n_recordings; i++)
	{
		CHECK_FOR_INTERRUPTS();
		lbrec_vocabulary_add(data->recordings, &warm->recordings[i],
							 UUID_LEN);
	}
	while (data->recording_listens_allocated <= warm->row.n_recordings)
		data->recording_listens_allocated *= 2;
	data->recording_listens = repalloc_huge(data->recording_listens,
											data->recording_listens_allocated *
											sizeof(int64));
	memset(data->recording_listens, 0,
		   data->recording_listens_allocated * sizeof(int64));
	memcpy(data->recording_listens + 1, warm->listens,
		   warm->row.n_recordings * sizeof(int64));
	data->n_known_recordings = (int32) warm->row.n_recordings;
	data->known_weeks = warm->weeks;
	for (int i = 0; i < data->n_features; i++)
		prepare_feature(warm, &data->features[i]);
}

/*
 * Rows of the older table of recordings that those of the new one continue, or
 * -1, (*n_rows); NULL where each goes on in its place.  With hash buckets, a
 * recording that has played its way out of one begins as that was; and all
 * rows behind its own have moved.
 */
static int32 *
rows_before(int64 *n_rows, const WarmStart *warm, const Dataset *data,
			const TrainOptions *options, const int32 *rows)
{
	int64		known = warm->row.n_recordings;
	int32	   *old = NULL;
	int32	   *from;
	int64		n_old = known + 1;

	if (warm->hash_buckets == 0 && rows == NULL)
		return NULL;
	if (warm->hash_buckets > 0)
		old = lbrec_bucket_rows(&n_old, data->recordings, warm->listens,
								known, warm->min_listens, warm->hash_buckets,
								warm->context);
	from = MemoryContextAllocHuge(warm->context, *n_rows * sizeof(int32));
	for (int64 row = 0; row < *n_rows; row++)
		from[row] = -1;
	from[0] = 0;
	for (int64 r = 1; r <= known; r++)
	{
		int64		row = rows ? rows[r] : r;

		CHECK_FOR_INTERRUPTS();
		if (row < *n_rows - options->hash_buckets)
			from[row] = old ? old[r] : (int32) r;
	}
	/* what shares a bucket depends on their number */
	if (options->hash_buckets == warm->hash_buckets)
		for (int b = 1; b <= options->hash_buckets; b++)
			from[*n_rows - b] = (int32) (n_old - b);
	*n_rows = n_old;
	return from;
}

/*
 * Member m's columns of n_members side by side, of all rows or, for each row
 * that is to be filled, of the one that it continues.
 */
static void
take_columns(float *to, const float *from, int64 rows, int cols, int m, int n,
			 const int32 *map)
{
	for (int64 r = 0; r < rows; r++)
	{
		int64		row = map ? map[r] : r;

		CHECK_FOR_INTERRUPTS();
		if (row >= 0)
			memcpy(to + (Size) r * cols, from + ((Size) row * n + m) * cols,
				   cols * sizeof(float));
	}
}

/* Rows and columns of an array, and what it is to continue. */
typedef struct WarmArray
{
	int64		rows;
	int			cols;
	bool		table;			/* may grow */
	const int32 *map;			/* (rows): rows of the older one, or NULL */
	int64		older_rows;		/* that the map is made for */
	int			m;				/* member of n_members */
	int			n_members;
} WarmArray;

static void
warm_array(const WarmStart *warm, const char *name, float *to,
		   const WarmArray *a)
{
	TensorShape shape;
	float	   *data = load(warm, name, TENSOR_FLOAT4, &shape);
	int64		most = a->map ? a->older_rows : a->rows;

	if (data == NULL)
		return;
	if (shape.cols != a->cols * a->n_members || shape.rows > most ||
		((a->map || !a->table) && shape.rows != most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("training cannot continue model \"%s\" in this shape",
						warm->row.name),
				 errdetail("Its \"%s\" is %lld x %d, but %lld x %d would be needed.",
						   name, (long long) shape.rows, shape.cols,
						   (long long) most, a->cols * a->n_members),
				 errhint("Leave layers, embedding_dim, ensemble and the inputs as they were, or train without start_from.")));
	take_columns(to, data, a->map ? a->rows : shape.rows, a->cols, a->m,
				 a->n_members, a->map);
	pfree(data);
}

/*
 * Weights and optimiser's states of one member, as far as the model has them.
 * recording_rows are those of the new model, NULL where each has its own.
 */
void
lbrec_warm_weights(const WarmStart *warm, const Dataset *data,
				   const TrainOptions *options, const int32 *recording_rows,
				   LbModel *core, const LbOptimizer *opt, int m)
{
	SPI_connect();
	for (int i = 0; i < core->n_tensors; i++)
	{
		LbTensor   *t = &core->tensors[i];
		WarmArray	a = {.rows = t->rows, .cols = t->cols, .table = t->sparse,
			.m = m, .n_members = options->ensemble};
		int32	   *map = NULL;

		a.older_rows = t->rows;
		if (strcmp(t->name, "recording_embedding") == 0)
			map = rows_before(&a.older_rows, warm, data, options,
							  recording_rows);
		a.map = map;
		warm_array(warm, t->name, t->value, &a);
		for (int s = 0; s < lb_optimizer_states(opt); s++)
		{
			a.cols = (int) (lb_tensor_state_size(t, opt) / t->rows);
			warm_array(warm, psprintf("%s.state%d", t->name, s), t->state[s],
					   &a);
		}
		if (map)
			pfree(map);
	}
	SPI_finish();
}
