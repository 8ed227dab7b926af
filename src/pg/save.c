/*
 * save.c
 *		Writes models.
 *
 * Everything is written in the caller's transaction, with the caller's
 * rights; until COMMIT nobody sees the model.
 */
#include "store.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "popularity.h"

/* First key of the advisory lock that orders savers of one name. */
#define LOCK_CLASS 0x6c627265	/* "lbre" */

typedef struct Saver
{
	int64		id;
	SPIPlanPtr	insert;
	uint64		checksum;
} Saver;

static void
save_tensor(Saver *saver, const char *name, TensorType type, int64 rows,
			int cols, const void *data)
{
	TensorShape shape = {type, rows, cols};
	Size		size = lbrec_tensor_size(&shape);
	Size		done = 0;
	int32		chunk = 0;
	bytea	   *piece = palloc(VARHDRSZ + Min(size, TENSOR_CHUNK_BYTES));

	/* an empty tensor has one empty chunk, so that its shape is known */
	do
	{
		Size		len = Min(size - done, TENSOR_CHUNK_BYTES);
		pg_crc32c	crc;
		Datum		values[8];

		CHECK_FOR_INTERRUPTS();
		memcpy(VARDATA(piece), (const char *) data + done, len);
		SET_VARSIZE(piece, VARHDRSZ + len);
		crc = lbrec_chunk_crc(saver->id, name, chunk, &shape, VARDATA(piece), len);
		values[0] = Int64GetDatum(saver->id);
		values[1] = CStringGetTextDatum(name);
		values[2] = Int32GetDatum(chunk);
		values[3] = CStringGetTextDatum(lbrec_tensor_type_name(type));
		values[4] = Int64GetDatum(rows);
		values[5] = Int32GetDatum(cols);
		values[6] = Int64GetDatum((int64) crc);
		values[7] = PointerGetDatum(piece);
		if (SPI_execute_plan(saver->insert, values, NULL, false, 0) !=
			SPI_OK_INSERT)
			elog(ERROR, "could not insert into lbrec.tensor");
		saver->checksum = hash_combine64(saver->checksum,
										 hash_bytes_uint32_extended(crc, chunk));
		done += len;
		chunk++;
	} while (done < size);
	pfree(piece);
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
		memcpy(keys + (Size) (code - 1) * width,
			   lbrec_vocabulary_key(v, code, NULL), width);
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

		lbrec_vocabulary_key(v, code, &len);
		offsets[code] = offsets[code - 1] + len;
	}
	bytes = palloc_extended(Max(offsets[n], 1), MCXT_ALLOC_HUGE);
	for (int32 code = 1; code <= n; code++)
		memcpy(bytes + offsets[code - 1],
			   lbrec_vocabulary_key(v, code, NULL),
			   offsets[code] - offsets[code - 1]);
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
		for (int s = 0; s < trained->n_states; s++)
			save_tensor(saver, psprintf("%s.state%d", t->name, s),
						TENSOR_FLOAT4, t->rows, trained->state_cols[i],
						trained->states[s][i]);
	}
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
config_json(const TwoTower *model, const TrainOptions *options,
			int best_epoch)
{
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
					 model->time.buckets, best_epoch);
	if (model->mixed)
		appendStringInfo(&s, ", \"mix\": {\"neighbour\": %.17g, "
						 "\"own\": %.17g, \"recency\": %.17g, "
						 "\"own_share\": %.17g}", model->mix.neighbour,
						 model->mix.own, model->mix.recency,
						 model->mix.own_share);
	appendStringInfoChar(&s, '}');
	return s.data;
}

/*
 * The new version's row; its checksum follows when the tensors are known.
 * *config is what the row's config reads as, in jsonb's own form.
 */
static int64
insert_model(char **config, const char *name, const Trained *trained,
			 const Dataset *data, const TrainOptions *options)
{
	const TwoTower *model = trained->model;
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID,
		INT8OID, BOOLOID, INT4OID, INT4OID};
	Datum		values[9];
	bool		isnull;
	int64		id;

	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(data->query);
	values[2] = CStringGetTextDatum(config_json(trained->model, options,
												trained->best_epoch));
	values[3] = Int64GetDatum(data->n_listens);
	values[4] = Int64GetDatum(model->n_users);
	values[5] = Int64GetDatum(model->n_recordings);
	values[6] = BoolGetDatum(options->activate);
	values[7] = Int32GetDatum(LOCK_CLASS);
	values[8] = Int32GetDatum((int32) hash_bytes((const unsigned char *) name,
												 strlen(name)));

	/*
	 * Two savers of one name would compute the same version; the second waits
	 * for the first one's transaction instead.  The lock is taken by a
	 * statement of its own: the next one's snapshot must see what the first
	 * saver has committed meanwhile.
	 */
	if (SPI_execute_with_args("SELECT pg_catalog.pg_advisory_xact_lock($8, $9)",
							  9, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock the name of a model");
	if (SPI_execute_with_args(
							  "INSERT INTO lbrec.model (name, version, activation, query, config,"
							  " n_listens, n_users, n_recordings, checksum) "
							  "SELECT $1, 1 OPERATOR(pg_catalog.+) COALESCE(pg_catalog.max(m.version), 0), "
							  "CASE WHEN $7 THEN pg_catalog.nextval('lbrec.activation_seq') ELSE 0 END, "
							  "$2, $3::pg_catalog.jsonb, $4, $5, $6, 0 "
							  "FROM lbrec.model AS m WHERE m.name OPERATOR(pg_catalog.=) $1 "
							  "RETURNING id, config",
							  9, types, values, NULL, false, 1) != SPI_OK_INSERT_RETURNING ||
		SPI_processed != 1)
		elog(ERROR, "could not insert into lbrec.model");
	id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, 1, &isnull));
	*config = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	return id;
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

static void
update_checksum(int64 id, uint64 checksum)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(id), Int64GetDatum((int64) checksum)};

	if (SPI_execute_with_args("UPDATE lbrec.model SET checksum = $2 "
							  "WHERE id OPERATOR(pg_catalog.=) $1",
							  2, types, values, NULL, false, 0) != SPI_OK_UPDATE ||
		SPI_processed != 1)
		elog(ERROR, "could not update lbrec.model");
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
	Oid			types[] = {INT8OID, TEXTOID, INT4OID, TEXTOID, INT8OID,
		INT4OID, INT8OID, BYTEAOID};
	Saver		saver = {0};
	char	   *config;
	WeekCounts *weeks;
	float	   *candidates;
	int			D = lb_tower_width(&model->core.query);

	SPI_connect();
	saver.id = insert_model(&config, name, trained, data, options);
	insert_epochs(saver.id, epochs, n_epochs);
	saver.insert = SPI_prepare("INSERT INTO lbrec.tensor (model, name, chunk,"
							   " type, rows, cols, crc32c, data) "
							   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
							   8, types);
	if (saver.insert == NULL)
		elog(ERROR, "could not prepare the insertion into lbrec.tensor");

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
	candidates = lbrec_alloc_aligned(CurrentMemoryContext,
									 (Size) model->n_recordings * D *
									 sizeof(float), "candidate vectors");
	lbrec_candidate_vectors(candidates, model, NULL, CurrentMemoryContext);
	save_tensor(&saver, "candidate", TENSOR_FLOAT4, model->n_recordings, D,
				candidates);
	update_checksum(saver.id, saver.checksum);
	SPI_finish();
	return saver.id;
}
