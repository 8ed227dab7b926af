/*
 * save.c
 *		Writes models.
 *
 * Everything is written in the caller's transaction, with the caller's
 * rights; until COMMIT nobody sees the model.
 */
#include "pg/train/save.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/vocabulary.h"
#include "pg/listens/weeks.h"
#include "pg/model/neighbours.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/store/tensors.h"
#include "pg/store/write.h"
#include "pg/train/options.h"
#include "pg/train/request.h"

typedef struct Saver
{
	TensorWriter writer;
	StringInfoData manifest;	/* the tensors, as JSON */
} Saver;

static void
note_tensor(Saver *saver, const char *name, const TensorShape *shape)
{
	appendStringInfoString(&saver->manifest,
						   saver->manifest.len > 1 ? ", {\"name\": " :
						   "{\"name\": ");
	escape_json(&saver->manifest, name);
	appendStringInfo(&saver->manifest,
					 ", \"type\": \"%s\", \"rows\": %lld, \"cols\": %d}",
					 lbrec_tensor_type_name(shape->type),
					 (long long) shape->rows, shape->cols);
}

static void
save_tensor(Saver *saver, const char *name, TensorType type, int64 rows,
			int cols, const void *data)
{
	TensorShape shape = {type, rows, cols};
	Size		size = lbrec_tensor_size(&shape);
	Size		done = 0;
	int32		chunk = 0;

	/* an empty tensor has one empty chunk, so that its shape is known */
	do
	{
		Size		len = Min(size - done, TENSOR_CHUNK_BYTES);

		lbrec_write_chunk(&saver->writer, name, &shape, chunk++,
						  (const char *) data + done, len);
		done += len;
	} while (done < size);
	note_tensor(saver, name, &shape);
}

/* What was saved: lbrec_check finds out by it when a tensor is missing. */
static void
save_manifest(Saver *saver)
{
	StringInfoData m = saver->manifest;

	appendStringInfoChar(&m, ']');
	save_tensor(saver, "manifest", TENSOR_BYTES, m.len, 1, m.data);
}

/* Keys of one width, by code. */
static void
save_keys(Saver *saver, const char *name, TensorType type,
		  const Vocabulary *v)
{
	int32		n = lbrec_vocabulary_size(v);
	TensorShape shape = {type, 1, 1};
	int			width = (int) lbrec_tensor_size(&shape);
	char	   *keys = palloc_extended(Max((Size) n * width, 1),
									   MCXT_ALLOC_HUGE);

	for (int32 code = 1; code <= n; code++)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(keys + (Size) (code - 1) * width,
			   lbrec_vocabulary_key(v, code, NULL), width);
	}
	save_tensor(saver, name, type, n, 1, keys);
	pfree(keys);
}

/* Keys of varying length: offsets (n + 1) and the bytes. */
static void
save_text_keys(Saver *saver, const char *feature, const Vocabulary *v)
{
	int32		n = lbrec_vocabulary_size(v);
	int64	   *offsets = palloc_extended(((Size) n + 1) * sizeof(int64),
										  MCXT_ALLOC_HUGE);
	char	   *bytes;

	offsets[0] = 0;
	for (int32 code = 1; code <= n; code++)
	{
		uint32		len;

		CHECK_FOR_INTERRUPTS();
		lbrec_vocabulary_key(v, code, &len);
		offsets[code] = offsets[code - 1] + len;
	}
	bytes = palloc_extended(Max(offsets[n], 1), MCXT_ALLOC_HUGE);
	for (int32 code = 1; code <= n; code++)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(bytes + offsets[code - 1],
			   lbrec_vocabulary_key(v, code, NULL),
			   offsets[code] - offsets[code - 1]);
	}
	save_tensor(saver, psprintf("%s_key_offsets", feature), TENSOR_INT8,
				(int64) n + 1, 1, offsets);
	save_tensor(saver, psprintf("%s_keys", feature), TENSOR_BYTES,
				offsets[n], 1, bytes);
	pfree(offsets);
	pfree(bytes);
}

static void
save_feature(Saver *saver, const Feature *f)
{
	if (f->keys)
		save_text_keys(saver, f->name, f->keys);
	if (f->bucketed)
	{
		/* a warm start puts new values into the same buckets */
		save_tensor(saver, psprintf("%s_edges", f->name), TENSOR_FLOAT4,
					f->n_edges, 1, f->edges);
		save_tensor(saver, psprintf("%s_numbers", f->name), TENSOR_FLOAT4,
					f->n, 1, f->numbers);
	}
	switch (f->kind)
	{
		case FEATURE_CATEGORY:
			save_tensor(saver, psprintf("%s_codes", f->name), TENSOR_INT4,
						f->n, 1, f->codes);
			break;
		case FEATURE_NUMBER:
			save_tensor(saver, psprintf("%s_numbers", f->name),
						TENSOR_FLOAT4, f->n, 1, f->numbers);
			break;
		case FEATURE_BAG:
			save_tensor(saver, psprintf("%s_offsets", f->name), TENSOR_INT8,
						f->n + 1, 1, f->offsets);
			save_tensor(saver, psprintf("%s_codes", f->name), TENSOR_INT4,
						f->n_bag_codes, 1, f->bag_codes);
			break;
	}
}

/* Users' recordings, for the history input, repeats and baselines. */
static void
save_lists(Saver *saver, const UserLists *lists)
{
	int64		n = lists->offsets[lists->n_users + 1];

	save_tensor(saver, "history_offsets", TENSOR_INT8, lists->n_users + 2, 1,
				lists->offsets);
	save_tensor(saver, "history_codes", TENSOR_INT4, n, 1, lists->codes);
	save_tensor(saver, "history_plays", TENSOR_FLOAT4, n, 1, lists->plays);
	save_tensor(saver, "history_last", TENSOR_INT8, lists->n_users + 1, 1,
				lists->last);
	if (lists->recency)
		save_tensor(saver, "history_recency", TENSOR_FLOAT4, n, 1,
					lists->recency);
}

static void
save_neighbours(Saver *saver, const Neighbours *nb)
{
	int64		n = nb->offsets[nb->n_recordings + 1];

	save_tensor(saver, "neighbour_offsets", TENSOR_INT8, nb->n_recordings + 2,
				1, nb->offsets);
	save_tensor(saver, "neighbour_codes", TENSOR_INT4, n, 1, nb->codes);
	save_tensor(saver, "neighbour_counts", TENSOR_FLOAT4, n, 1, nb->counts);
	save_tensor(saver, "neighbour_sums", TENSOR_FLOAT4, nb->n_recordings + 1,
				1, nb->sums);
}

/* Weights, and the optimiser's states to continue from. */
static void
save_weights(Saver *saver, const Trained *trained)
{
	const LbModel *core = &trained->model->core;

	for (int i = 0; i < core->n_tensors; i++)
	{
		const LbTensor *t = &core->tensors[i];

		save_tensor(saver, t->name, TENSOR_FLOAT4, t->rows, t->cols,
					t->value);
		for (int s = 0; s < trained->states.n; s++)
			save_tensor(saver, psprintf("%s.state%d", t->name, s),
						TENSOR_FLOAT4, t->rows, trained->states.cols[i],
						trained->states.values[s][i]);
	}
}

/*
 * Candidate vectors as they will be searched.  All of them together can be a
 * third of a training's memory, so they are made as chunks are filled.
 */
static void
save_candidates(Saver *saver, const TwoTower *model)
{
	TensorShape shape = {TENSOR_FLOAT4, model->n_recordings,
		lb_tower_width(&model->core.query)};
	Size		row = shape.cols * sizeof(float);
	int			most = (int) Min(shape.rows, TENSOR_CHUNK_BYTES / row + 1);
	char	   *buffer = palloc(TENSOR_CHUNK_BYTES + most * row);
	float	   *rows = lbrec_alloc_aligned(CurrentMemoryContext, most * row,
										   "candidate vectors");
	Size		used = 0;
	int32		chunk = 0;

	for (int64 from = 0; from < shape.rows; from += most)
	{
		int			n = (int) Min(most, shape.rows - from);

		lbrec_candidate_rows(rows, model, from, n, NULL, CurrentMemoryContext);
		memcpy(buffer + used, rows, n * row);
		used += n * row;
		while (used >= TENSOR_CHUNK_BYTES)
		{
			lbrec_write_chunk(&saver->writer, "candidate", &shape, chunk++,
							  buffer, TENSOR_CHUNK_BYTES);
			used -= TENSOR_CHUNK_BYTES;
			memmove(buffer, buffer + TENSOR_CHUNK_BYTES, used);
		}
	}
	if (used > 0)
		lbrec_write_chunk(&saver->writer, "candidate", &shape, chunk, buffer,
						  used);
	note_tensor(saver, "candidate", &shape);
	pfree(buffer);
}

static void
inputs_json(StringInfo s, const TwoTower *model, bool query)
{
	const LbTower *tower = query ?
		&model->core.query : &model->core.candidate;
	const ModelInput *inputs = query ?
		model->query_inputs : model->candidate_inputs;

	appendStringInfoChar(s, '[');
	for (int i = 0; i < tower->n_inputs; i++)
	{
		const ModelInput *input = &inputs[i];

		appendStringInfo(s, "%s{\"source\": \"%s\"", i ? ", " : "",
						 lbrec_source_name(input->source));
		if (input->source == SOURCE_FEATURE)
		{
			const FeatureValues *f = &model->features[input->feature];
			static const char *const kinds[] = {"category", "bag", "number"};

			appendStringInfoString(s, ", \"column\": ");
			escape_json(s, f->name);
			appendStringInfo(s, ", \"kind\": \"%s\"", kinds[f->kind]);
			if (f->kind == FEATURE_NUMBER)
				appendStringInfo(s, ", \"mean\": %.17g, \"deviation\": %.17g",
								 f->mean, f->deviation);
		}
		if (input->table >= 0)
		{
			appendStringInfoString(s, ", \"table\": ");
			escape_json(s, model->core.tensors[input->table].name);
		}
		appendStringInfoChar(s, '}');
	}
	appendStringInfoChar(s, ']');
}

static char *
config_json(const Trained *trained, const TrainOptions *options)
{
	const TwoTower *model = trained->model;
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfo(&s, "{\"lbrec\": \"%s\", \"options\": %s, \"query\": ",
					 LBREC_VERSION, lbrec_options_json(options));
	inputs_json(&s, model, true);
	appendStringInfoString(&s, ", \"candidate\": ");
	inputs_json(&s, model, false);
	appendStringInfo(&s, ", \"time\": {\"mean\": %.17g, \"deviation\": %.17g, "
					 "\"first_edge\": %.17g, \"last_edge\": %.17g, "
					 "\"buckets\": %d}, \"best_epoch\": %d",
					 model->time.mean, model->time.deviation,
					 model->time.first_edge, model->time.last_edge,
					 model->time.buckets, trained->best_epoch);
	if (model->mixed)
		appendStringInfo(&s, ", \"mix\": {\"neighbour\": %.17g, "
						 "\"own\": %.17g, \"recency\": %.17g, "
						 "\"own_share\": %.17g}", model->mix.neighbour,
						 model->mix.own, model->mix.recency,
						 model->mix.own_share);
	if (trained->trend != 0)
		appendStringInfo(&s, ", \"trend\": %.17g", trained->trend);
	appendStringInfoChar(&s, '}');
	return s.data;
}

static void
insert_epochs(int64 id, const EpochReport *epochs, int n_epochs)
{
	Oid			types[14] = {INT8OID, INT4OID, FLOAT8OID, FLOAT8OID,
		FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID};
	SPIPlanPtr	plan;

	plan = SPI_prepare("INSERT INTO lbrec.epoch (model, epoch, loss, test_loss,"
					   " top_1, top_5, top_10, top_50, top_100, recall_20,"
					   " ndcg_20, mrr, seconds, listens_per_second) "
					   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
					   " $12, $13, $14)",
					   14, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the insertion into lbrec.epoch");
	for (int i = 0; i < n_epochs; i++)
	{
		const EpochReport *e = &epochs[i];
		Datum		values[14];
		char		nulls[14];

		memset(nulls, e->evaluated ? ' ' : 'n', sizeof(nulls));
		nulls[0] = nulls[1] = nulls[2] = nulls[12] = nulls[13] = ' ';
		values[0] = Int64GetDatum(id);
		values[1] = Int32GetDatum(e->epoch);
		values[2] = Float8GetDatum(e->loss);
		values[3] = Float8GetDatum(e->test_loss);
		for (int k = 0; k < N_TOP_KS; k++)
			values[4 + k] = Float8GetDatum(e->top_k[k]);
		values[9] = Float8GetDatum(e->recall);
		values[10] = Float8GetDatum(e->ndcg);
		values[11] = Float8GetDatum(e->mrr);
		values[12] = Float8GetDatum(e->seconds);
		values[13] = Float8GetDatum(e->listens_per_second);
		if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert into lbrec.epoch");
	}
}

/*
 * Writes a trained model as the next version of its name.  Returns its id.
 * Candidate vectors are stored as they will be searched; the candidate
 * tower's weights are there to continue training.
 */
int64
lbrec_save_model(const char *name, const Trained *trained,
				 const Dataset *data, const TrainOptions *options,
				 const EpochReport *epochs, int n_epochs)
{
	const TwoTower *model = trained->model;
	NewModel	row = {.name = name, .query = data->query,
		.n_listens = data->n_listens, .n_users = model->n_users,
	.n_recordings = model->n_recordings, .activate = options->activate};
	int32		version;
	Saver		saver = {0};
	char	   *config;
	WeekCounts *weeks;

	SPI_connect();
	row.config = config_json(trained, options);
	lbrec_begin_model(&saver.writer, &version, &config, &row);
	insert_epochs(saver.writer.id, epochs, n_epochs);
	initStringInfo(&saver.manifest);
	appendStringInfoChar(&saver.manifest, '[');

	/* once more, so that its damage is found out as a tensor's is */
	save_tensor(&saver, "config", TENSOR_BYTES, strlen(config), 1, config);
	save_keys(&saver, "user_key", TENSOR_INT8, data->users);
	save_keys(&saver, "recording_key", TENSOR_UUID, data->recordings);
	save_tensor(&saver, "recording_listens", TENSOR_INT8,
				model->n_recordings, 1, data->recording_listens + 1);
	weeks = lbrec_count_weeks(data);
	save_tensor(&saver, "recording_week_starts", TENSOR_INT8, weeks->n + 1, 1,
				weeks->offsets);
	save_tensor(&saver, "recording_weeks", TENSOR_INT4,
				weeks->offsets[weeks->n], 2, weeks->counts);
	for (int i = 0; i < data->n_features; i++)
		save_feature(&saver, &data->features[i]);
	save_lists(&saver, trained->lists);
	if (trained->neighbours)
		save_neighbours(&saver, trained->neighbours);
	save_weights(&saver, trained);
	save_candidates(&saver, model);
	save_manifest(&saver);
	lbrec_end_model(&saver.writer);
	SPI_finish();
	return saver.writer.id;
}
