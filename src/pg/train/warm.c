/*
 * warm.c
 *		Warm start: training that continues an older model with new listens.
 *
 * Vocabularies begin with the older model's keys in their order, so a key's
 * row in a table stays; new keys follow, and their rows begin as in any new
 * model.  The optimiser's states continue too: with Adagrad a row that was
 * trained for long moves little, a new one fast, which is what new listens
 * need.  Users' lists are merged, so that training on a user with new listens
 * includes the old ones and nothing is forgotten.
 */
#include "pg/train/warm.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/features.h"
#include "pg/listens/items.h"
#include "pg/listens/rare.h"
#include "pg/listens/vocabulary.h"
#include "pg/listens/weeks.h"
#include "pg/model/config.h"
#include "pg/model/layout.h"
#include "pg/model/load.h"
#include "pg/model/parts.h"
#include "pg/model/score.h"
#include "pg/model/stored_config.h"
#include "pg/model/twotower.h"
#include "pg/store/tensors.h"
#include "pg/store/versions.h"
#include "pg/train/options.h"
#include "pg/train/setting_values.h"
#include "pg/train/settings.h"

struct WarmStart
{
	MemoryContext context;
	ModelRow	row;
	LoadedModel loaded;
	TwoTower	model;			/* with all arrays except weights */
	WeekCounts	weeks;
	double		temperature;
	int64		n_listens;
	char	   *query;			/* of them */
};

/* Loads an array of the older model, which must be in its list. */
static void *
load(WarmStart *warm, int part)
{
	const TensorShape *shape = &warm->loaded.parts->part[part].shape;
	void	   *data = MemoryContextAllocHuge(warm->context,
											  Max(lbrec_tensor_size(shape), 1));

	lbrec_load_array(&warm->loaded, part, data);
	return data;
}

/* Returns the rows of an array of a column, 0 if there is no such array. */
static int64
rows_of(const WarmStart *warm, const Feature *f, const char *array)
{
	int			i = lbrec_find_part(warm->loaded.parts,
									psprintf("%s_%s", f->name, array));

	return i < 0 ? 0 : warm->loaded.parts->part[i].shape.rows;
}

/*
 * Takes over a setting of the older model's training, or the name of its
 * preset.
 */
static void
set_option(const char *name, const JsonbValue *value, void *arg)
{
	TrainOptions *options = arg;

	if (strcmp(name, "preset") != 0)
		lbrec_set_json(options, name, value);
	else if (value->type == jbvString && value->val.string.len == 5 &&
			 memcmp(value->val.string.val, "paper", 5) == 0)
		options->preset = "paper";
	else
		options->preset = "default";
}

/* True if names, a text[] or NULL, are those of the bucketed columns. */
static bool
agree_on_buckets(const ModelConfig *c, ArrayType *names)
{
	Datum	   *values;
	int			n = 0;

	if (names)
		deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &values,
						  NULL, &n);
	for (int i = 0; i < c->n_query + c->n_candidate; i++)
	{
		const ConfigInput *input = i < c->n_query ?
			&c->query[i] : &c->candidate[i - c->n_query];
		int			kept = 0;

		if (!input->bucketed)
			continue;
		for (int k = 0; k < n; k++)
			if (strcmp(TextDatumGetCString(values[k]), input->column) != 0)
				values[kept++] = values[k];
		if (kept == n)
			return false;
		n = kept;
	}
	return n == 0;
}

static bool
has_query_input(const ModelConfig *c, InputSource source)
{
	for (int i = 0; i < c->n_query; i++)
		if (c->query[i].source == source)
			return true;
	return false;
}

/* True if a training with these settings gives the towers the same inputs. */
static bool
agree(const TrainOptions *o, const ModelConfig *c)
{
	bool		shared = false;

	for (int i = 0; i < c->n_query; i++)
		shared = shared || c->query[i].shared;
	return o->user_embedding == has_query_input(c, SOURCE_USER) &&
		o->time_buckets == c->time.buckets &&
		(o->time_buckets > 0) == has_query_input(c, SOURCE_TIME) &&
		o->hour_of_day == has_query_input(c, SOURCE_HOUR_SIN) &&
		o->hour_of_day == has_query_input(c, SOURCE_HOUR_COS) &&
		o->day_of_week == has_query_input(c, SOURCE_WEEK_SIN) &&
		o->day_of_week == has_query_input(c, SOURCE_WEEK_COS) &&
		(o->history_length == 0 || o->history_shared == shared) &&
		agree_on_buckets(c, o->bucketize);
}

/*
 * Raises an error if these settings do not allow continuing that version.
 * Called within SPI.
 */
void
lbrec_check_warm(const ModelRow *row)
{
	TrainOptions options;
	ModelConfig *config = palloc(sizeof(ModelConfig));

	lbrec_load_config(config, row);
	lbrec_preset(&options, "default");
	lbrec_visit_settings(lbrec_stored_config(row), set_option, &options);
	lbrec_check_options(&options);
	if (!agree(&options, config))
		lbrec_bad_array(row, "config",
						"Its settings ask for other inputs than it has.");
	pfree(config);
}

/* The listens that the older model was trained on.  Within SPI. */
static void
read_query(WarmStart *warm)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(warm->row.id)};
	bool		isnull;

	if (SPI_execute_with_args("SELECT query, n_listens FROM lbrec.model "
							  "WHERE id OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, true,
							  1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not look up a version of a model");
	warm->query =
		MemoryContextStrdup(warm->context,
							SPI_getvalue(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1));
	warm->n_listens =
		DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									SPI_tuptable->tupdesc, 2, &isnull));
}

/*
 * Opens the active version of the named model.  options become its settings;
 * the caller then overwrites those given.
 */
WarmStart *
lbrec_warm_open(const char *name, TrainOptions *options,
				MemoryContext context)
{
	WarmStart  *warm = MemoryContextAllocZero(context, sizeof(WarmStart));
	const StoredParts *parts;
	MemoryContext old;

	warm->context = context;
	SPI_connect();
	if (!lbrec_find_model(&warm->row, name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist, or no version of it is active",
						name),
				 errdetail("Training or lbrec_add_items begins with its active version."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	lbrec_hold_version(warm->row.id);
	old = MemoryContextSwitchTo(context);
	lbrec_find_arrays(&warm->loaded, &warm->row, PART_TRAINS);
	lbrec_visit_settings(lbrec_stored_config(&warm->row), set_option,
						 options);
	options->given = 0;
	options->continued = true;
	MemoryContextSwitchTo(old);
	warm->temperature = options->temperature;
	read_query(warm);
	parts = warm->loaded.parts;
	lbrec_lay_out(&warm->model, &warm->loaded.config, true, parts,
				  warm->row.n_users, warm->row.n_recordings);
	for (int i = 0; i < parts->n; i++)
	{
		const void **place = lbrec_part_place(&parts->part[i], &warm->model);

		if (place && (parts->part[i].uses & PART_TRAINS) &&
			!parts->part[i].weight)
			*place = load(warm, i);
	}
	/* weights are checked when they are loaded */
	lbrec_check_arrays(&warm->loaded, PART_TRAINS);
	lbrec_check_sum(&warm->row);
	warm->model.counted.history_power = warm->loaded.config.repeat_power;
	warm->weeks.n = warm->model.n_recordings;
	warm->weeks.offsets = unconstify(int64 *, warm->model.week_offsets);
	warm->weeks.counts = unconstify(int32 *, warm->model.week_counts);
	SPI_finish();
	return warm;
}

void
lbrec_warm_time(const WarmStart *warm, TimeScale *time)
{
	double		last = fmax(time->last, warm->model.time.last);

	if (time->buckets == warm->model.time.buckets)
		*time = warm->model.time;
	time->last = last;
}

/*
 * Returns the older model's weights of the scores' parts, for one member;
 * false if it has none or was trained at another temperature, which scales dot
 * products.
 */
bool
lbrec_warm_mix(const WarmStart *warm, const TrainOptions *options, LbMix *mix)
{
	if (!warm->model.mixed || warm->temperature != options->temperature)
		return false;
	*mix = lbrec_mix_of_one(warm->model.mix, warm->loaded.config.ensemble);
	return true;
}

/*
 * Returns the weight of trends in the older model's logits; 0 if it has none,
 * or if these settings do not subtract log q.
 */
double
lbrec_warm_trend(const WarmStart *warm, const TrainOptions *options)
{
	return warm && options->batch_by != BATCH_LISTENS && options->logq &&
		!options->streaming_logq ? warm->loaded.config.trend : 0;
}

/*
 * Returns the number of steps behind the states that this optimiser continues.
 */
int64
lbrec_warm_steps(const WarmStart *warm, const LbOptimizer *opt)
{
	return (int) opt->kind == warm->loaded.config.optimizer ?
		warm->loaded.config.steps : 0;
}

/* Returns the older model in memory, without its weights. */
const TwoTower *
lbrec_warm_model(const WarmStart *warm)
{
	return &warm->model;
}

/*
 * Returns the older model's weights of next recordings, for all its members;
 * false if they do not fit the new one.
 */
bool
lbrec_warm_moment(const WarmStart *warm, const TrainOptions *options,
				  LbMomentWeights *moment)
{
	if (!warm->model.mixed || warm->temperature != options->temperature)
		return false;
	*moment = warm->model.moment;
	return true;
}

static void
add_key(const WarmStart *warm, Vocabulary *v, const void *key, uint32 len,
		int64 code, const char *array)
{
	CHECK_FOR_INTERRUPTS();
	if (lbrec_vocabulary_add(v, key, len) != code)
		lbrec_bad_array(&warm->row, array, TWO_ALIKE);
}

/* Returns the older model's values of a column, or NULL. */
static const FeatureValues *
find_column(const WarmStart *warm, const Feature *f)
{
	for (int i = 0; i < warm->model.n_features; i++)
	{
		const FeatureValues *old = &warm->model.features[i];

		if (strcmp(old->name, f->name) != 0)
			continue;
		/* numbers become codes of ranges later, when all listens are read */
		if (old->of_user == f->of_user && old->bucketed == f->bucketed &&
			(f->bucketed || old->kind == f->kind))
			return old;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("training cannot continue model \"%s\" in this shape",
						warm->row.name),
				 errdetail("Column \"%s\" is of another type than when the model was trained, or is no longer of users, or bucketized.",
						   f->name),
				 errhint("Leave user_features, bucketize and the columns' types as they were, or train without start_from.")));
	}
	return NULL;
}

/* Takes over the older model's values of a column, or sets all to unknown. */
static void
prepare_feature(const WarmStart *warm, Feature *f)
{
	const FeatureValues *old = find_column(warm, f);
	int64		entities = (f->of_user ? warm->row.n_users :
							warm->row.n_recordings) + 1;
	int64		keys = old ? rows_of(warm, f, "key_offsets") - 1 : 0;

	for (int64 e = 1; old == NULL && e < entities; e++)
	{
		CHECK_FOR_INTERRUPTS();
		lbrec_append_value(f, (Datum) 0, true, warm->context);
	}
	if (old == NULL)
		return;
	for (int64 i = 0; i < keys; i++)
		add_key(warm, f->keys, old->keys + old->key_offsets[i],
				(uint32) (old->key_offsets[i + 1] - old->key_offsets[i]),
				i + 1, psprintf("%s_keys", f->name));
	/* codes of ranges are made anew from the numbers */
	if (f->kind != FEATURE_NUMBER)
		f->codes = unconstify(int32 *, old->codes);
	f->numbers = unconstify(float *, old->numbers);
	/* the weights were trained on numbers of this scale */
	f->scaled = true;
	f->mean = old->mean;
	f->deviation = old->deviation;
	f->edges = unconstify(float *, old->edges);
	f->n_edges = (int) rows_of(warm, f, "edges");
	f->offsets = unconstify(int64 *, old->offsets);
	f->bag_codes = unconstify(int32 *, old->bag_codes);
	if (f->kind == FEATURE_BAG)
		f->n_bag_codes = f->bag_allocated = rows_of(warm, f, "codes");
	for (int64 e = 0; f->offsets && e < entities; e++)
		f->longest_bag = Max(f->longest_bag,
							 (int32) (f->offsets[e + 1] - f->offsets[e]));
	/* one more entry than entities: a bag has one more offset */
	f->allocated = f->kind == FEATURE_BAG ? entities + 1 : entities;
	f->n = entities;
}

/*
 * Call this before the first row is read: the older model's keys come first.
 */
void
lbrec_warm_prepare(Dataset *data, void *arg)
{
	WarmStart  *warm = arg;
	const TwoTower *m = &warm->model;

	for (int64 i = 0; i < m->n_users; i++)
		add_key(warm, data->users, &m->user_keys[i], sizeof(int64), i + 1,
				"user_key");
	for (int64 i = 0; i < m->n_recordings; i++)
		add_key(warm, data->recordings, &m->recording_keys[i], UUID_LEN,
				i + 1, "recording_key");
	while (data->recording_listens_allocated <= m->n_recordings)
		data->recording_listens_allocated *= 2;
	data->recording_listens = repalloc_huge(data->recording_listens,
											data->recording_listens_allocated *
											sizeof(int64));
	memset(data->recording_listens, 0,
		   data->recording_listens_allocated * sizeof(int64));
	memcpy(data->recording_listens + 1, m->recording_listens,
		   m->n_recordings * sizeof(int64));
	data->n_known_recordings = (int32) m->n_recordings;
	/* a catalogue stays one, also where items are not given again */
	if (warm->loaded.config.id_dropout > 0)
		lbrec_reserve_listed(data, data->n_known_recordings);
	for (int32 r = 1; r <= data->n_known_recordings && data->listed; r++)
		data->listed[r] = true;
	data->known_weeks = &warm->weeks;
	for (int i = 0; i < data->n_features; i++)
		prepare_feature(warm, &data->features[i]);
}

/* A column that the older model was trained with, as of a query's. */
static void
adopt_column(Dataset *data, const FeatureValues *old)
{
	Feature    *f = &data->features[data->n_features++];

	strlcpy(f->name, old->name, NAMEDATALEN);
	f->of_user = old->of_user;
	f->bucketed = old->bucketed;
	f->kind = old->bucketed ? FEATURE_NUMBER : old->kind;
	if (f->kind != FEATURE_NUMBER)
		f->keys = lbrec_vocabulary_create(data->context, 0);
}

/*
 * As lbrec_warm_prepare(), where nothing is trained: data, whose columns are
 * those of items, gets all that the older model has.
 */
void
lbrec_extend_prepare(Dataset *data, void *arg)
{
	WarmStart  *warm = arg;
	const TwoTower *m = &warm->model;
	int			n_given = data->n_features;

	for (int k = 0; k < n_given; k++)
	{
		const FeatureValues *old = find_column(warm, &data->features[k]);

		if (old == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("model \"%s\" was not trained with a column \"%s\" of recordings",
							warm->row.name, data->features[k].name),
					 errdetail("Items are added without training, so nothing is known of its values."),
					 errhint("Leave the column out of items, or train with it.")));
	}
	for (int i = 0; i < m->n_features; i++)
	{
		bool		given = false;

		for (int k = 0; k < n_given; k++)
			given |= strcmp(data->features[k].name, m->features[i].name) == 0;
		if (!given)
			adopt_column(data, &m->features[i]);
	}
	lbrec_warm_prepare(data, arg);
	data->query = warm->query;
	data->first_time = data->last_time = (int64) (m->time.last * 1e6);
	if (warm->loaded.config.id_dropout == 0)
		ereport(NOTICE,
				(errmsg("model \"%s\" was trained without items",
						warm->row.name),
				 errdetail("Its features did not learn to stand for a recording alone, so new recordings are known less well."),
				 errhint("Train with the argument items.")));
	lbrec_reserve_listed(data, data->n_known_recordings);
}

/* The number of listens that the older model was trained on. */
int64
lbrec_warm_listens(const WarmStart *warm)
{
	return warm->n_listens;
}

/*
 * Maps rows of the new table of recordings to those of the older one that they
 * continue, or -1 (*n_rows).  NULL if every row keeps its place.  With hash
 * buckets, a recording that now has a row of its own continues its bucket's
 * row, and all later rows have moved.
 */
static int32 *
rows_before(int64 *n_rows, const WarmStart *warm, const Dataset *data,
			const TrainOptions *options, const int32 *rows)
{
	int64		known = warm->row.n_recordings;
	int			hash_buckets = warm->loaded.config.hash_buckets;
	int32	   *old = NULL;
	int32	   *from;
	int64		n_old = known + 1;

	if (hash_buckets == 0 && rows == NULL)
		return NULL;
	if (hash_buckets > 0)
		old = lbrec_bucket_rows(&n_old, data->recordings,
								warm->model.recording_listens, known,
								warm->loaded.config.min_listens, hash_buckets,
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
	/* the number of buckets decides which recordings share one */
	if (options->hash_buckets == hash_buckets)
		for (int b = 1; b <= options->hash_buckets; b++)
			from[*n_rows - b] = (int32) (n_old - b);
	*n_rows = n_old;
	return from;
}

/*
 * Copies member m's columns of n_members side by side, for all rows or, with a
 * map, from the row that each new row continues.
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

/* The shape of a new array, and the older rows that it continues. */
typedef struct WarmArray
{
	int64		rows;
	int			cols;
	bool		table;			/* an array that may have grown */
	const int32 *map;			/* (rows): row of the older one, or NULL */
	int64		older_rows;		/* rows of the older array that the map refers
								 * to */
	int			m;				/* number of the member */
	int			n_members;
} WarmArray;

static void
warm_array(WarmStart *warm, const char *name, float *to,
		   const WarmArray *a)
{
	int			part = lbrec_find_part(warm->loaded.parts, name);
	TensorShape shape;
	float	   *data;
	int64		most = a->map ? a->older_rows : a->rows;

	/* the older model lacks this input or this optimiser's state */
	if (part < 0)
		return;
	shape = warm->loaded.parts->part[part].shape;
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
	data = load(warm, part);
	take_columns(to, data, a->map ? a->rows : shape.rows, a->cols, a->m,
				 a->n_members, a->map);
	pfree(data);
}

/*
 * Copies weights and optimiser's states of one member from the older model.
 * recording_rows are those of the new model, NULL if each recording has its
 * own.
 */
void
lbrec_warm_weights(WarmStart *warm, const Dataset *data,
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
		/* states of another optimiser have another meaning */
		for (int s = 0; s < lb_optimizer_states(opt) &&
			 (int) opt->kind == warm->loaded.config.optimizer; s++)
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
