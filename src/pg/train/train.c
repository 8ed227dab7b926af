/*
 * train.c
 *		Runs the epochs over a dataset, keeps the best.
 *
 * Everything is allocated in the caller's memory context; nothing is written
 * here, so an error or a cancel at any moment leaves no trace.
 */
#include "pg/train/train.h"

#include <math.h>

#include "portability/instr_time.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"

#include "pg/evaluate/metrics.h"
#include "pg/evaluate/ranks.h"
#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/neighbours.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/train/batches.h"
#include "pg/train/ensemble.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/score_fit.h"
#include "pg/train/split.h"
#include "pg/train/trends.h"
#include "pg/train/trials.h"
#include "pg/train/warm.h"

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
		} while (lbrec_again(status == LB_CANCELLED));
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
		} while (lbrec_again(status == LB_CANCELLED));
		lbrec_check_status(status, "test loss");
		sum += loss;
		batches++;
	}
	return sum / batches;
}

/* The weights of the scores' parts, as what is held out says. */
static void
set_mix(Trainer *trainer, const float *candidates, MemoryContext context)
{
	WeighRequest request = {.model = trainer->model,
		.candidates = candidates, .n_members = trainer->n_members,
		.temperature = trainer->options->temperature,
		.trends = trainer->trends,
		.test = trainer->split.test, .n_test = trainer->split.n_test,
	.seed = trainer->options->seed};

	trainer->mix = lbrec_weigh(&trainer->fitted_trend, &request, trainer->pool,
							   context);
	trainer->model->mix = lbrec_mix_of_members(trainer->mix,
											   trainer->n_members);
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
	TwoTower   *model = trainer->model;
	RankRequest request = {.model = model, .n = n, .users = users,
		.times = times, .truth = truth,
	.most = lbrec_top_ks[N_TOP_KS - 1]};
	Metrics		metrics;
	float	   *candidates;

	for (int m = 0; m < trainer->n_members; m++)
		lbrec_lay_member(trainer, m);
	candidates = lbrec_alloc_aligned(scratch, (Size) model->n_recordings *
									 lb_tower_width(&model->core.query) *
									 sizeof(float), "candidate vectors");
	lbrec_candidate_vectors(candidates, model, trainer->pool, scratch);
	request.candidates = candidates;
	if (model->mixed)
		set_mix(trainer, candidates, scratch);
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
	report->ndcg_100 = metrics.new_ndcg;
	lbrec_metrics(&metrics, REPORT_K, request.ranks, request.new_ranks,
				  users, truth, n);
	report->recall = metrics.new_recall;
	report->ndcg = metrics.new_ndcg;
	report->test_loss = test_loss(trainer);
	report->evaluated = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* Is this run to find out how to train the model? */
static bool
is_trial(const Trainer *trainer)
{
	return trainer->options->refit && trainer->split.excluded != NULL;
}

/*
 * Keeps the weights when the epoch is the best so far.  False when the last
 * improvement is too long ago.
 */
static bool
note_epoch(Trainer *trainer, const EpochReport *report)
{
	LbModel    *core = &trainer->model->core;
	double		metric = lbrec_metric(trainer->options->early_stopping, report);
	int			waited = (report->epoch - trainer->best_epoch) /
		trainer->options->evaluate_every;

	if (trainer->best_epoch > 0 && metric <= trainer->best_metric)
		return waited < trainer->options->patience;
	trainer->best_metric = metric;
	trainer->best_epoch = report->epoch;
	trainer->best_mix = trainer->mix;
	trainer->best_trend = trainer->fitted_trend;
	/* a model that is trained again leaves only its number of epochs */
	if (is_trial(trainer))
		return true;
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
		lbrec_copy(trainer->best[i], core->tensors[i].value,
				   (Size) core->tensors[i].rows * core->tensors[i].cols *
				   sizeof(float));
	return true;
}

/* Shown in pg_stat_activity, from where the view lbrec_progress reads it. */
static void
report_progress(const Trainer *trainer, int epoch, int n_epochs)
{
	char		text[256];

	snprintf(text, sizeof(text),
			 "lbrec_train \"%.100s\": epoch %d of %d, " INT64_FORMAT " listens an epoch",
			 trainer->request->name, epoch, n_epochs,
			 trainer->split.n_train);
	pgstat_report_activity(STATE_RUNNING, text);
}

/* An epoch of one member, and its share of the report. */
static void
run_member(Trainer *trainer, int m, EpochReport *report)
{
	instr_time	start;
	instr_time	end;

	INSTR_TIME_SET_CURRENT(start);
	report->loss += train_epoch(trainer, &trainer->members[m],
								report->epoch) / trainer->n_members;
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	report->seconds += INSTR_TIME_GET_DOUBLE(end);
	report->listens_per_second = trainer->split.n_train / report->seconds;
}

/* False when the caller has had enough. */
static bool
put_report(Trainer *trainer, const EpochReport *report)
{
	if (trainer->kept)
		trainer->kept[trainer->n_kept++] = *report;
	return !trainer->reports ||
		trainer->request->callback(report, trainer->request->arg);
}

/* All members go through an epoch, and what they are together is measured. */
static void
run_side_by_side(Trainer *trainer, int n_epochs)
{
	const TrainOptions *o = trainer->options;

	for (int m = 0; m < trainer->n_members; m++)
		lbrec_begin_member(trainer, m);
	for (int epoch = 1; epoch <= n_epochs; epoch++)
	{
		EpochReport report = {.epoch = epoch};
		bool		go_on = true;

		report_progress(trainer, epoch, n_epochs);
		for (int m = 0; m < trainer->n_members; m++)
			run_member(trainer, m, &report);
		if (trainer->split.n_test > 0 &&
			(epoch % o->evaluate_every == 0 || epoch == n_epochs))
		{
			evaluate(trainer, &report);
			if (o->early_stopping != METRIC_NONE)
				go_on = note_epoch(trainer, &report);
		}
		if (!put_report(trainer, &report) || !go_on)
			break;
	}
	for (int m = 0; m < trainer->n_members; m++)
		lbrec_end_member(trainer, m);
}

/*
 * With nothing to measure, a member goes through all epochs before the next
 * one begins: the memory for one serves all, and the result is the same.
 */
static void
run_one_by_one(Trainer *trainer, int n_epochs)
{
	int			n = trainer->n_members;
	EpochReport *reports = palloc0(n_epochs * sizeof(EpochReport));

	for (int m = 0; m < n; m++)
	{
		lbrec_begin_member(trainer, m);
		for (int epoch = 1; epoch <= n_epochs; epoch++)
		{
			EpochReport *report = &reports[epoch - 1];

			report->epoch = epoch;
			/* epochs of all that the work so far would have been */
			report_progress(trainer, 1 + (m * n_epochs + epoch - 1) / n,
							n_epochs);
			run_member(trainer, m, report);
			if (m == n - 1)
				(void) put_report(trainer, report);
		}
		lbrec_end_member(trainer, m);
	}
	pfree(reports);
}

static void
run_epochs(Trainer *trainer, int n_epochs)
{
	if (trainer->split.n_test > 0)
		run_side_by_side(trainer, n_epochs);
	else
		run_one_by_one(trainer, n_epochs);
	if (trainer->best_epoch > 0)
	{
		trainer->mix = trainer->best_mix;
		trainer->fitted_trend = trainer->best_trend;
	}
	if (trainer->best)
		for (int i = 0; i < trainer->model->core.n_tensors; i++)
		{
			LbTensor   *t = &trainer->model->core.tensors[i];

			lbrec_copy(t->value, trainer->best[i],
					   (Size) t->rows * t->cols * sizeof(float));
		}
	for (int i = 0; i < trainer->model->core.n_tensors; i++)
	{
		const LbTensor *t = &trainer->model->core.tensors[i];
		LbStatus	status;

		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_tensor_check_finite(t, lbrec_cancel_flag());
		} while (lbrec_again(status == LB_CANCELLED));
		if (status != LB_OK)
			diverged(trainer,
					 psprintf("Weights of \"%s\" are not finite after the last step.",
							  t->name));
	}
}

/*
 * Are trends to be found, and told to the towers?  Only a trial tells how much
 * they say, and an older model's lists do not say when.
 */
static bool
knows_trends(const Trainer *trainer)
{
	const TrainOptions *o = trainer->options;

	return o->refit && o->repeat_power > 0 && o->batch_by == BATCH_USERS &&
		o->logq && !o->streaming_logq && trainer->request->warm == NULL;
}

/*
 * What training reads: all recordings of a user, latest first; what is near to
 * what; and what is being discovered.
 */
static void
make_training_lists(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	ListRequest request = {.held_out = trainer->split.excluded,
		.power = o->repeat_power};
	const Neighbours *older = NULL;

	if (trainer->request->warm)
	{
		request.older = lbrec_warm_lists(trainer->request->warm);
		request.active_only = true;
		older = lbrec_warm_neighbours(trainer->request->warm);
	}
	if (o->neighbours > 0)
		trainer->neighbours =
			lbrec_count_neighbours(trainer->data, trainer->split.excluded,
								   o->neighbours, older, trainer->context);
	trainer->lists = lbrec_make_lists(trainer->data, &request,
									  trainer->context);
	if (knows_trends(trainer))
		trainer->trends = lbrec_find_trends(trainer->data,
											trainer->split.excluded,
											trainer->lists, trainer->context);
	if (o->history_length == 0 || !o->history_before)
		return;
	request.sequence = true;
	request.power = 0;
	request.older = NULL;
	trainer->sequence = lbrec_make_lists(trainer->data, &request,
										 trainer->context);
}

/* The lists that are saved: of all listens, held out or not. */
static UserLists *
make_serving_lists(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	ListRequest request = {.power = o->repeat_power};

	if (trainer->request->warm)
		request.older = lbrec_warm_lists(trainer->request->warm);
	return lbrec_make_lists(trainer->data, &request, trainer->context);
}

/*
 * The weights of the scores' parts where nothing is held out: the older
 * model's, which were fitted, or what is usual.
 */
static LbMix
prior_mix(const Trainer *trainer)
{
	WeighRequest request = {.model = trainer->model,
		.temperature = trainer->options->temperature};
	LbMix		mix = {0};

	if (!trainer->model->mixed ||
		(trainer->request->warm &&
		 lbrec_warm_mix(trainer->request->warm, trainer->options, &mix)))
		return mix;
	return lbrec_weigh(NULL, &request, NULL, trainer->context);
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

/* A run's split and lists; several can train on them. */
Trainer *
lbrec_prepare_run(const TrainRequest *request, const Split *split,
				  LbThreads *pool, MemoryContext context)
{
	Trainer    *trainer = MemoryContextAllocZero(context, sizeof(Trainer));

	trainer->request = request;
	trainer->data = request->data;
	trainer->options = request->options;
	trainer->context = context;
	trainer->pool = pool;
	trainer->split = *split;
	make_training_lists(trainer);
	return trainer;
}

/*
 * Trains so many members with these options; all in the current context.
 * Epochs are reported to the request's callback, or into kept.
 */
Trainer *
lbrec_run(const Trainer *prepared, const TrainOptions *options, int n_members,
		  int n_epochs, bool reports, EpochReport *kept)
{
	Trainer    *trainer = palloc(sizeof(Trainer));

	*trainer = *prepared;
	trainer->options = options;
	trainer->context = CurrentMemoryContext;
	trainer->reports = reports;
	trainer->kept = kept;
	trainer->model = palloc0(sizeof(TwoTower));
	trainer->n_members = n_members;
	trainer->members = palloc0(n_members * sizeof(Member));
	lbrec_batcher_shape(&trainer->members[0].batcher, options, trainer->data,
						&trainer->split, trainer->lists);
	if (trainer->trend != 0)
	{
		trainer->members[0].batcher.trends = trainer->trends;
		trainer->members[0].batcher.trend = trainer->trend;
	}
	set_objective(trainer);
	lbrec_build_members(trainer);
	trainer->mix = prior_mix(trainer);
	run_epochs(trainer, n_epochs);
	return trainer;
}

/* Trains a model; the result lives in context. */
Trained *
lbrec_run_training(const TrainRequest *request, MemoryContext context)
{
	const TrainOptions *o = request->options;
	MemoryContext old = MemoryContextSwitchTo(context);
	Trained    *trained = palloc0(sizeof(Trained));
	LbThreads  *pool = lbrec_start_threads(context);
	Split		split = {0};
	Trainer    *trainer;
	LbMix		mix;

	check_dataset(request->data, o);
	lbrec_split(&split, request->data, o, request->test_listens, context);
	trained->temperature = o->temperature;
	if (split.n_test == 0)
	{
		/* such as the last fifth of users with a listen each */
		TrainOptions *options = palloc(sizeof(TrainOptions));

		*options = *o;
		lbrec_fix_epochs(options);
		o = options;
		split.excluded = NULL;
	}
	if (o->refit && split.excluded)
	{
		Split		all = {.n_train = request->data->n_listens};
		Trial		best = lbrec_best_trial(request, &split, pool, context);
		TrainOptions *options = palloc(sizeof(TrainOptions));

		*options = best.options;
		trained->temperature = best.options.temperature;
		trained->trend = best.trend;
		trained->best_epoch = best.best_epoch;
		mix = best.mix;
		if (o->verbose)
			ereport(INFO,
					(errmsg("now on all listens: %d epochs of %d models side by side",
							best.best_epoch > 0 ? best.best_epoch : o->epochs,
							o->ensemble)));
		trainer = lbrec_prepare_run(request, &all, pool, context);
		trainer->trend = best.trend;
		trainer = lbrec_run(trainer, options, o->ensemble,
							best.best_epoch > 0 ? best.best_epoch : o->epochs,
							false, NULL);
	}
	else
	{
		trainer = lbrec_run(lbrec_prepare_run(request, &split, pool, context),
							o, o->ensemble, o->epochs, true, NULL);
		trained->best_epoch = trainer->best_epoch;
		mix = trainer->mix;
	}
	trained->states = trainer->states;
	trained->model = trainer->model;
	trained->lists = make_serving_lists(trainer);
	/* scores are to know of all listens, held out or not */
	trained->neighbours = trainer->neighbours;
	if (trained->neighbours && trainer->split.excluded)
		trained->neighbours =
			lbrec_count_neighbours(request->data, NULL, o->neighbours,
								   request->warm ?
								   lbrec_warm_neighbours(request->warm) : NULL,
								   context);
	lbrec_set_lists(trained->model, trained->lists, trained->neighbours);
	trained->model->mix = lbrec_mix_of_members(mix, o->ensemble);
	MemoryContextSwitchTo(old);
	return trained;
}
