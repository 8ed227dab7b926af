/*
 * plan.c
 *		Makes the inputs of a training.
 */
#include "pg/train/plan.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/sessions.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/count.h"
#include "pg/server/progress.h"
#include "pg/train/options.h"
#include "pg/train/split.h"
#include "pg/train/trends.h"
#include "pg/train/warm.h"

/* Early stopping ends most runs after about this share of their epochs. */
#define EXPECTED_SHARE 0.85

/*
 * With fewer users than this, batches of sessions learn more about which
 * recordings belong together than batches of users.
 */
#define FEW_USERS 8

/* Estimates the number of epochs of a run. */
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
 * True if this run uses trends: only a trial can weigh them (refit), or the
 * model that is continued.
 */
static bool
uses_trends(const TrainOptions *o, const WarmStart *warm)
{
	return lbrec_fits_trends(o) || lbrec_warm_trend(warm, o) != 0;
}

/*
 * Makes the request to count all listens, in addition to the older model's
 * counts.
 */
CountRequest
lbrec_count_request(const Dataset *data, const TrainOptions *o,
					const WarmStart *warm, MemoryContext context)
{
	return (CountRequest)
	{
		.data = data, .neighbours = o->neighbours,
			.repeat_power = o->repeat_power,
			.older = warm ? lbrec_warm_model(warm) : NULL, .context = context
	};
}

/*
 * Selects the lists that rows of batches are cut from: each user's, or
 * sessions.
 */
static void
find_rows(TrainingInputs *made, const Dataset *data, const TrainOptions *o,
		  const Split *split, MemoryContext context)
{
	Sessions   *sessions;

	made->rows = made->histories;
	if (o->batch_by != BATCH_SESSIONS &&
		(o->batch_by != BATCH_AUTO ||
		 lbrec_vocabulary_size(data->users) >= FEW_USERS))
		return;
	sessions = lbrec_find_sessions(data, split->excluded, context);
	/* without times, or with hours between plays, there are no sessions */
	if (sessions->lists.n_users < 2)
		return;
	made->rows = &sessions->lists;
	made->row_users = sessions->users;
}

/*
 * Makes the arrays that a model counts in listens that the split does not
 * exclude, and the inputs of training.  If a model is continued, all users
 * have their histories for measurements; only those with new listens are
 * trained on.
 */
TrainingInputs *
lbrec_training_inputs(const Dataset *data, const TrainOptions *o,
					  const Split *split, const WarmStart *warm,
					  MemoryContext context)
{
	TrainingInputs *made = MemoryContextAllocZero(context,
												  sizeof(TrainingInputs));
	CountRequest request = lbrec_count_request(data, o, warm, context);
	ListRequest sequence = {.held_out = split->excluded, .sequence = true};
	UserLists	older;

	lbrec_progress_phase("counting what was played");
	request.held_out = split->excluded;
	made->histories = lbrec_count_listens(&made->counted, &request);
	if (warm)
		older = lbrec_histories_of(lbrec_warm_model(warm));
	if (uses_trends(o, warm))
		made->trends = lbrec_find_trends(data, split->excluded,
										 made->histories,
										 warm ? &older : NULL, context);
	if (o->history_length > 0 && o->history_before)
	{
		sequence.older = warm ? &older : NULL;
		made->sequence = lbrec_make_lists(data, &sequence, context);
	}
	find_rows(made, data, o, split, context);
	return made;
}
