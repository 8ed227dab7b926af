/*
 * plan.c
 *		The lists that training reads.
 */
#include "pg/train/plan.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/model/neighbours.h"
#include "pg/server/progress.h"
#include "pg/train/options.h"
#include "pg/train/split.h"
#include "pg/train/trends.h"
#include "pg/train/warm.h"

/* Early stopping ends most runs after about this share of their epochs. */
#define EXPECTED_SHARE 0.85

/* The epochs that a run will have, as far as can be told before it. */
int
lbrec_expected_epochs(const RunPlan *plan)
{
	if (plan->expected_epochs > 0)
		return Min(plan->expected_epochs, plan->n_epochs);
	if (plan->split->n_test == 0 ||
		plan->options->early_stopping == METRIC_NONE)
		return plan->n_epochs;
	return Max((int) (EXPECTED_SHARE * plan->n_epochs), 1);
}

/*
 * True if a run uses trends: their weight comes from a trial (refit), and a
 * warm start has no times to compute them from.
 */
static bool
uses_trends(const TrainOptions *o, const WarmStart *warm)
{
	return o->refit && o->repeat_power > 0 && o->batch_by == BATCH_USERS &&
		o->logq && !o->streaming_logq && warm == NULL;
}

/*
 * All recordings of a user, latest first; what is played next to what; and
 * what is being discovered.  Listens that the split excludes are in none.
 */
TrainingLists *
lbrec_training_lists(const Dataset *data, const TrainOptions *o,
					 const Split *split, const WarmStart *warm,
					 MemoryContext context)
{
	TrainingLists *made = MemoryContextAllocZero(context,
												 sizeof(TrainingLists));
	ListRequest request = {.held_out = split->excluded,
		.power = o->repeat_power};
	const Neighbours *older = NULL;
	const Followers *older_followers = NULL;

	lbrec_progress_phase("counting what was played");
	if (warm)
	{
		request.older = lbrec_warm_lists(warm);
		request.active_only = true;
		older = lbrec_warm_neighbours(warm);
		older_followers = lbrec_warm_followers(warm);
	}
	if (o->neighbours > 0)
	{
		made->neighbours = lbrec_count_neighbours(data, split->excluded,
												  o->neighbours, older,
												  context);
		made->followers = lbrec_count_followers(data, split->excluded,
												o->neighbours,
												older_followers, context);
	}
	made->lists = lbrec_make_lists(data, &request, context);
	if (uses_trends(o, warm))
		made->trends = lbrec_find_trends(data, split->excluded, made->lists,
										 context);
	if (o->history_length == 0 || !o->history_before)
		return made;
	request.sequence = true;
	request.power = 0;
	request.older = NULL;
	made->sequence = lbrec_make_lists(data, &request, context);
	return made;
}
