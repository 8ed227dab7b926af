/*
 * save.c
 *		Writes a trained model to the tables.
 *
 * Everything is written in the caller's transaction, with the caller's rights;
 * others see the model after COMMIT.
 */
#include "pg/train/save.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/vocabulary.h"
#include "pg/listens/weeks.h"
#include "pg/model/config.h"
#include "pg/model/neighbours.h"
#include "pg/model/parts.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/store/evaluations.h"
#include "pg/store/tensors.h"
#include "pg/store/write.h"
#include "pg/train/gate.h"
#include "pg/train/measure.h"
#include "pg/train/options.h"
#include "pg/train/request.h"

typedef struct Saver
{
	TensorWriter writer;
	const Trained *trained;
	const Dataset *data;
	const char *config;
	StoredParts *parts;
	TwoTower	model;			/* the trained model, with all its arrays */
} Saver;

static void
save_array(Saver *saver, const StoredPart *p, const void *array)
{
	Size		size = lbrec_tensor_size(&p->shape);
	Size		done = 0;
	int32		chunk = 0;

	/* an empty array has one empty chunk, for its shape */
	do
	{
		Size		len = Min(size - done, TENSOR_CHUNK_BYTES);

		lbrec_write_chunk(&saver->writer, p->name, &p->shape, chunk++,
						  (const char *) array + done, len);
		done += len;
	} while (done < size);
}

/* Copies keys of one width, by code. */
static void *
copy_keys(const Vocabulary *v, int width)
{
	int32		n = lbrec_vocabulary_size(v);
	char	   *keys = palloc_extended(Max((Size) n * width, 1),
									   MCXT_ALLOC_HUGE);

	for (int32 code = 1; code <= n; code++)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(keys + (Size) (code - 1) * width,
			   lbrec_vocabulary_key(v, code, NULL), width);
	}
	return keys;
}

/* Returns offsets (n + 1) of keys of varying length. */
static int64 *
key_offsets(const Vocabulary *v)
{
	int32		n = lbrec_vocabulary_size(v);
	int64	   *offsets = palloc_extended(((Size) n + 1) * sizeof(int64),
										  MCXT_ALLOC_HUGE);

	offsets[0] = 0;
	for (int32 code = 1; code <= n; code++)
	{
		uint32		len;

		CHECK_FOR_INTERRUPTS();
		lbrec_vocabulary_key(v, code, &len);
		offsets[code] = offsets[code - 1] + len;
	}
	return offsets;
}

/* Joins keys of varying length. */
static char *
key_bytes(const Vocabulary *v, const int64 *offsets)
{
	int32		n = lbrec_vocabulary_size(v);
	char	   *bytes = palloc_extended(Max(offsets[n], 1), MCXT_ALLOC_HUGE);

	for (int32 code = 1; code <= n; code++)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(bytes + offsets[code - 1],
			   lbrec_vocabulary_key(v, code, NULL),
			   offsets[code] - offsets[code - 1]);
	}
	return bytes;
}

/*
 * Fills a chunk with candidate vectors as they will be searched.  All of them
 * can be a third of a training's memory, so they are computed chunk by chunk.
 */
static void
save_candidates(Saver *saver, const StoredPart *p)
{
	const TensorShape *shape = &p->shape;
	Size		row = shape->cols * sizeof(float);
	int			most = (int) Min(shape->rows, TENSOR_CHUNK_BYTES / row + 1);
	char	   *buffer = palloc(TENSOR_CHUNK_BYTES + most * row);
	float	   *rows = lbrec_alloc_aligned(CurrentMemoryContext, most * row,
										   "candidate vectors");
	Size		used = 0;
	int32		chunk = 0;

	for (int64 from = 0; from < shape->rows; from += most)
	{
		int			n = (int) Min(most, shape->rows - from);

		lbrec_candidate_rows(rows, &saver->model, from, n, NULL,
							 CurrentMemoryContext);
		memcpy(buffer + used, rows, n * row);
		used += n * row;
		while (used >= TENSOR_CHUNK_BYTES)
		{
			lbrec_write_chunk(&saver->writer, p->name, shape, chunk++,
							  buffer, TENSOR_CHUNK_BYTES);
			used -= TENSOR_CHUNK_BYTES;
			memmove(buffer, buffer + TENSOR_CHUNK_BYTES, used);
		}
	}
	if (used > 0)
		lbrec_write_chunk(&saver->writer, p->name, shape, chunk, buffer,
						  used);
	pfree(buffer);
}

/*
 * Points the model at the arrays that a training keeps elsewhere, except keys,
 * which are copied one vocabulary at a time.
 */
static void
gather_arrays(Saver *saver)
{
	const Trained *trained = saver->trained;
	const Dataset *data = saver->data;
	TwoTower   *model = &saver->model;
	WeekCounts *weeks = lbrec_count_weeks(data);

	*model = *trained->model;
	model->recording_listens = data->recording_listens + 1;
	model->week_offsets = weeks->offsets;
	model->week_counts = weeks->counts;
	for (int i = 0; i < data->n_features; i++)
	{
		model->features[i].numbers = data->features[i].numbers;
		model->features[i].edges = data->features[i].edges;
	}
	for (int i = 0; i < model->core.n_tensors; i++)
		for (int s = 0; s < trained->states.n; s++)
			model->core.tensors[i].state[s] = trained->states.values[s][i];
}

static const Feature *
find_feature(const Saver *saver, const StoredPart *p)
{
	for (int i = 0; i < saver->data->n_features; i++)
		if (strcmp(saver->data->features[i].name, p->subject) == 0)
			return &saver->data->features[i];
	return NULL;
}

/* Returns the number of rows of an array whose size is not in the config. */
static int64
count_rows(const Saver *saver, const StoredPart *p)
{
	const Feature *f = find_feature(saver, p);
	const LbModel *core = &saver->model.core;

	if (p->cut_by >= 0)
	{
		StoredPart *cut = &saver->parts->part[p->cut_by];
		const int64 *offsets = *lbrec_part_place(cut,
												 unconstify(TwoTower *, &saver->model));

		return offsets[cut->shape.rows - 1];
	}
	if (strcmp(p->name, "config") == 0)
		return strlen(saver->config);
	if (p->check == CHECK_OFFSETS)
		return (int64) lbrec_vocabulary_size(f->keys) + 1;
	if (p->check == CHECK_ASCENDING)
		return f->n_edges;
	return core->tensors[lb_model_find_tensor(core, p->subject)].rows;
}

/* Checks that the configuration gives the shapes in memory. */
static void
check_weight(const Saver *saver, const StoredPart *p)
{
	const LbModel *core = &saver->model.core;
	int			i = lb_model_find_tensor(core, p->subject);
	bool		state = strcmp(p->name, p->subject) != 0;

	if (i < 0 || core->tensors[i].rows != p->shape.rows ||
		p->shape.cols != (state ? saver->trained->states.cols[i] :
						  core->tensors[i].cols))
		elog(ERROR, "array \"%s\" has another shape than its model's configuration tells",
			 p->name);
}

/* Writes one array; keys are copied out of their vocabulary first. */
static void
save_part(Saver *saver, StoredPart *p)
{
	const Feature *f = find_feature(saver, p);
	const void **place = lbrec_part_place(p, &saver->model);

	if (strcmp(p->name, "candidate") == 0)
	{
		save_candidates(saver, p);
		return;
	}
	if (f && f->keys && p->check == CHECK_OFFSETS && *place == NULL)
		*place = key_offsets(f->keys);
	if (p->shape.rows < 0)
		p->shape.rows = count_rows(saver, p);
	if (p->weight)
		check_weight(saver, p);
	if (strcmp(p->name, "config") == 0)
		save_array(saver, p, saver->config);
	else if (p->unique)
	{
		void	   *keys = f ?
			(void *) key_bytes(f->keys,
							   saver->model.features[f - saver->data->features].key_offsets) :
			copy_keys(p->shape.type == TENSOR_UUID ?
					  saver->data->recordings : saver->data->users,
					  p->shape.type == TENSOR_UUID ? UUID_LEN :
					  (int) sizeof(int64));

		save_array(saver, p, keys);
		pfree(keys);
	}
	else
		save_array(saver, p, *place);
}

static void
insert_epochs(int64 id, const EpochReport *epochs, int n_epochs)
{
	Oid			types[15] = {INT8OID, INT4OID, FLOAT8OID, FLOAT8OID,
		FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID};
	SPIPlanPtr	plan;

	plan = SPI_prepare("INSERT INTO lbrec.epoch (model, epoch, loss, test_loss,"
					   " top_1, top_5, top_10, top_50, top_100, recall_20,"
					   " ndcg_20, ndcg_100, mrr, seconds, listens_per_second) "
					   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
					   " $12, $13, $14, $15)",
					   15, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the insertion into lbrec.epoch");
	for (int i = 0; i < n_epochs; i++)
	{
		const EpochReport *e = &epochs[i];
		Datum		values[15];
		char		nulls[15];

		memset(nulls, e->evaluated ? ' ' : 'n', sizeof(nulls));
		nulls[0] = nulls[1] = nulls[2] = nulls[13] = nulls[14] = ' ';
		if (e->new_users == 0)
			nulls[9] = nulls[10] = nulls[11] = 'n';
		values[0] = Int64GetDatum(id);
		values[1] = Int32GetDatum(e->epoch);
		values[2] = Float8GetDatum(e->loss);
		values[3] = Float8GetDatum(e->test_loss);
		for (int k = 0; k < N_TOP_KS; k++)
			values[4 + k] = Float8GetDatum(e->top_k[k]);
		values[9] = Float8GetDatum(e->recall);
		values[10] = Float8GetDatum(e->ndcg);
		values[11] = Float8GetDatum(e->ndcg_100);
		values[12] = Float8GetDatum(e->mrr);
		values[13] = Float8GetDatum(e->seconds);
		values[14] = Float8GetDatum(e->listens_per_second);
		if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert into lbrec.epoch");
	}
}

/* Converts measures at one K to a row of lbrec.evaluation. */
EvaluationRow
lbrec_evaluation_row(const char *recommender, int k, const Metrics *m)
{
	return (EvaluationRow)
	{
		.recommender = recommender, .k = k, .top_k = m->top_k,
			.ndcg = m->ndcg, .mrr = m->mrr,
			.new_recall = m->users > 0 ? m->new_recall : NAN,
			.new_ndcg = m->users > 0 ? m->new_ndcg : NAN,
			.coverage = NAN, .mean_popularity = NAN, .users = m->users
	};
}

/* Stores the measures of the saved epoch and of the baselines. */
static void
keep_measures(int64 id, const Trained *trained, const Dataset *data,
			  const TrainOptions *options)
{
	const EpochReport *report = lbrec_saved_report(trained);
	const HeldOut *held = &trained->held;
	EvaluationHead head = {.model = id, .kind = "training",
		.listens = data->query, .split = lbrec_split_name(options->split),
		.first_time = held->first_time, .last_time = held->last_time,
	.n_listens = held->n, .unknown = held->unknown};
	EvaluationRow rows[(1 + N_BASELINES) * N_KEPT_KS];
	int			n = 0;

	if (report == NULL)
		return;
	for (int i = 0; i < N_KEPT_KS; i++)
		rows[n++] = lbrec_evaluation_row("model", lbrec_kept_ks[i],
										 &report->kept[i]);
	for (int b = 0; b < N_BASELINES; b++)
		for (int i = 0; i < N_KEPT_KS; i++)
			rows[n++] = lbrec_evaluation_row(lbrec_baseline_names[b],
											 lbrec_kept_ks[i],
											 &held->baselines[b][i]);
	lbrec_keep_evaluation(&head, rows, n);
}

/* Reports a problem in a configuration that this library made. */
static void
bad_config(const char *tensor, int32 chunk, const char *problem, void *arg)
{
	elog(ERROR, "the model's configuration cannot be read back: %s", problem);
}

/*
 * Writes a trained model as the next version of its name; returns its number.
 * Candidate vectors are stored as they will be searched; the candidate tower's
 * weights are stored to continue training.
 */
int32
lbrec_save_model(const char *name, const Trained *trained,
				 const Dataset *data, const TrainOptions *options,
				 const EpochReport *epochs, int n_epochs)
{
	const TwoTower *model = trained->model;
	NewModel	row = {.name = name, .query = data->query,
		.n_listens = data->n_listens, .n_users = model->n_users,
		.n_recordings = model->n_recordings, .activate = options->activate,
	.make_default = options->make_default};
	int32		version;
	Saver	   *saver = palloc0(sizeof(Saver));
	ModelConfig *config = palloc(sizeof(ModelConfig));
	TrainOptions stored = *options;
	char	   *text;

	/* tells whoever continues the model that it knows a catalogue */
	if (data->listed == NULL)
		stored.id_dropout = 0;
	SPI_connect();
	lbrec_describe(config, model);
	config->best_epoch = trained->best_epoch;
	config->trend = trained->trend;
	config->steps = (int) Min(trained->states.steps, PG_INT32_MAX);
	row.config = lbrec_config_json(config, lbrec_options_json(&stored));
	lbrec_begin_model(&saver->writer, &version, &text, &row);
	insert_epochs(saver->writer.id, epochs, n_epochs);
	keep_measures(saver->writer.id, trained, data, options);

	/* other sessions will read the text, so save its values */
	(void) lbrec_parse_config(config, text, bad_config, NULL);
	saver->trained = trained;
	saver->data = data;
	saver->config = text;
	saver->parts = lbrec_list_parts(config, model->n_users,
									model->n_recordings);
	gather_arrays(saver);
	for (int i = 0; i < saver->parts->n; i++)
		save_part(saver, &saver->parts->part[i]);
	lbrec_end_model(&saver->writer);
	SPI_finish();
	return version;
}
