/*
 * trainer.c
 *		Builds the towers for a dataset, splits it, and runs the epochs.
 *
 * Everything is allocated in the caller's memory context; nothing is written
 * here, so an error or a cancel at any moment leaves no trace.
 */
#include "trainer.h"

#include <math.h>

#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/backend_status.h"

#include "core/lb_split.h"
#include "ranking.h"

/* The preprint's split: its notebook's shuffle buffer, take and skip. */
#define PAPER_BUFFER 40000
#define PAPER_TRAIN 40000
#define PAPER_TEST 10000
#define TEST_BATCH 4096

/* Streams of the seed, so that one consumer does not disturb another. */
#define STREAM_SPLIT 1001
#define STREAM_EPOCHS 1002

const int	lbrec_top_ks[N_TOP_KS] = {1, 5, 10, 50, 100};

typedef struct Trainer
{
	const char *name;
	Dataset    *data;
	const TrainOptions *options;
	MemoryContext context;
	TwoTower   *model;
	LbThreads  *pool;
	LbOptimizer optimizer;
	LbObjective objective;
	LbWorkspace workspace;
	InputBuffers query;
	InputBuffers candidate;
	int			batch_size;		/* the larger of train's and test's */
	uint32	   *train;			/* listens, shuffled in place each epoch */
	int64		n_train;
	uint32	   *test;
	int64		n_test;
	float	   *log_q;			/* by recording code: share of the train set */
	int32	   *users;			/* buffers of one batch */
	int32	   *recordings;
	int64	   *times;
	float	   *batch_log_q;
} Trainer;

/* Users and recordings enough for one to be told from the other. */
static void
check_dataset(const Dataset *data, const TrainOptions *options)
{
	if (data->n_listens > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the query of listens returned too many rows"),
				 errdetail("A training run can hold %u listens.",
						   PG_UINT32_MAX),
				 errhint("Train on a shorter period.")));
	if (lbrec_vocabulary_size(data->recordings) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the listens are all of one recording"),
				 errdetail("Recordings are learnt by telling them from each other."),
				 errhint("Widen the query of listens.")));
	if (lbrec_vocabulary_size(data->users) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the listens are all of one user"),
				 errdetail("Tastes are learnt by telling users from each other."),
				 errhint("Add listens of other users, for example from a ListenBrainz dump.")));
	if (strcmp(options->preset, "paper") == 0)
	{
		bool		found = false;

		for (int i = 0; i < data->n_features; i++)
			if (strcmp(data->features[i].name, "artist_name") == 0)
				found = true;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the query of listens has no column \"artist_name\""),
					 errdetail("The preset \"paper\" feeds it to the candidate tower."),
					 errhint("For example: listens => 'SELECT user_id, listened_at, recording_msid, artist_name FROM listen JOIN recording USING (recording_msid)'.")));
	}
}

/* The embedding table of a further column. */
static void
add_feature(Trainer *trainer, int i)
{
	const Feature *f = &trainer->data->features[i];
	TwoTower   *model = trainer->model;
	int64		rows = f->keys ? lbrec_vocabulary_size(f->keys) + 1 : 0;
	char	   *table = psprintf("%s_embedding", f->name);

	lbrec_feature_values(&model->features[i], f);
	model->n_features = i + 1;
	lbrec_add_input(model, f->of_user, SOURCE_FEATURE, i, table, rows,
					trainer->options->embedding_dim,
					f->kind == FEATURE_BAG ? rows : trainer->batch_size);
}

/* Describes both towers: the order of inputs is the preprint's. */
static void
build_towers(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	const Dataset *data = trainer->data;
	TwoTower   *model = trainer->model;
	int			n_inputs = data->n_features;

	model->n_users = lbrec_vocabulary_size(data->users);
	model->n_recordings = lbrec_vocabulary_size(data->recordings);
	model->time.mean = data->time_mean;
	model->time.deviation = data->time_deviation;
	model->time.first_edge = data->first_time / 1e6;
	model->time.last_edge = data->last_time / 1e6;
	model->time.buckets = o->time_buckets;

	if (n_inputs + 3 > LB_MAX_INPUTS)
		elog(ERROR, "too many inputs");
	lbrec_add_input(model, true, SOURCE_USER, -1, "user_embedding",
					model->n_users + 1, o->embedding_dim,
					trainer->batch_size);
	if (o->time_buckets > 0)
	{
		lbrec_add_input(model, true, SOURCE_TIME_BUCKET, -1, "time_embedding",
						o->time_buckets + 1, o->embedding_dim,
						trainer->batch_size);
		lbrec_add_input(model, true, SOURCE_TIME, -1, NULL, 0, 0, 0);
	}
	lbrec_add_input(model, false, SOURCE_RECORDING, -1, "recording_embedding",
					model->n_recordings + 1, o->embedding_dim,
					trainer->batch_size);
	for (int i = 0; i < data->n_features; i++)
		add_feature(trainer, i);
	if (lb_model_add_layers(&model->core, &model->core.query, "query",
							o->layers, o->n_layers) != LB_OK ||
		lb_model_add_layers(&model->core, &model->core.candidate, "candidate",
							o->layers, o->n_layers) != LB_OK)
		elog(ERROR, "could not lay out the towers");
	model->core.query.normalize = o->normalize;
	model->core.candidate.normalize = o->normalize;
}

static int
compare_by_time(const void *a, const void *b, void *arg)
{
	const Listen *listens = arg;
	uint32		i = *(const uint32 *) a;
	uint32		j = *(const uint32 *) b;

	if (listens[i].time != listens[j].time)
		return listens[i].time < listens[j].time ? -1 : 1;
	return i < j ? -1 : i > j;
}

/* Divides the listens into those trained on and those held out. */
static void
split_listens(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	int64		n = trainer->data->n_listens;
	uint32	   *order = MemoryContextAllocHuge(trainer->context,
											   n * sizeof(uint32));
	LbRandom	rng;

	lb_random_seed(&rng, o->seed, STREAM_SPLIT);
	for (int64 i = 0; i < n; i++)
		order[i] = (uint32) i;
	trainer->train = order;
	trainer->n_train = n - (int64) (n * o->test_fraction);
	switch (o->split)
	{
		case SPLIT_PAPER:
			{
				int64		take = Min(n, PAPER_TRAIN + PAPER_TEST);
				uint32	   *buffer = palloc(PAPER_BUFFER * sizeof(uint32));

				/* with fewer listens than the preprint's, its proportion */
				trainer->n_train = n < PAPER_TRAIN + PAPER_TEST ?
					n * PAPER_TRAIN / (PAPER_TRAIN + PAPER_TEST) : PAPER_TRAIN;
				lb_shuffle_buffer(order, take, n, buffer, PAPER_BUFFER, &rng);
				n = take;
				pfree(buffer);
				break;
			}
		case SPLIT_RANDOM:
			lb_random_shuffle(&rng, order, n);
			break;
		case SPLIT_TIME:
			qsort_arg(order, n, sizeof(uint32), compare_by_time,
					  trainer->data->listens);
			break;
		case SPLIT_NONE:
			trainer->n_train = n;
			break;
	}
	trainer->test = order + trainer->n_train;
	trainer->n_test = n - trainer->n_train;
	if (trainer->n_train < 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("too few listens to train on"),
				 errdetail("Of %lld listens, %lld are left beside those held out.",
						   (long long) n, (long long) trainer->n_train),
				 errhint("Widen the query of listens, or lower test_fraction.")));
}

/* log q of each recording: its share of the training listens. */
static void
count_candidates(Trainer *trainer)
{
	int64		n = trainer->model->n_recordings + 1;
	int64	   *counts = MemoryContextAllocExtended(trainer->context,
													n * sizeof(int64),
													MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	trainer->log_q = MemoryContextAllocHuge(trainer->context,
											n * sizeof(float));
	for (int64 i = 0; i < trainer->n_train; i++)
		counts[trainer->data->listens[trainer->train[i]].recording]++;
	for (int64 r = 0; r < n; r++)
		trainer->log_q[r] = logf(Max((float) counts[r] / trainer->n_train,
									 1e-6f));
	pfree(counts);
}

static void
allocate_model(Trainer *trainer)
{
	LbModel    *core = &trainer->model->core;
	int			B = trainer->batch_size;
	int			n_threads = lb_threads_count(trainer->pool);

	lb_model_place(core, &trainer->optimizer,
				   lbrec_alloc_aligned(trainer->context,
									   lb_model_bytes(core,
													  &trainer->optimizer),
									   "model"));
	lb_model_initialize(core, trainer->options->seed);
	lb_workspace_place(&trainer->workspace, core, B, B, n_threads,
					   lbrec_alloc_aligned(trainer->context,
										   lb_workspace_bytes(core, B, B,
															  n_threads),
										   "training step"));
	lbrec_make_buffers(&trainer->query, &core->query, B, trainer->context);
	lbrec_make_buffers(&trainer->candidate, &core->candidate, B,
					   trainer->context);
	trainer->users = palloc(B * sizeof(int32));
	trainer->recordings = palloc(B * sizeof(int32));
	trainer->times = palloc(B * sizeof(int64));
	trainer->batch_log_q = palloc(B * sizeof(float));
}

/* The batch of n listens whose numbers are given. */
static void
make_batch(Trainer *trainer, LbBatch *batch, const uint32 *listens, int n)
{
	for (int i = 0; i < n; i++)
	{
		const Listen *l = &trainer->data->listens[listens[i]];

		trainer->users[i] = l->user;
		trainer->recordings[i] = l->recording;
		trainer->times[i] = l->time;
		trainer->batch_log_q[i] = trainer->log_q[l->recording];
	}
	lbrec_query_inputs(&trainer->query, trainer->model, trainer->users,
					   trainer->times, n);
	lbrec_candidate_inputs(&trainer->candidate, trainer->model,
						   trainer->recordings, n);
	MemSet(batch, 0, sizeof(LbBatch));
	batch->B = batch->N = n;
	memcpy(batch->query, trainer->query.values, sizeof(batch->query));
	memcpy(batch->candidate, trainer->candidate.values,
		   sizeof(batch->candidate));
	batch->ids = trainer->recordings;
	batch->log_q = trainer->batch_log_q;
}

/*
 * One pass over the training listens in a new order.  Returns the mean of
 * the batches' losses.
 */
static double
train_epoch(Trainer *trainer, int epoch, LbRandom *rng)
{
	int			B = trainer->options->batch_size;
	double		sum = 0;
	int			steps = 0;

	lb_random_shuffle(rng, trainer->train, trainer->n_train);
	for (int64 from = 0; from < trainer->n_train; from += B)
	{
		int			n = (int) Min(B, trainer->n_train - from);
		LbBatch		batch;
		LbStatus	status;
		double		loss;

		make_batch(trainer, &batch, trainer->train + from, n);
		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_model_step(&loss, &trainer->model->core,
								   &trainer->optimizer, &trainer->objective,
								   &batch, &trainer->workspace, trainer->pool,
								   lbrec_cancel_flag());
		} while (status == LB_CANCELLED);
		steps++;
		if (status == LB_NOT_FINITE)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("training of model \"%s\" diverged", trainer->name),
					 errdetail("The loss was not finite at step %d of epoch %d.",
							   steps, epoch),
					 errhint("Lower learning_rate, now %g. The model's earlier versions are unchanged.",
							 trainer->options->learning_rate)));
		lbrec_check_status(status, "loss");
		sum += loss;
	}
	return sum / steps;
}

/* Mean of the batches' losses over the listens held out. */
static double
test_loss(Trainer *trainer)
{
	int			B = trainer->batch_size;
	double		sum = 0;
	int			batches = 0;

	for (int64 from = 0; from < trainer->n_test; from += B)
	{
		int			n = (int) Min(B, trainer->n_test - from);
		LbBatch		batch;
		LbStatus	status;
		double		loss;

		make_batch(trainer, &batch, trainer->test + from, n);
		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_model_loss(&loss, &trainer->model->core,
								   &trainer->objective, &batch,
								   &trainer->workspace, trainer->pool,
								   lbrec_cancel_flag());
		} while (status == LB_CANCELLED);
		lbrec_check_status(status, "test loss");
		sum += loss;
		batches++;
	}
	return sum / batches;
}

/* Top-K accuracy of the listens held out, against every recording. */
static void
evaluate(Trainer *trainer, EpochReport *report)
{
	MemoryContext scratch = AllocSetContextCreate(trainer->context,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int64		n = trainer->n_test;
	int32	   *users = MemoryContextAllocHuge(scratch, n * sizeof(int32));
	int64	   *times = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	int32	   *truth = MemoryContextAllocHuge(scratch, n * sizeof(int32));
	int64	   *ranks;

	for (int64 i = 0; i < n; i++)
	{
		const Listen *l = &trainer->data->listens[trainer->test[i]];

		users[i] = l->user;
		times[i] = l->time;
		truth[i] = l->recording - 1;
	}
	ranks = lbrec_rank_listens(trainer->model, NULL, users, times, truth, n,
							   lbrec_top_ks[N_TOP_KS - 1], trainer->pool,
							   scratch);
	MemSet(report->top_k, 0, sizeof(report->top_k));
	for (int64 i = 0; i < n; i++)
		for (int k = 0; k < N_TOP_KS; k++)
			if (ranks[i] < lbrec_top_ks[k])
				report->top_k[k]++;
	for (int k = 0; k < N_TOP_KS; k++)
		report->top_k[k] /= n;
	report->test_loss = test_loss(trainer);
	report->evaluated = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* Shown in pg_stat_activity, from where the view lbrec_progress reads it. */
static void
report_progress(const Trainer *trainer, int epoch)
{
	char		text[256];

	snprintf(text, sizeof(text),
			 "lbrec_train \"%.100s\": epoch %d of %d, " INT64_FORMAT " listens an epoch",
			 trainer->name, epoch, trainer->options->epochs, trainer->n_train);
	pgstat_report_activity(STATE_RUNNING, text);
}

/*
 * Trains a model of the given name on data; callback gets a report after each
 * epoch.  The result lives in context.
 */
TwoTower *
lbrec_run_training(const char *name, Dataset *data,
				   const TrainOptions *options, EpochCallback callback,
				   void *arg, MemoryContext context)
{
	Trainer    *trainer = MemoryContextAllocZero(context, sizeof(Trainer));
	MemoryContext old = MemoryContextSwitchTo(context);
	LbRandom	rng;

	trainer->name = name;
	trainer->data = data;
	trainer->options = options;
	trainer->context = context;
	trainer->model = palloc0(sizeof(TwoTower));
	check_dataset(data, options);
	split_listens(trainer);

	/* test batches are the notebook's, unless there are fewer listens */
	trainer->batch_size = Max((int) Min(options->batch_size, trainer->n_train),
							  (int) Min(TEST_BATCH, trainer->n_test));
	trainer->optimizer.kind = LB_ADAGRAD;
	trainer->optimizer.learning_rate = options->learning_rate;
	trainer->optimizer.initial_accumulator = options->initial_accumulator;
	trainer->optimizer.epsilon = 1e-7f;
	trainer->objective.mean = options->mean_loss;
	trainer->objective.temperature = options->temperature;
	trainer->objective.logq = options->logq;
	trainer->objective.mask_hits = options->mask_hits;
	trainer->pool = lbrec_start_threads(context);
	build_towers(trainer);
	allocate_model(trainer);
	count_candidates(trainer);

	lb_random_seed(&rng, options->seed, STREAM_EPOCHS);
	for (int epoch = 1; epoch <= options->epochs; epoch++)
	{
		EpochReport report = {.epoch = epoch};
		instr_time	start;
		instr_time	end;

		report_progress(trainer, epoch);
		INSTR_TIME_SET_CURRENT(start);
		report.loss = train_epoch(trainer, epoch, &rng);
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		report.seconds = INSTR_TIME_GET_DOUBLE(end);
		report.listens_per_second = trainer->n_train / report.seconds;
		if (trainer->n_test > 0 && (epoch % options->evaluate_every == 0 ||
									epoch == options->epochs))
			evaluate(trainer, &report);
		callback(&report, arg);
	}
	for (int i = 0; i < trainer->model->core.n_tensors; i++)
		if (!lb_tensor_is_finite(&trainer->model->core.tensors[i]))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("training of model \"%s\" diverged", name),
					 errdetail("Weights of \"%s\" are not finite after the last step.",
							   trainer->model->core.tensors[i].name),
					 errhint("Lower learning_rate, now %g. The model's earlier versions are unchanged.",
							 options->learning_rate)));
	MemoryContextSwitchTo(old);
	return trainer->model;
}
