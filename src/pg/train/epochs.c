/*
 * epochs.c
 *		Carries out a plan: epochs of training.
 *
 * Everything is allocated in the caller's memory context, and nothing is
 * written to tables, so an error or a cancel leaves no trace.
 */
#include "pg/train/epochs.h"

#include "portability/instr_time.h"

#include "core/model/lb_schedule.h"

#include "pg/evaluate/metrics.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/server/progress.h"
#include "pg/train/batches.h"
#include "pg/train/ensemble.h"
#include "pg/train/measure.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/score_fit.h"
#include "pg/train/warm.h"

/* A run in progress. */
typedef struct Run
{
	const RunPlan *plan;
	Ensemble   *ensemble;
	LbObjective objective;
	LbSchedule	schedule;
	FittedScore fitted;			/* weights fitted in the latest measurement */
	FittedScore best_fitted;	/* weights fitted in the best epoch */
	instr_time	start;			/* start of the current member's epoch */
	double		rate;			/* listens per second in the latest epoch */
	float	  **best;			/* weights of the best epoch, by tensor, or
								 * NULL */
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

static double
seconds_since(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_DOUBLE(now);
}

/*
 * Estimates the seconds to the end of all runs, when member m has done a share
 * of this epoch; negative if unknown.
 */
static double
seconds_left(const Run *run, int m, int epoch, double done)
{
	const RunPlan *plan = run->plan;
	int			n = plan->n_members;
	int			expected = lbrec_expected_epochs(plan);
	double		of_epoch = plan->times->epoch;
	double		of_measure = plan->times->measure;
	double		epochs;
	double		measures = 0;

	if (of_epoch == 0 && done < 0.02)
		return -1;
	if (of_epoch == 0)
		of_epoch = seconds_since(run->start) / done;
	if (of_measure == 0)
		of_measure = of_epoch / 2;
	if (plan->split->n_test > 0)
	{
		expected = Min(Max(expected, epoch + plan->options->evaluate_every),
					   plan->n_epochs);
		epochs = (double) (expected - epoch + 1) * n - m - done;
		measures = (expected - epoch) / plan->options->evaluate_every + 1;
	}
	else
		epochs = (double) (n - m) * plan->n_epochs - (epoch - 1) - done;
	/* counts saving as one more epoch */
	return (Max(epochs, 0) + plan->epochs_after + 1) * of_epoch +
		(measures + plan->measures_after) * of_measure;
}

/* Reports the progress of the run. */
static void
tell(const Run *run, int m, int epoch, double done)
{
	const RunPlan *plan = run->plan;
	char		phase[128];

	/* members train one after another: count epochs of the whole ensemble */
	if (plan->split->n_test == 0)
		epoch = 1 + (m * plan->n_epochs + epoch - 1) / plan->n_members;
	snprintf(phase, sizeof(phase), "%s, epoch %d of %d", plan->phase, epoch,
			 plan->n_epochs);
	lbrec_progress(phase, seconds_left(run, m, epoch, done), run->rate);
}

/*
 * Passes a member once over its training data.  Returns the mean of the
 * batches' losses.
 */
static double
train_epoch(const Run *run, int m, int epoch)
{
	Ensemble   *e = run->ensemble;
	Member	   *member = &e->members[m];
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
		LBREC_RUN((status = lb_model_step(&loss, &member->model->core,
										  &member->optimizer,
										  &run->objective, &batch,
										  &e->workspace, run->plan->pool,
										  lbrec_cancel_flag())) ==
				  LB_CANCELLED);
		steps++;
		if (status == LB_NOT_FINITE)
			diverged(run->plan,
					 psprintf("The loss was not finite at step %d of epoch %d.",
							  steps, epoch));
		lbrec_check_status(status, "loss");
		sum += loss;
		done = lbrec_batcher_done(&member->batcher);
		if (lbrec_progress_due())
			tell(run, m, epoch, done);
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
 * Records an epoch that is the best so far.  Returns false if the last
 * improvement is too long ago.
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

/* Trains one member for an epoch, and adds its share to the report. */
static void
run_member(Run *run, int m, EpochReport *report)
{
	RunTimes   *times = run->plan->times;
	double		seconds;

	INSTR_TIME_SET_CURRENT(run->start);
	tell(run, m, report->epoch, 0);
	report->loss += train_epoch(run, m, report->epoch) / run->ensemble->n;
	seconds = seconds_since(run->start);
	times->epoch = times->epoch == 0 ? seconds :
		(times->epoch + seconds) / 2;
	run->rate = run->plan->split->n_train / seconds;
	report->seconds += seconds;
	report->listens_per_second = run->plan->split->n_train / report->seconds;
}

static void
put_report(Run *run, const EpochReport *report)
{
	RunResult  *result = run->result;

	result->reports[result->n_reports++] = *report;
	if (run->plan->callback)
		run->plan->callback(run->plan, report, run->plan->arg);
}

static void
measure(Run *run, EpochReport *report)
{
	RunTimes   *times = run->plan->times;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	lbrec_progress_phase(psprintf("%s, measuring", run->plan->phase));
	lbrec_measure(report, &run->fitted, run->ensemble, &run->objective);
	times->measure = seconds_since(start);
}

/* Trains all members for an epoch, then measures the ensemble. */
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

		for (int m = 0; m < e->n; m++)
			run_member(run, m, &report);
		if (epoch % o->evaluate_every == 0 || epoch == plan->n_epochs)
		{
			measure(run, &report);
			if (o->early_stopping != METRIC_NONE)
				go_on = note_epoch(run, &report);
		}
		put_report(run, &report);
	}
	for (int m = 0; m < e->n; m++)
		lbrec_end_member(e, m);
}

/*
 * Without measurements, each member does all its epochs before the next
 * begins: they share memory, and the result is the same.
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
			run_member(run, m, report);
			if (m == e->n - 1)
				put_report(run, report);
		}
		lbrec_end_member(e, m);
	}
	pfree(reports);
}

/* Restores the weights of the best epoch, if they were kept. */
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

		LBREC_RUN((status = lb_tensor_check_finite(t, lbrec_cancel_flag())) ==
				  LB_CANCELLED);
		if (status != LB_OK)
			diverged(run->plan,
					 psprintf("Weights of \"%s\" are not finite after the last step.",
							  t->name));
	}
}

/*
 * Returns the weights of the score's parts before the first measurement: the
 * older model's, which were fitted, or the priors.
 */
static LbMix
prior_mix(const RunPlan *plan, const TwoTower *model)
{
	ScoreFitRequest request = {.model = model,
		.temperature = plan->options->temperature};
	LbMix		mix = {0};

	if (!model->mixed ||
		(plan->warm && lbrec_warm_mix(plan->warm, plan->options, &mix)))
		return mix;
	return lbrec_fit_score(NULL, &request, NULL, CurrentMemoryContext);
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
 * Carries out a plan.  The result, and all memory of the run, is in the
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
	run.fitted.trend = plan->trend;
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
