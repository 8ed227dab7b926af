/*
 * trainer.c
 *		Lays out the towers for a dataset, runs the epochs, keeps the best.
 *
 * An ensemble's members are models of their own, trained apart from different
 * seeds on the same listens.  Their towers have no layers, so their tables laid
 * side by side are one wide model whose towers normalise each group of
 * columns: a dot product of wide vectors is the sum of the members'
 * (docs/quality.md tells what that is worth).  Only the wide model is
 * measured and saved; a single member is the wide model itself.
 *
 * Everything is allocated in the caller's memory context; nothing is written
 * here, so an error or a cancel at any moment leaves no trace.
 */
#include "trainer.h"

#include <math.h>

#include "portability/instr_time.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"

#include "batches.h"
#include "metrics.h"
#include "ranking.h"
#include "warm.h"

#define TEST_BATCH 4096			/* the preprint's */

const int	lbrec_top_ks[N_TOP_KS] = {1, 5, 10, 50, 100};

typedef struct Member
{
	TwoTower   *model;
	LbOptimizer optimizer;
	Batcher		batcher;
} Member;

typedef struct Trainer
{
	const TrainRequest *request;
	Dataset    *data;
	const TrainOptions *options;
	MemoryContext context;
	TwoTower   *model;			/* the wide one */
	Member	   *members;
	int			n_members;
	LbThreads  *pool;
	LbObjective objective;
	LbSchedule	schedule;
	LbWorkspace workspace;
	Split		split;
	UserLists  *lists;			/* recordings trained on, by user */
	UserLists  *sequence;
	float	  **best;			/* the best epoch's values, by tensor, or NULL */
	double		best_metric;
	int			best_epoch;
} Trainer;

/* Users and recordings enough for one to be told from the other. */
static void
check_dataset(const Dataset *data, const TrainOptions *options)
{
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
add_feature(Trainer *trainer, TwoTower *model, int dim, int i)
{
	const Feature *f = &trainer->data->features[i];
	const Batcher *b = &trainer->members[0].batcher;
	int64		touched = f->of_user ? b->max_rows : b->max_columns;
	char	   *table = psprintf("%s_embedding", f->name);

	if (f->kind == FEATURE_BAG)
		touched *= Max(f->longest_bag, 1);
	lbrec_feature_values(&model->features[i], f);
	model->n_features = i + 1;
	lbrec_add_input(model, f->of_user, SOURCE_FEATURE, i, table,
					lbrec_feature_rows(f), dim, touched);
}

/* A number of the query tower, with a table where inputs are summed. */
static void
add_number(TwoTower *model, InputSource source, int dim)
{
	lbrec_add_input(model, true, source, -1,
					psprintf("%s_weight", lbrec_source_name(source)), 1, dim,
					1);
}

static void
add_query_inputs(Trainer *trainer, TwoTower *model, int dim)
{
	const TrainOptions *o = trainer->options;
	int			rows = trainer->members[0].batcher.max_rows;

	if (o->user_embedding)
		lbrec_add_input(model, true, SOURCE_USER, -1, "user_embedding",
						model->n_users + 1, dim, rows);
	if (o->time_buckets > 0)
	{
		lbrec_add_input(model, true, SOURCE_TIME_BUCKET, -1, "time_embedding",
						o->time_buckets + 1, dim, rows);
		add_number(model, SOURCE_TIME, dim);
	}
	if (o->hour_of_day)
	{
		add_number(model, SOURCE_HOUR_SIN, dim);
		add_number(model, SOURCE_HOUR_COS, dim);
	}
	if (o->day_of_week)
	{
		add_number(model, SOURCE_WEEK_SIN, dim);
		add_number(model, SOURCE_WEEK_COS, dim);
	}
}

/* Rows of the table of recordings: rare ones share hash buckets. */
static int64
recording_rows(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	const Dataset *data = trainer->data;
	int64		n = lbrec_vocabulary_size(data->recordings);
	int32	   *rows;
	int32		own = 0;

	if (o->hash_buckets == 0)
		return n + 1;
	rows = MemoryContextAllocHuge(trainer->context, (n + 1) * sizeof(int32));
	rows[0] = 0;
	for (int64 r = 1; r <= n; r++)
		if (data->recording_listens[r] >= o->min_listens)
			rows[r] = ++own;
	for (int64 r = 1; r <= n; r++)
		if (data->recording_listens[r] < o->min_listens)
			rows[r] = own + 1 + (int32)
				(lbrec_vocabulary_prefetch(data->recordings,
										   lbrec_vocabulary_key(data->recordings, (int32) r, NULL),
										   UUID_LEN) % o->hash_buckets);
	trainer->model->recording_rows = rows;
	return (int64) own + 1 + o->hash_buckets;
}

/*
 * Describes both towers, each table dim wide.  The order of inputs is the
 * preprint's, then what it does not have.
 */
static void
build_towers(Trainer *trainer, TwoTower *model, int dim, int64 n_rows)
{
	const TrainOptions *o = trainer->options;
	const Dataset *data = trainer->data;
	const Batcher *b = &trainer->members[0].batcher;
	int64		of_history = (int64) b->max_rows * o->history_length;

	model->n_users = lbrec_vocabulary_size(data->users);
	model->n_recordings = lbrec_vocabulary_size(data->recordings);
	model->summed = o->n_layers == 0;
	model->history_mean = o->history_pooling == POOL_MEAN;
	model->history_length = o->history_length;
	model->time.mean = data->time_mean;
	model->time.deviation = data->time_deviation;
	model->time.first_edge = data->first_time / 1e6;
	model->time.last_edge = data->last_time / 1e6;
	model->time.buckets = o->time_buckets;
	if (trainer->request->warm)
		lbrec_warm_time(trainer->request->warm, &model->time);

	if (data->n_features + 9 > LB_MAX_INPUTS)
		elog(ERROR, "too many inputs");
	add_query_inputs(trainer, model, dim);
	lbrec_add_input(model, false, SOURCE_RECORDING, -1, "recording_embedding",
					n_rows, dim, b->max_columns +
					(o->history_shared ? of_history : 0));
	for (int i = 0; i < data->n_features; i++)
		add_feature(trainer, model, dim, i);
	if (o->history_length > 0)
		lbrec_add_input(model, true, SOURCE_HISTORY, -1, o->history_shared ?
						"recording_embedding" : "history_embedding",
						model->n_recordings + 1, dim, of_history);
	if (lb_model_add_layers(&model->core, &model->core.query, "query",
							o->layers, o->n_layers) != LB_OK ||
		lb_model_add_layers(&model->core, &model->core.candidate, "candidate",
							o->layers, o->n_layers) != LB_OK)
		elog(ERROR, "could not lay out the towers");
	model->core.query.normalize = o->normalize;
	model->core.candidate.normalize = o->normalize;
}

static void
set_optimizer(LbOptimizer *opt, const TrainOptions *o)
{
	opt->kind = o->optimizer;
	opt->learning_rate = o->learning_rate;
	opt->initial_accumulator = o->initial_accumulator;
	opt->epsilon = 1e-7f;		/* Keras' */
	opt->beta1 = 0.9f;
	opt->beta2 = 0.999f;
	opt->weight_decay = o->weight_decay;
	opt->clip_norm = o->clip_norm;
}

/* Memory for a member's weights and what training needs beside them. */
static void
allocate_member(Trainer *trainer, int m)
{
	Member	   *member = &trainer->members[m];
	LbModel    *core = &member->model->core;

	set_optimizer(&member->optimizer, trainer->options);
	lb_model_place(core, &member->optimizer,
				   lbrec_alloc_aligned(trainer->context,
									   lb_model_bytes(core,
													  &member->optimizer),
									   "model"));
	/* members differ in all that is random */
	do
	{
		CHECK_FOR_INTERRUPTS();
	} while (lb_model_initialize(core, trainer->options->seed + m * 1000003,
								 lbrec_cancel_flag()) == LB_CANCELLED);
	if (trainer->request->warm)
		lbrec_warm_weights(trainer->request->warm, core, &member->optimizer,
						   m, trainer->n_members);
}

/* The wide model, its members, and the scratch of their steps. */
static void
build_models(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	TwoTower   *wide = trainer->model;
	int			test_rows = (int) Min(TEST_BATCH, trainer->split.n_test);
	int64		n_rows = recording_rows(trainer);
	Batcher    *b = &trainer->members[0].batcher;
	LbModel    *core;
	int			B;
	int			N;

	build_towers(trainer, wide, o->embedding_dim * o->ensemble, n_rows);
	wide->core.query.groups = wide->core.candidate.groups = o->ensemble;
	wide->history_offsets = trainer->lists->offsets;
	wide->history_codes = trainer->lists->codes;
	wide->history_boosts = trainer->lists->boosts;
	if (o->ensemble > 1)
		lb_model_place(&wide->core, NULL,
					   lbrec_alloc_aligned(trainer->context,
										   lb_model_bytes(&wide->core, NULL),
										   "model"));
	for (int m = 0; m < o->ensemble; m++)
	{
		Member	   *member = &trainer->members[m];

		member->model = wide;
		if (o->ensemble > 1)
		{
			member->model = palloc0(sizeof(TwoTower));
			member->model->recording_rows = wide->recording_rows;
			build_towers(trainer, member->model, o->embedding_dim, n_rows);
			member->model->history_offsets = wide->history_offsets;
			member->model->history_codes = wide->history_codes;
			if (m > 0)
				member->batcher = *b;
		}
		allocate_member(trainer, m);
	}
	for (int m = 0; m < o->ensemble; m++)
	{
		CHECK_FOR_INTERRUPTS();
		lbrec_batcher_init(&trainer->members[m].batcher,
						   trainer->members[m].model, trainer->sequence,
						   test_rows, o->seed + m * 1000003,
						   trainer->context);
	}
	core = &trainer->members[0].model->core;
	B = Max(b->max_rows, test_rows);
	N = Max(b->max_columns, test_rows);
	lb_workspace_place(&trainer->workspace, core, B, N,
					   lb_threads_count(trainer->pool),
					   lbrec_alloc_aligned(trainer->context,
										   lb_workspace_bytes(core, B, N,
															  lb_threads_count(trainer->pool)),
										   "training step"));
}

/* Lays one of the members' arrays side by side: to is (rows, cols * n). */
static void
interleave(float *to, const float *from, int64 rows, int cols, int m, int n)
{
	for (int64 r = 0; r < rows; r++)
		memcpy(to + ((Size) r * n + m) * cols, from + (Size) r * cols,
			   cols * sizeof(float));
}

/* The wide model's weights from its members'. */
static void
assemble(Trainer *trainer)
{
	if (trainer->n_members == 1)
		return;
	for (int m = 0; m < trainer->n_members; m++)
	{
		const LbModel *core = &trainer->members[m].model->core;

		for (int i = 0; i < core->n_tensors; i++)
			interleave(trainer->model->core.tensors[i].value,
					   core->tensors[i].value, core->tensors[i].rows,
					   core->tensors[i].cols, m, trainer->n_members);
	}
}

static void
diverged(const Trainer *trainer, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("training of model \"%s\" diverged",
					trainer->request->name),
			 errdetail_internal("%s", detail),
			 errhint("Lower learning_rate, now %g. The model's earlier versions are unchanged.",
					 trainer->options->learning_rate)));
}

/*
 * One pass over what a member is trained on.  Returns the mean of the
 * batches' losses.
 */
static double
train_epoch(Trainer *trainer, Member *member, int epoch)
{
	double		sum = 0;
	int			steps = 0;
	double		done = 0;
	LbBatch		batch;

	lbrec_batcher_begin(&member->batcher);
	while (lbrec_batcher_next(&member->batcher, &batch))
	{
		LbStatus	status;
		double		loss;

		member->optimizer.learning_rate =
			(float) lb_schedule_rate(&trainer->schedule, epoch - 1 + done);
		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_model_step(&loss, &member->model->core,
								   &member->optimizer, &trainer->objective,
								   &batch, &trainer->workspace, trainer->pool,
								   lbrec_cancel_flag());
		} while (status == LB_CANCELLED);
		steps++;
		if (status == LB_NOT_FINITE)
			diverged(trainer,
					 psprintf("The loss was not finite at step %d of epoch %d.",
							  steps, epoch));
		lbrec_check_status(status, "loss");
		sum += loss;
		done = lbrec_batcher_done(&member->batcher);
	}
	return steps > 0 ? sum / steps : 0;
}

/* Mean of the batches' losses over the listens held out, of one member. */
static double
test_loss(Trainer *trainer)
{
	Member	   *member = &trainer->members[0];
	double		sum = 0;
	int			batches = 0;

	for (int64 from = 0; from < trainer->split.n_test; from += TEST_BATCH)
	{
		int			n = (int) Min(TEST_BATCH, trainer->split.n_test - from);
		LbBatch		batch;
		LbStatus	status;
		double		loss;

		lbrec_batcher_test(&member->batcher, &batch,
						   trainer->split.test + from, n);
		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_model_loss(&loss, &member->model->core,
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

/* The wide model on the listens held out, against every recording. */
static void
evaluate(Trainer *trainer, EpochReport *report)
{
	MemoryContext scratch = AllocSetContextCreate(trainer->context,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int64		n = trainer->split.n_test;
	int32	   *users = MemoryContextAllocHuge(scratch, n * sizeof(int32));
	int64	   *times = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	int32	   *truth = MemoryContextAllocHuge(scratch, n * sizeof(int32));
	RankRequest request = {.model = trainer->model, .n = n, .users = users,
		.times = times, .truth = truth,
	.most = lbrec_top_ks[N_TOP_KS - 1]};
	Metrics		metrics;

	assemble(trainer);
	for (int64 i = 0; i < n; i++)
	{
		const Listen *l = &trainer->split.test[i];

		users[i] = l->user;
		times[i] = l->time;
		truth[i] = l->recording - 1;
	}
	request.ranks = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	request.new_ranks = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	lbrec_rank_listens(&request, trainer->pool, scratch);
	for (int k = 0; k < N_TOP_KS; k++)
	{
		lbrec_metrics(&metrics, lbrec_top_ks[k], request.ranks,
					  request.new_ranks, users, truth, n);
		report->top_k[k] = metrics.top_k;
	}
	report->mrr = metrics.mrr;
	lbrec_metrics(&metrics, REPORT_K, request.ranks, request.new_ranks,
				  users, truth, n);
	report->recall = metrics.new_recall;
	report->ndcg = metrics.new_ndcg;
	report->test_loss = test_loss(trainer);
	report->evaluated = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* What early stopping looks at; larger is better. */
static double
watched_metric(const Trainer *trainer, const EpochReport *report)
{
	switch ((Metric) trainer->options->early_stopping)
	{
		case METRIC_NONE:
			break;
		case METRIC_TEST_LOSS:
			return -report->test_loss;
		case METRIC_TOP_10:
			return report->top_k[2];
		case METRIC_TOP_100:
			return report->top_k[4];
		case METRIC_RECALL:
			return report->recall;
		case METRIC_NDCG:
			return report->ndcg;
		case METRIC_MRR:
			return report->mrr;
	}
	return 0;
}

/*
 * Keeps the weights when the epoch is the best so far.  False when the last
 * improvement is too long ago.
 */
static bool
note_epoch(Trainer *trainer, const EpochReport *report)
{
	LbModel    *core = &trainer->model->core;
	double		metric = watched_metric(trainer, report);
	int			waited = (report->epoch - trainer->best_epoch) /
		trainer->options->evaluate_every;

	if (trainer->best_epoch > 0 && metric <= trainer->best_metric)
		return waited < trainer->options->patience;
	trainer->best_metric = metric;
	trainer->best_epoch = report->epoch;
	if (trainer->best == NULL)
	{
		trainer->best = MemoryContextAllocZero(trainer->context,
											   core->n_tensors *
											   sizeof(float *));
		for (int i = 0; i < core->n_tensors; i++)
			trainer->best[i] =
				lbrec_alloc_aligned(trainer->context,
									lb_tensor_value_bytes(&core->tensors[i]),
									"copy of the best epoch");
	}
	for (int i = 0; i < core->n_tensors; i++)
		memcpy(trainer->best[i], core->tensors[i].value,
			   (Size) core->tensors[i].rows * core->tensors[i].cols *
			   sizeof(float));
	return true;
}

/* Shown in pg_stat_activity, from where the view lbrec_progress reads it. */
static void
report_progress(const Trainer *trainer, int epoch)
{
	char		text[256];

	snprintf(text, sizeof(text),
			 "lbrec_train \"%.100s\": epoch %d of %d, " INT64_FORMAT " listens an epoch",
			 trainer->request->name, epoch, trainer->options->epochs,
			 trainer->split.n_train);
	pgstat_report_activity(STATE_RUNNING, text);
}

static void
run_epochs(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;

	for (int epoch = 1; epoch <= o->epochs; epoch++)
	{
		EpochReport report = {.epoch = epoch};
		instr_time	start;
		instr_time	end;
		bool		go_on = true;

		report_progress(trainer, epoch);
		INSTR_TIME_SET_CURRENT(start);
		for (int m = 0; m < trainer->n_members; m++)
			report.loss += train_epoch(trainer, &trainer->members[m], epoch) /
				trainer->n_members;
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		report.seconds = INSTR_TIME_GET_DOUBLE(end);
		report.listens_per_second = trainer->split.n_train / report.seconds;
		if (trainer->split.n_test > 0 &&
			(epoch % o->evaluate_every == 0 || epoch == o->epochs))
		{
			evaluate(trainer, &report);
			if (o->early_stopping != METRIC_NONE)
				go_on = note_epoch(trainer, &report);
		}
		if (!trainer->request->callback(&report, trainer->request->arg) ||
			!go_on)
			break;
	}
	assemble(trainer);
	if (trainer->best)
		for (int i = 0; i < trainer->model->core.n_tensors; i++)
		{
			LbTensor   *t = &trainer->model->core.tensors[i];

			memcpy(t->value, trainer->best[i],
				   (Size) t->rows * t->cols * sizeof(float));
		}
	for (int i = 0; i < trainer->model->core.n_tensors; i++)
		if (!lb_tensor_is_finite(&trainer->model->core.tensors[i]))
			diverged(trainer,
					 psprintf("Weights of \"%s\" are not finite after the last step.",
							  trainer->model->core.tensors[i].name));
}

/* The optimiser's states, members side by side, for a later warm start. */
static void
keep_states(Trainer *trainer, Trained *trained)
{
	const LbModel *first = &trainer->members[0].model->core;
	const LbOptimizer *opt = &trainer->members[0].optimizer;
	int			n = trainer->n_members;

	trained->n_states = lb_optimizer_states(opt);
	trained->state_cols = palloc(first->n_tensors * sizeof(int));
	for (int s = 0; s < trained->n_states; s++)
	{
		trained->states[s] = palloc(first->n_tensors * sizeof(float *));
		for (int i = 0; i < first->n_tensors; i++)
		{
			const LbTensor *t = &first->tensors[i];
			Size		size = lb_tensor_state_size(t, opt);
			int			cols = (int) (size / t->rows);

			trained->state_cols[i] = cols * n;
			trained->states[s][i] = t->state[s];
			if (n == 1)
				continue;
			trained->states[s][i] =
				lbrec_alloc_aligned(trainer->context, size * n * sizeof(float),
									"optimiser's state");
			for (int m = 0; m < n; m++)
				interleave(trained->states[s][i],
						   trainer->members[m].model->core.tensors[i].state[s],
						   t->rows, cols, m, n);
		}
	}
}

/*
 * What is added to the score of a recording that the user has played, for
 * people play again what they played lately: weight * log(1 + 100 r), where r
 * counts plays, each half as much after another half life.  An own model's
 * dot product cannot know that; docs/quality.md has what it gives.
 */
static void
set_boosts(Trainer *trainer, UserLists *lists)
{
	int64		n = lists->offsets[lists->n_users + 1];
	double		weight = trainer->options->repeat_weight * trainer->n_members;

	if (trainer->options->repeat_half_life == 0)
		return;
	lists->boosts = MemoryContextAllocHuge(trainer->context,
										   Max(n, 1) * sizeof(float));
	for (int64 i = 0; i < n; i++)
		lists->boosts[i] = (float) (weight * log1p(100 * lists->recency[i]));
}

/* The lists that training reads: all recordings of a user, latest first. */
static void
make_training_lists(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	ListRequest request = {.held_out = trainer->split.excluded,
		.max_length = PG_INT32_MAX,
	.half_life = o->repeat_half_life};

	if (trainer->request->warm)
	{
		request.older = lbrec_warm_lists(trainer->request->warm);
		request.active_only = true;
	}
	trainer->lists = lbrec_make_lists(trainer->data, &request,
									  trainer->context);
	set_boosts(trainer, trainer->lists);
	if (o->history_length == 0 || !o->history_before)
		return;
	request.sequence = true;
	request.half_life = 0;
	request.older = NULL;
	trainer->sequence = lbrec_make_lists(trainer->data, &request,
										 trainer->context);
}

/* The lists that are saved: of all listens, held out or not. */
static UserLists *
make_serving_lists(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	ListRequest request = {.max_length = Max(o->history_length, SERVING_LIST),
		.half_life = o->repeat_half_life};

	if (trainer->request->warm)
		request.older = lbrec_warm_lists(trainer->request->warm);
	return lbrec_make_lists(trainer->data, &request, trainer->context);
}

static void
set_objective(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;

	trainer->objective.mean = o->mean_loss;
	trainer->objective.temperature = o->temperature;
	trainer->objective.logq = o->logq;
	trainer->objective.mask_hits = o->mask_hits;
	trainer->objective.hard_negatives = o->hard_negatives;
	trainer->objective.dropout = o->dropout;
	trainer->schedule.kind = o->schedule;
	trainer->schedule.rate = o->learning_rate;
	trainer->schedule.warmup = o->warmup_epochs;
	trainer->schedule.epochs = o->epochs;
	trainer->schedule.step_epochs = o->decay_epochs;
	trainer->schedule.gamma = o->decay_factor;
}

/* Trains a model; the result lives in context. */
Trained *
lbrec_run_training(const TrainRequest *request, MemoryContext context)
{
	Trainer    *trainer = MemoryContextAllocZero(context, sizeof(Trainer));
	MemoryContext old = MemoryContextSwitchTo(context);
	Trained    *trained = palloc0(sizeof(Trained));

	trainer->request = request;
	trainer->data = request->data;
	trainer->options = request->options;
	trainer->context = context;
	trainer->model = palloc0(sizeof(TwoTower));
	trainer->n_members = request->options->ensemble;
	trainer->members = palloc0(trainer->n_members * sizeof(Member));
	check_dataset(request->data, request->options);
	lbrec_split(&trainer->split, request->data, request->options,
				request->test_listens, context);
	make_training_lists(trainer);
	lbrec_batcher_shape(&trainer->members[0].batcher, request->options,
						request->data, &trainer->split, trainer->lists);
	set_objective(trainer);
	trainer->pool = lbrec_start_threads(context);
	build_models(trainer);
	run_epochs(trainer);
	keep_states(trainer, trained);
	trained->model = trainer->model;
	trained->best_epoch = trainer->best_epoch;
	trained->lists = make_serving_lists(trainer);
	set_boosts(trainer, trained->lists);
	trainer->model->history_offsets = trained->lists->offsets;
	trainer->model->history_codes = trained->lists->codes;
	trainer->model->history_boosts = trained->lists->boosts;
	MemoryContextSwitchTo(old);
	return trained;
}
