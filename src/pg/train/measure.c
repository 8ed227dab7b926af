/*
 * measure.c
 *		Measures a model during training on the held-out listens.
 */
#include "pg/train/measure.h"

#include "utils/memutils.h"

#include "pg/evaluate/metrics.h"
#include "pg/evaluate/ranks.h"
#include "pg/listens/spool.h"
#include "pg/model/score.h"
#include "pg/model/twotower.h"
#include "pg/serve/baselines.h"
#include "pg/server/kernels.h"
#include "pg/train/batches.h"
#include "pg/train/ensemble.h"
#include "pg/train/score_fit.h"
#include "pg/train/trends.h"

/* Returns one member's mean batch loss over the held-out listens. */
static double
test_loss(Ensemble *e, const LbObjective *objective)
{
	Member	   *member = &e->members[0];
	const Split *split = e->plan->split;
	double		sum = 0;
	int			batches = 0;

	for (int64 from = 0; from < split->n_test; from += TEST_BATCH)
	{
		int			n = (int) Min(TEST_BATCH, split->n_test - from);
		LbBatch		batch;
		LbStatus	status;
		double		loss;

		lbrec_batcher_test(&member->batcher, &batch,
						   split->test + from, n);
		LBREC_RUN((status = lb_model_loss(&loss, &member->model->core,
										  objective, &batch, &e->workspace,
										  e->plan->pool,
										  lbrec_cancel_flag())) ==
				  LB_CANCELLED);
		lbrec_check_status(status, "test loss");
		sum += loss;
		batches++;
	}
	return sum / batches;
}

/* Fits the weights of the score's parts, and sets them. */
static void
fit_score(FittedScore *fitted, Ensemble *e, const float *candidates,
		  MemoryContext context)
{
	const RunPlan *plan = e->plan;
	ScoreFitRequest request = {.model = e->model,
		.candidates = candidates, .n_members = e->n,
		.temperature = plan->options->temperature,
		.trend = plan->trend,
		.test = plan->split->test, .n_test = plan->split->n_test,
	.seed = plan->options->seed};

	if (lbrec_fits_trends(plan->options))
		request.trends = plan->inputs->trends;
	fitted->mix = lbrec_fit_score(&fitted->trend, &request, plan->pool,
								  context);
	e->model->mix = lbrec_mix_of_members(fitted->mix, e->n);
}

/* Puts the measures into the report of an epoch. */
static void
sum_up(EpochReport *report)
{
	int			top = 0;

	for (int i = 0; i < N_KEPT_KS; i++)
	{
		const Metrics *m = &report->kept[i];

		if (lbrec_kept_ks[i] == REPORT_K)
		{
			report->recall = m->new_recall;
			report->ndcg = m->new_ndcg;
		}
		else
			report->top_k[top++] = m->top_k;
	}
	report->new_users = report->kept[0].users;
	report->mrr = report->kept[N_KEPT_KS - 1].mrr;
	report->ndcg_100 = report->kept[N_KEPT_KS - 1].new_ndcg;
}

/*
 * Measures the wide model on the held-out listens, against every recording;
 * the test loss is the first member's.  If the score has parts, their weights
 * are fitted first, and fitted changes.
 */
void
lbrec_measure(EpochReport *report, FittedScore *fitted, Ensemble *e,
			  const LbObjective *objective)
{
	const RunPlan *plan = e->plan;
	MemoryContext scratch = AllocSetContextCreate(e->context,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int64		n = plan->split->n_test;
	int32	   *users = MemoryContextAllocHuge(scratch, n * sizeof(int32));
	int64	   *times = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	int32	   *truth = MemoryContextAllocHuge(scratch, n * sizeof(int32));
	TwoTower   *model = e->model;
	RankRequest request = {.model = model, .n = n, .users = users,
		.times = times, .truth = truth,
	.most = lbrec_top_ks[N_TOP_KS - 1]};
	float	   *candidates;

	for (int m = 0; m < e->n; m++)
		lbrec_lay_member(e, m);
	candidates = lbrec_alloc_aligned(scratch, (Size) model->n_recordings *
									 lb_tower_width(&model->core.query) *
									 sizeof(float), "candidate vectors");
	lbrec_candidate_vectors(candidates, model, plan->pool, scratch);
	request.candidates = candidates;
	if (model->mixed)
		fit_score(fitted, e, candidates, scratch);
	for (int64 i = 0; i < n; i++)
	{
		const Listen *l = &plan->split->test[i];

		users[i] = l->user;
		times[i] = l->time;
		truth[i] = l->recording - 1;
	}
	request.ranks = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	request.new_ranks = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	lbrec_rank_listens(&request, plan->pool, scratch);
	for (int i = 0; i < N_KEPT_KS; i++)
		lbrec_metrics(&report->kept[i], lbrec_kept_ks[i], request.ranks,
					  request.new_ranks, users, times, truth, n);
	sum_up(report);
	report->test_loss = test_loss(e, objective);
	report->evaluated = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

static int
compare_users(const void *a, const void *b)
{
	const Listen *x = a;
	const Listen *y = b;

	CHECK_FOR_INTERRUPTS();
	return x->user < y->user ? -1 : x->user > y->user;
}

/*
 * Measures recommenders without a model on the same held-out listens, with the
 * plan's counts of the others.
 */
void
lbrec_measure_baselines(HeldOut *held, const RunPlan *plan)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec baselines",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int64		n = plan->split->n_test;
	TwoTower	counts = {.n_users = lbrec_vocabulary_size(plan->data->users),
		.n_recordings = lbrec_vocabulary_size(plan->data->recordings),
		.recording_listens = plan->data->recording_listens + 1,
	.counted = plan->inputs->counted};
	Listen	   *test = MemoryContextAllocHuge(scratch, n * sizeof(Listen));
	int32	   *users = MemoryContextAllocHuge(scratch, n * sizeof(int32));
	int64	   *times = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	int32	   *truth = MemoryContextAllocHuge(scratch, n * sizeof(int32));
	int64	   *ranks = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	int64	   *new_ranks = MemoryContextAllocHuge(scratch, n * sizeof(int64));
	Baselines	baselines = {0};

	lbrec_copy(test, plan->split->test, n * sizeof(Listen));
	qsort(test, n, sizeof(Listen), compare_users);
	memset(held, 0, sizeof(HeldOut));
	held->n = n;
	held->first_time = test[0].time;
	held->last_time = test[0].time;
	for (int64 i = 0; i < n; i++)
	{
		users[i] = test[i].user;
		times[i] = test[i].time;
		truth[i] = test[i].recording - 1;
		held->unknown += truth[i] < 0;
		held->first_time = Min(held->first_time, test[i].time);
		held->last_time = Max(held->last_time, test[i].time);
	}
	lbrec_baselines_init(&baselines, &counts);
	for (int b = 0; b < N_BASELINES; b++)
	{
		for (int64 i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (i == 0 || users[i] != users[i - 1])
				lbrec_baseline_user(&baselines, users[i]);
			lbrec_baseline_rank(&ranks[i], &new_ranks[i], &baselines,
								b == BASELINE_OWN_PLAYS, truth[i]);
		}
		for (int i = 0; i < N_KEPT_KS; i++)
			lbrec_metrics(&held->baselines[b][i], lbrec_kept_ks[i], ranks,
						  new_ranks, users, times, truth, n);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}
