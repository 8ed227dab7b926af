/*
 * epochs.c
 *		Carries a plan out: epochs of training.
 *
 * Everything is allocated in the caller's memory context, and nothing is
 * written here: an error or a cancel at any moment leaves no trace.
 */
#include "pg/train/epochs.h"

#include "portability/instr_time.h"
#include "mb/pg_wchar.h"
#include "utils/backend_status.h"

#include "core/model/lb_schedule.h"

#include "pg/evaluate/metrics.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/train/batches.h"
#include "pg/train/ensemble.h"
#include "pg/train/measure.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/score_fit.h"
#include "pg/train/warm.h"

/* A run under way. */
typedef struct Run
{
	const RunPlan *plan;
	Ensemble   *ensemble;
	LbObjective objective;
	LbSchedule	schedule;
	FittedScore fitted;			/* by the latest measurement */
	FittedScore best_fitted;	/* by that of the best epoch */
	float	  **best;			/* its weights, by tensor, or NULL */
	RunResult  *result;
} Run;

static void
diverged(const RunPlan *plan, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("training of model \"%s\" diverged",
					plan->name),
			 errdetail_internal("%s", detail),
			 errhint("Lower learning_rate, now %g. The model's earlier versions are unchanged.",
					 plan->options->learning_rate)));
}

/*
 * One pass over what a member is trained on.  Returns the mean of the
 * batches' losses.
 */
static double
train_epoch(const Run *run, Member *member, int epoch)
{
	Ensemble   *e = run->ensemble;
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
			(float) lb_schedule_rate(&run->schedule, epoch - 1 + done);
		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_model_step(&loss, &member->model->core,
								   &member->optimizer, &run->objective,
								   &batch, &e->workspace, run->plan->pool,
								   lbrec_cancel_flag());
		} while (lbrec_again(status == LB_CANCELLED));
		steps++;
		if (status == LB_NOT_FINITE)
			diverged(run->plan,
					 psprintf("The loss was not finite at step %d of epoch %d.",
							  steps, epoch));
		lbrec_check_status(status, "loss");
		sum += loss;
		done = lbrec_batcher_done(&member->batcher);
	}
	return steps > 0 ? sum / steps : 0;
}

/* Copies the wide model's weights. */
static void
keep_weights(Run *run)
{
	const LbModel *core = &run->ensemble->model->core;

	if (run->best == NULL)
	{
		run->best = palloc0(core->n_tensors * sizeof(float *));
		for (int i = 0; i < core->n_tensors; i++)
			run->best[i] =
				lbrec_alloc_aligned(CurrentMemoryContext,
									lb_tensor_value_bytes(&core->tensors[i]),
									"copy of the best epoch");
	}
	for (int i = 0; i < core->n_tensors; i++)
		lbrec_copy(run->best[i], core->tensors[i].value,
				   (Size) core->tensors[i].rows * core->tensors[i].cols *
				   sizeof(float));
}

/*
 * Notes an epoch that is the best so far.  False when the last improvement is
 * too long ago.
 */
static bool
note_epoch(Run *run, const EpochReport *report)
{
	const TrainOptions *o = run->plan->options;
	RunResult  *result = run->result;
	double		metric = lbrec_metric(o->early_stopping, report);
	int			waited = (report->epoch - result->best_epoch) /
		o->evaluate_every;

	if (result->best_epoch > 0 && metric <= result->best_metric)
		return waited < o->patience;
	result->best_metric = metric;
	result->best_epoch = report->epoch;
	run->best_fitted = run->fitted;
	if (run->plan->keeps_best)
		keep_weights(run);
	return true;
}

/* Shown in pg_stat_activity, from where the view lbrec_progress reads it. */
static void
report_progress(const RunPlan *plan, int epoch)
{
	char		text[256];
	int			shown = pg_mbcliplen(plan->name, strlen(plan->name), 100);

	snprintf(text, sizeof(text),
			 "lbrec_train \"%.*s\": epoch %d of %d, " INT64_FORMAT " listens an epoch",
			 shown, plan->name, epoch, plan->n_epochs,
			 plan->split->n_train);
	pgstat_report_activity(STATE_RUNNING, text);
}

/* An epoch of one member, and its share of the report. */
static void
run_member(Run *run, int m, EpochReport *report)
{
	Ensemble   *e = run->ensemble;
	instr_time	start;
	instr_time	end;

	INSTR_TIME_SET_CURRENT(start);
	report->loss += train_epoch(run, &e->members[m], report->epoch) / e->n;
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	report->seconds += INSTR_TIME_GET_DOUBLE(end);
	report->listens_per_second = run->plan->split->n_train / report->seconds;
}

static void
put_report(Run *run, const EpochReport *report)
{
	RunResult  *result = run->result;

	result->reports[result->n_reports++] = *report;
	if (run->plan->callback)
		run->plan->callback(report, run->plan->arg);
}

/* All members go through an epoch, and what they are together is measured. */
static void
run_side_by_side(Run *run)
{
	const RunPlan *plan = run->plan;
	const TrainOptions *o = plan->options;
	Ensemble   *e = run->ensemble;
	bool		go_on = true;

	for (int m = 0; m < e->n; m++)
		lbrec_begin_member(e, m);
	for (int epoch = 1; epoch <= plan->n_epochs && go_on; epoch++)
	{
		EpochReport report = {.epoch = epoch};

		report_progress(plan, epoch);
		for (int m = 0; m < e->n; m++)
			run_member(run, m, &report);
		if (epoch % o->evaluate_every == 0 || epoch == plan->n_epochs)
		{
			lbrec_measure(&report, &run->fitted, e, &run->objective);
			if (o->early_stopping != METRIC_NONE)
				go_on = note_epoch(run, &report);
		}
		put_report(run, &report);
	}
	for (int m = 0; m < e->n; m++)
		lbrec_end_member(e, m);
}

/*
 * With nothing to measure, a member goes through all epochs before the next
 * one begins: the memory for one serves all, and the result is the same.
 */
static void
run_one_by_one(Run *run)
{
	Ensemble   *e = run->ensemble;
	int			n_epochs = run->plan->n_epochs;
	EpochReport *reports = palloc0(n_epochs * sizeof(EpochReport));

	for (int m = 0; m < e->n; m++)
	{
		lbrec_begin_member(e, m);
		for (int epoch = 1; epoch <= n_epochs; epoch++)
		{
			EpochReport *report = &reports[epoch - 1];

			report->epoch = epoch;
			/* progress in epochs of the whole ensemble */
			report_progress(run->plan,
							1 + (m * n_epochs + epoch - 1) / e->n);
			run_member(run, m, report);
			if (m == e->n - 1)
				put_report(run, report);
		}
		lbrec_end_member(e, m);
	}
	pfree(reports);
}

/* Puts the weights of the best epoch back, if they were kept. */
static void
restore_best(Run *run)
{
	LbModel    *core = &run->ensemble->model->core;

	for (int i = 0; run->best && i < core->n_tensors; i++)
		lbrec_copy(core->tensors[i].value, run->best[i],
				   (Size) core->tensors[i].rows * core->tensors[i].cols *
				   sizeof(float));
}

static void
check_finite(const Run *run)
{
	const LbModel *core = &run->ensemble->model->core;

	for (int i = 0; i < core->n_tensors; i++)
	{
		const LbTensor *t = &core->tensors[i];
		LbStatus	status;

		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_tensor_check_finite(t, lbrec_cancel_flag());
		} while (lbrec_again(status == LB_CANCELLED));
		if (status != LB_OK)
			diverged(run->plan,
					 psprintf("Weights of \"%s\" are not finite after the last step.",
							  t->name));
	}
}

/*
 * The weights of the score's parts before anything is measured: the older
 * model's, which were fitted, or what is usual.
 */
static LbMix
prior_mix(const RunPlan *plan, const TwoTower *model)
{
	WeighRequest request = {.model = model,
		.temperature = plan->options->temperature};
	LbMix		mix = {0};

	if (!model->mixed ||
		(plan->warm && lbrec_warm_mix(plan->warm, plan->options, &mix)))
		return mix;
	return lbrec_weigh(NULL, &request, NULL, CurrentMemoryContext);
}

static void
set_objective(LbObjective *objective, const TrainOptions *o)
{
	objective->mean = o->mean_loss;
	objective->temperature = o->temperature;
	objective->logq = o->logq;
	objective->mask_hits = o->mask_hits;
	objective->hard_negatives = o->hard_negatives;
	objective->dropout = o->dropout;
}

static void
set_schedule(LbSchedule *schedule, const TrainOptions *o)
{
	schedule->kind = o->schedule;
	schedule->rate = o->learning_rate;
	schedule->warmup = o->warmup_epochs;
	schedule->epochs = o->epochs;
	schedule->step_epochs = o->decay_epochs;
	schedule->gamma = o->decay_factor;
}

/*
 * Carries a plan out.  The result, and all memory of the run, is in the
 * current context.
 */
RunResult *
lbrec_run(const RunPlan *plan)
{
	RunResult  *result = palloc0(sizeof(RunResult));
	Run			run = {.plan = plan, .result = result};

	result->reports = palloc(plan->n_epochs * sizeof(EpochReport));
	set_objective(&run.objective, plan->options);
	set_schedule(&run.schedule, plan->options);
	run.ensemble = lbrec_make_ensemble(plan);
	run.fitted.mix = prior_mix(plan, run.ensemble->model);
	if (plan->split->n_test > 0)
		run_side_by_side(&run);
	else
		run_one_by_one(&run);
	if (result->best_epoch > 0)
		run.fitted = run.best_fitted;
	restore_best(&run);
	check_finite(&run);
	result->model = run.ensemble->model;
	result->states = run.ensemble->states;
	result->mix = run.fitted.mix;
	result->trend = run.fitted.trend;
	return result;
}
