/*
 * measure.c
 *		Measures a model in training on the listens held out.
 */
#include "pg/train/measure.h"

#include "utils/memutils.h"

#include "pg/evaluate/metrics.h"
#include "pg/evaluate/ranks.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/train/batches.h"
#include "pg/train/ensemble.h"
#include "pg/train/score_fit.h"
#include "pg/train/trends.h"

/* Mean of the batches' losses over the listens held out, of one member. */
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
		do
		{
			CHECK_FOR_INTERRUPTS();
			status = lb_model_loss(&loss, &member->model->core,
								   objective, &batch,
								   &e->workspace, e->plan->pool,
								   lbrec_cancel_flag());
		} while (lbrec_again(status == LB_CANCELLED));
		lbrec_check_status(status, "test loss");
		sum += loss;
		batches++;
	}
	return sum / batches;
}

/* Fits the weights of the score's parts, and uses them from here on. */
static void
fit_score(FittedScore *fitted, Ensemble *e, const float *candidates,
		  MemoryContext context)
{
	const RunPlan *plan = e->plan;
	WeighRequest request = {.model = e->model,
		.candidates = candidates, .n_members = e->n,
		.temperature = plan->options->temperature,
		.trend = plan->trend,
		.test = plan->split->test, .n_test = plan->split->n_test,
	.seed = plan->options->seed};

	if (lbrec_fits_trends(plan->options))
		request.trends = plan->inputs->trends;
	fitted->mix = lbrec_weigh(&fitted->trend, &request, plan->pool, context);
	e->model->mix = lbrec_mix_of_members(fitted->mix, e->n);
}

/*
 * Measures the wide model on the listens held out, against every recording;
 * the test loss is that of the first member.  The weights of the score's parts
 * are fitted first, where the score has parts: fitted is changed then.
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
	Metrics		metrics;
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
	report->test_loss = test_loss(e, objective);
	report->evaluated = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}
