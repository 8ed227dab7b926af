/*
 * retrain.c
 *		lbrec_retrain(): the call for a nightly job.
 *
 * The active version has not seen the listens after its training.  A candidate
 * with the new settings is trained on the listens before that time, and both
 * are judged on those after it.  If the candidate passes the rule, its
 * settings are trained on all listens, and that version answers from COMMIT
 * on.  Otherwise nothing is saved, and the old version goes on answering.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pg/evaluate/metrics.h"
#include "pg/image/cache.h"
#include "pg/image/ready.h"
#include "pg/image/sweep.h"
#include "pg/listens/dataset.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/server/progress.h"
#include "pg/server/srf.h"
#include "pg/server/time.h"
#include "pg/store/evaluations.h"
#include "pg/store/versions.h"
#include "pg/train/gate.h"
#include "pg/train/judge.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/save.h"
#include "pg/train/setting_values.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(lbrec_retrain);

#define N_COLUMNS 12

/* A difference of more standard errors is taken as real. */
#define SURE_ERRORS 2

/* Positions of the arguments. */
enum
{
	ARG_MODEL,
	ARG_LISTENS,
	ARG_ITEMS,
	ARG_RULE,
	ARG_METRIC,
	ARG_KEEP,
	ARG_PRESET,
	ARG_USER_FEATURES,
	ARG_SETTINGS,
	N_ARGS
};

static const char *const argument_names[N_ARGS] = {
	"model", "listens", "items", "rule", "metric", "keep", "preset", "user_features",
	"settings"
};

typedef enum Rule
{
	RULE_NOT_WORSE,
	RULE_BETTER,
	RULE_ALWAYS
} Rule;

static const char *const rule_names[] = {
	[RULE_NOT_WORSE] = "not_worse",
	[RULE_BETTER] = "better",
	[RULE_ALWAYS] = "always",
};

typedef struct Retraining
{
	const char *model;
	const char *listens;
	const char *items;			/* or NULL */
	Rule		rule;
	Metric		metric;
	int			keep;
	ArrayType  *user_features;
	TrainOptions options;
	ModelRow	old;			/* the active version; version 0: none */
	int64		until;			/* latest time of its training's listens */
	Judgement	judgement;
	bool		judged;
	bool		passed;
	const char *reason;
	int32		version;		/* the saved version; 0: none */
	bool		activated;
	int			pruned;
} Retraining;

static Rule
read_rule(const char *name)
{
	for (int r = 0; r < lengthof(rule_names); r++)
		if (strcmp(rule_names[r], name) == 0)
			return r;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("rule is \"%s\"", name),
			 errdetail("It decides when the new version becomes active."),
			 errhint("Use \"not_worse\", \"better\" or \"always\".")));
	return RULE_ALWAYS;			/* keep compiler quiet */
}

static void
read_arguments(Retraining *r, FunctionCallInfo fcinfo)
{
	for (int i = 0; i < N_ARGS; i++)
		if (PG_ARGISNULL(i) && i != ARG_ITEMS && i != ARG_USER_FEATURES &&
			i != ARG_SETTINGS)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", argument_names[i]),
					 errhint("Leave the argument out to use its default, if it has one.")));
	r->model = text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODEL));
	lbrec_check_name(r->model);
	r->listens = text_to_cstring(PG_GETARG_TEXT_PP(ARG_LISTENS));
	r->items = PG_ARGISNULL(ARG_ITEMS) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_ITEMS));
	r->rule = read_rule(text_to_cstring(PG_GETARG_TEXT_PP(ARG_RULE)));
	r->metric = lbrec_setting_choice("early_stopping", "metric",
									 text_to_cstring(PG_GETARG_TEXT_PP(ARG_METRIC)));
	if (r->metric == METRIC_NONE || r->metric == METRIC_TEST_LOSS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("versions cannot be judged by metric \"%s\"",
						lbrec_metric_name(r->metric)),
				 errdetail("Losses of different settings do not compare."),
				 errhint("Use \"ndcg_100\", for example.")));
	r->keep = PG_GETARG_INT32(ARG_KEEP);
	if (r->keep < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep is %d, but must be at least 1", r->keep),
				 errdetail("It is the number of newest versions that stay; the active one stays in any case."),
				 errhint("Leave it out to keep three.")));
	r->user_features = PG_ARGISNULL(ARG_USER_FEATURES) ? NULL :
		PG_GETARG_ARRAYTYPE_P(ARG_USER_FEATURES);
	lbrec_preset(&r->options,
				 text_to_cstring(PG_GETARG_TEXT_PP(ARG_PRESET)));
	if (!PG_ARGISNULL(ARG_SETTINGS))
		lbrec_set_settings(&r->options, PG_GETARG_JSONB_P(ARG_SETTINGS));
	if (r->options.split == SPLIT_QUERY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lbrec_retrain takes no split \"query\""),
				 errdetail("It has no test_listens: it holds out what the older version has not seen."),
				 errhint("Leave split out of settings.")));
	if (r->items)
		lbrec_drop_ids(&r->options);
	lbrec_fit_options(&r->options);
	lbrec_check_options(&r->options);
}

/*
 * Finds the active version of the name and the time up to which it has seen
 * listens: its last training listen, but not after its training.
 */
static void
find_old_version(Retraining *r)
{
	Oid			types[] = {INT8OID};
	Datum		values[1];
	Datum		until;
	bool		isnull;

	SPI_connect();
	if (lbrec_find_model(&r->old, r->model))
	{
		values[0] = Int64GetDatum(r->old.id);
		if (SPI_execute_with_args("SELECT least(created, pg_catalog.to_timestamp("
								  "(config OPERATOR(pg_catalog.#>>) '{time,last}')::pg_catalog.float8)) "
								  "FROM lbrec.model WHERE id OPERATOR(pg_catalog.=) $1",
								  1, types, values, NULL, true,
								  1) != SPI_OK_SELECT || SPI_processed != 1)
			elog(ERROR, "could not look up a version of a model");
		until = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
							  &isnull);
		r->until = lbrec_unix_time(DatumGetTimestampTz(until));
	}
	SPI_finish();
}

static Dataset *
read_listens(const Retraining *r, bool bounded, MemoryContext context)
{
	ListenSource source = {.listens = r->listens, .items = r->items,
		.with_features = true,
		.user_features = r->user_features, .bucketize = r->options.bucketize,
		.number_buckets = r->options.number_buckets, .bounded = bounded,
	.until = r->until};

	lbrec_progress("reading", -1, 0);
	return lbrec_read_listens(&source, context);
}

/* Estimates the epochs of a training, over all members. */
static double
usual_epochs(const TrainOptions *o)
{
	return (double) o->epochs * (o->ensemble + 1);
}

/* Decides whether to train on all listens, and gives the reason. */
static void
decide(Retraining *r)
{
	const Judgement *j = &r->judgement;
	double		difference = j->means.second - j->means.first;
	const char *verdict;
	bool		sure = fabs(difference) > SURE_ERRORS * j->means.error;

	if (j->means.users == 0)
	{
		r->passed = r->rule == RULE_ALWAYS;
		r->reason = psprintf("nothing that was played since version %d can be judged by",
							 r->old.version);
		return;
	}
	if (difference < 0)
		verdict = sure ? "worse" : "not surely worse";
	else if (difference > 0)
		verdict = sure ? "better" : "not surely better";
	else
		verdict = "equally good";
	r->passed = r->rule == RULE_ALWAYS ||
		(r->rule == RULE_BETTER ? difference > 0 && sure :
		 !(difference < 0 && sure));
	r->reason = psprintf("the new settings are %s: %s is %.4f, of version %d %.4f, and the standard error of the difference %.4f",
						 verdict, lbrec_metric_name(r->metric),
						 j->means.second, r->old.version, j->means.first,
						 j->means.error);
}

static void
keep_judgement(const Retraining *r, const char *query)
{
	static const char *const names[N_JUDGED] = JUDGED_NAMES;
	const Judgement *j = &r->judgement;
	EvaluationHead head = {.model = r->old.id, .kind = "retraining",
		.listens = query, .first_time = j->first_time,
		.last_time = j->last_time, .n_listens = j->n,
	.unknown = j->unknown};
	EvaluationRow rows[N_JUDGED * N_KEPT_KS];
	int			n = 0;

	for (int m = 0; m < N_JUDGED; m++)
		for (int i = 0; i < N_KEPT_KS; i++)
			rows[n++] = lbrec_evaluation_row(names[m], lbrec_kept_ks[i],
											 &j->kept[m][i]);
	SPI_connect();
	lbrec_keep_evaluation(&head, rows, n);
	SPI_finish();
}

/*
 * Trains the candidate on listens that the old version has seen, and judges
 * both on those that it has not.  The temperature that is found stays for the
 * last training.  Returns the dataset of all listens, in context, or NULL if
 * nothing is new.
 */
static Dataset *
judge(Retraining *r, MemoryContext context)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec candidate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	TrainRequest request = {.name = r->model, .options = &r->options,
		.epochs_after = usual_epochs(&r->options)};
	Dataset    *before = read_listens(r, true, scratch);
	Dataset    *all = NULL;
	JudgeRequest to_judge = {.candidate_data = before, .until = r->until,
		.metric = r->metric};

	MemoryContextSwitchTo(old);
	if (before->n_later == 0)
		r->reason = psprintf("no listen is later than those of version %d",
							 r->old.version);
	else if (before->n_listens == 0)
	{
		r->passed = r->rule == RULE_ALWAYS;
		r->reason = psprintf("all listens are later than those of version %d: no settings can be judged",
							 r->old.version);
	}
	else
	{
		request.data = before;
		to_judge.candidate = lbrec_run_training(&request, scratch);
		r->options.temperature = to_judge.candidate->temperature;
		r->options.find_temperature = false;
		all = read_listens(r, false, context);
		to_judge.data = all;
		lbrec_progress_phase("judging");
		/* it stays open until the context is deleted */
		MemoryContextSwitchTo(scratch);
		to_judge.older = lbrec_open_model(r->model, r->old.version);
		MemoryContextSwitchTo(old);
		lbrec_judge(&r->judgement, &to_judge, scratch);
		r->judged = r->judgement.n > 0;
		decide(r);
		if (r->judged)
			keep_judgement(r, all->query);
	}
	lbrec_spool_free(before->listens);
	MemoryContextDelete(scratch);
	return all;
}

/* Trains on all listens, saves, activates and prunes. */
static void
train_on_all(Retraining *r, Dataset *all, MemoryContext context)
{
	TrainRequest request = {.name = r->model, .options = &r->options};
	Trained    *trained;
	int64	   *pruned;

	if (all == NULL)
		all = read_listens(r, false, context);
	request.data = all;
	trained = lbrec_run_training(&request, context);
	r->options.temperature = trained->temperature;
	r->options.activate = true;
	lbrec_compare_with_popular(r->model, trained, &r->options);
	r->activated = r->options.activate;
	if (!r->activated)
		r->reason = "the new version is not better than popular recordings, as require_better asks";
	lbrec_progress_phase("saving");
	r->version = lbrec_save_model(r->model, trained, all, &r->options,
								  trained->reports, trained->n_reports);
	r->pruned = lbrec_prune_model(r->model, r->keep, &pruned);
	lbrec_forget_all_images(pruned, r->pruned);
	lbrec_spool_free(all->listens);
}

static void
put_row(const Retraining *r, instr_time start, RowSink *sink)
{
	const Judgement *j = &r->judgement;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	values[0] = BoolGetDatum(r->activated);
	values[1] = CStringGetTextDatum(r->reason);
	values[2] = Int32GetDatum(r->version);
	nulls[2] = r->version == 0;
	values[3] = Int32GetDatum(r->old.version);
	nulls[3] = r->old.version == 0;
	values[4] = lbrec_figure_datum(j->means.second);
	values[5] = lbrec_figure_datum(j->means.first);
	values[6] = lbrec_figure_datum(j->means.error);
	values[7] = lbrec_figure_datum(j->popular);
	nulls[4] = nulls[5] = nulls[6] = nulls[7] = j->means.users == 0;
	values[8] = Int64GetDatum(j->n);
	values[9] = Int64GetDatum(j->means.users);
	values[10] = Int32GetDatum(r->pruned);
	values[11] = lbrec_figure_datum(INSTR_TIME_GET_DOUBLE(now));
	lbrec_put_row(sink, values, nulls);
}

/*
 * lbrec_retrain(model, listens, items, rule, metric, keep, preset,
 *				 user_features, settings)
 */
Datum
lbrec_retrain(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, N_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec retraining",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Retraining *r = palloc0(sizeof(Retraining));
	Dataset    *all = NULL;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	read_arguments(r, fcinfo);
	PreventCommandIfReadOnly("lbrec_retrain()");
	PreventCommandIfParallelMode("lbrec_retrain()");
	find_old_version(r);
	lbrec_progress_start("lbrec_retrain", r->model, context);
	if (r->old.version == 0)
	{
		r->passed = true;
		r->reason = "no version was active";
	}
	else
	{
		lbrec_progress_stage("before the last listens: ");
		all = judge(r, context);
		lbrec_progress_stage("");
	}
	if (r->passed)
		train_on_all(r, all, context);
	else if (all)
		lbrec_spool_free(all->listens);
	MemoryContextSwitchTo(old);
	put_row(r, start, &sink);
	MemoryContextDelete(context);
	if (r->activated)
		lbrec_prepare_image(text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODEL)));
	return (Datum) 0;
}
