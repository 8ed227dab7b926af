/*
 * train.c
 *		lbrec_train(): trains a model over a query of listens.
 */
#include "pg/server/lbrec.h"

#include "access/xact.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pg/evaluate/metrics.h"
#include "pg/image/ready.h"
#include "pg/image/sweep.h"
#include "pg/listens/dataset.h"
#include "pg/listens/default.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/server/progress.h"
#include "pg/server/srf.h"
#include "pg/server/time.h"
#include "pg/store/versions.h"
#include "pg/train/gate.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/save.h"
#include "pg/train/setting_values.h"
#include "pg/train/settings.h"
#include "pg/train/train.h"
#include "pg/train/warm.h"

PG_FUNCTION_INFO_V1(lbrec_train);

#define N_COLUMNS 14

/* Milliseconds between two lines of verbose. */
#define INFO_MS 2000

/* Positions of the arguments. */
enum
{
	ARG_MODEL,
	ARG_LISTENS,
	ARG_ITEMS,
	ARG_PRESET,
	ARG_EPOCHS,
	ARG_LAYERS,
	ARG_SEED,
	ARG_SPLIT,
	ARG_TEST_FROM,
	ARG_TEST_LISTENS,
	ARG_AS_OF,
	ARG_START_FROM,
	ARG_USER_FEATURES,
	ARG_SETTINGS,
	ARG_ACTIVATE,
	ARG_MAKE_DEFAULT,
	ARG_VERBOSE,
	N_ARGS
};

/* Arguments that are settings as well. */
typedef struct SettingArgument
{
	int			place;
	const char *name;
	Oid			output;			/* output function of its type */
} SettingArgument;

static const SettingArgument setting_arguments[] = {
	{ARG_EPOCHS, "epochs", F_INT4OUT},
	{ARG_LAYERS, "layers", F_ARRAY_OUT},
	{ARG_SEED, "seed", F_INT8OUT},
	{ARG_SPLIT, "split", F_TEXTOUT},
};

/* Returns a text argument that has a default and must not be null. */
static char *
needed_text(FunctionCallInfo fcinfo, int place, const char *name)
{
	if (PG_ARGISNULL(place))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 errhint("Leave the argument out to use its default, if it has one.")));
	return text_to_cstring(PG_GETARG_TEXT_PP(place));
}

static char *
text_or_null(FunctionCallInfo fcinfo, int place)
{
	return PG_ARGISNULL(place) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(place));
}

/*
 * Fails if the caller gives an empty array; only a preset or an older model
 * may lack layers.
 */
static void
check_layers_given(const TrainOptions *o)
{
	if (lbrec_is_given(o, "layers") && o->n_layers == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("layers must not be empty"),
				 errdetail("A tower without layers is the sum of its inputs, as in the default preset."),
				 errhint("Leave layers out to use the preset's; the preprint's towers are {32}, {64,32} and {128,64,32}.")));
}

/* Reads the arguments that decide which listens are held out. */
static void
read_hold_out(FunctionCallInfo fcinfo, const char *test_listens,
			  TrainOptions *o)
{
	if (!PG_ARGISNULL(ARG_TEST_FROM))
	{
		o->split = SPLIT_TIME;
		o->has_test_from = true;
		o->test_from = lbrec_argument_time(PG_GETARG_TIMESTAMPTZ(ARG_TEST_FROM),
										   "test_from");
	}
	if (test_listens)
		o->split = SPLIT_QUERY;
	else if (o->split == SPLIT_QUERY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("split \"query\" needs test_listens"),
				 errdetail("It measures on the listens of another table or query."),
				 errhint("For example: test_listens => 'SELECT * FROM listen_of_may'.")));
}

/*
 * Makes the options of a call: those of the preset, or of the model to start
 * from, overwritten by the call's arguments and settings.
 */
static void
read_options(FunctionCallInfo fcinfo, TrainRequest *request, TrainOptions *o,
			 MemoryContext context)
{
	char	   *start_from = text_or_null(fcinfo, ARG_START_FROM);
	char	   *preset = needed_text(fcinfo, ARG_PRESET, "preset");

	lbrec_preset(o, preset);
	if (start_from)
		request->warm = lbrec_warm_open(start_from, o, context);
	for (int i = 0; i < lengthof(setting_arguments); i++)
	{
		int			place = setting_arguments[i].place;

		if (!PG_ARGISNULL(place))
			lbrec_set_option(o, setting_arguments[i].name,
							 OidOutputFunctionCall(setting_arguments[i].output,
												   PG_GETARG_DATUM(place)));
	}
	if (!PG_ARGISNULL(ARG_SETTINGS))
		lbrec_set_settings(o, PG_GETARG_JSONB_P(ARG_SETTINGS));
	check_layers_given(o);
	o->activate = PG_ARGISNULL(ARG_ACTIVATE) || PG_GETARG_BOOL(ARG_ACTIVATE);
	o->make_default = !PG_ARGISNULL(ARG_MAKE_DEFAULT) &&
		PG_GETARG_BOOL(ARG_MAKE_DEFAULT);
	if (o->make_default && !o->activate)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("make_default needs activate"),
				 errdetail("A version that is not active answers only where its number is given."),
				 errhint("Leave one of the two arguments out.")));
	o->verbose = !PG_ARGISNULL(ARG_VERBOSE) && PG_GETARG_BOOL(ARG_VERBOSE);
	request->test_listens = text_or_null(fcinfo, ARG_TEST_LISTENS);
	read_hold_out(fcinfo, request->test_listens, o);
	lbrec_fit_options(o);
	lbrec_check_options(o);
}

/* State of verbose: is it on, and when was the last line printed. */
typedef struct VerboseState
{
	bool		verbose;
	TimestampTz told;
} VerboseState;

/*
 * Prints an epoch at once, because rows come at the end of the statement: the
 * first of each run, then no more than people can read.
 */
static void
tell_epoch(const RunPlan *plan, const EpochReport *report, void *arg)
{
	VerboseState *state = arg;
	TimestampTz now = GetCurrentTimestamp();

	if (!state->verbose ||
		(report->epoch > 1 && report->epoch < plan->n_epochs &&
		 !TimestampDifferenceExceeds(state->told, now, INFO_MS)))
		return;
	state->told = now;
	if (report->evaluated)
		ereport(INFO,
				(errmsg("%s, epoch %d of %d: loss %.5g, test loss %.5g, top-10 %.4f, top-100 %.4f, %.2f s",
						plan->phase, report->epoch, plan->n_epochs,
						report->loss, report->test_loss, report->top_k[2],
						report->top_k[4], report->seconds)));
	else
		ereport(INFO,
				(errmsg("%s, epoch %d of %d: loss %.5g, %.2f s", plan->phase,
						report->epoch, plan->n_epochs, report->loss,
						report->seconds)));
}

static void
put_epoch(RowSink *sink, const EpochReport *report)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};

	values[0] = Int32GetDatum(report->epoch);
	values[1] = lbrec_figure_datum(report->loss);
	values[2] = lbrec_figure_datum(report->test_loss);
	for (int k = 0; k < N_TOP_KS; k++)
		values[3 + k] = lbrec_figure_datum(report->top_k[k]);
	values[8] = lbrec_figure_datum(report->recall);
	values[9] = lbrec_figure_datum(report->ndcg);
	values[10] = lbrec_figure_datum(report->ndcg_100);
	values[11] = lbrec_figure_datum(report->mrr);
	values[12] = lbrec_figure_datum(report->seconds);
	values[13] = Int64GetDatum((int64) Min(report->listens_per_second,
										   (double) PG_INT32_MAX));
	for (int i = 2; i < 12; i++)
		nulls[i] = !report->evaluated;
	for (int i = 8; i < 11; i++)
		nulls[i] |= report->new_users == 0;
	lbrec_put_row(sink, values, nulls);
}

/* Notes that no held-out recording is new to its user. */
static void
tell_nothing_new(const TrainOptions *o, const Trained *trained)
{
	const EpochReport *last = &trained->reports[trained->n_reports - 1];

	if (!last->evaluated || last->new_users > 0)
		return;
	ereport(NOTICE,
			(errmsg("nothing that was held out is new to its user"),
			 lbrec_metric_of_new(o->early_stopping) ?
			 errdetail("recall_20, ndcg_20 and ndcg_100 are NULL; early_stopping looked at mrr instead.") :
			 errdetail("recall_20, ndcg_20 and ndcg_100 are NULL."),
			 errhint("Hold out later listens, for example with split => 'time'.")));
}

/* Warns of an exploded loss, which need not be infinite. */
static void
warn_of_rising_loss(const char *name, const TrainOptions *o,
					const Trained *trained)
{
	double		first = trained->reports[0].loss;
	double		last = trained->reports[trained->n_reports - 1].loss;

	if (last > 2 * first)
		ereport(WARNING,
				(errmsg("the loss of model \"%s\" rose while it was trained",
						name),
				 errdetail("It was %g after the first epoch and is %g after the last.",
						   first, last),
				 errhint("Lower learning_rate, now %g.", o->learning_rate)));
}

/* Drops versions in excess of keep_versions. */
static void
prune(const char *name, int keep)
{
	int64	   *pruned;
	int			n;

	if (keep == 0)
		return;
	n = lbrec_prune_model(name, keep, &pruned);
	lbrec_forget_all_images(pruned, n);
}

/* Nothing at as_of or later is to be read, by this call or by a model before. */
static void
bound_listens(ListenSource *source, const TrainRequest *request,
			  TimestampTz as_of)
{
	source->bounded = true;
	source->until = lbrec_argument_time(as_of, "as_of") - 1;
	if (request->test_listens)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("as_of and test_listens cannot both be given"),
				 errdetail("What test_listens returns decides the number of epochs and the weights of a score, and may be later than as_of."),
				 errhint("Train as of the time, then measure with lbrec_evaluate.")));
	if (request->warm &&
		lbrec_warm_model(request->warm)->time.last * 1e6 >=
		source->until + USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("start_from names a model that knows later listens than as_of"),
				 errdetail("Its last listen is at %s.",
						   timestamptz_to_str(lbrec_timestamp((int64) (lbrec_warm_model(request->warm)->time.last * 1e6)))),
				 errhint("Train without start_from, or give a later time.")));
}

/*
 * lbrec_train(model, listens, ...)
 *
 * Reads the listens once, trains, and writes the model as a new version in the
 * caller's transaction.  Returns a row for each epoch.
 */
Datum
lbrec_train(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, N_ARGS, N_COLUMNS);
	TrainOptions options;
	VerboseState state = {0};
	ListenSource source = {.with_features = true};
	TrainRequest request = {.options = &options, .callback = tell_epoch,
		.arg = &state};
	MemoryContext context;
	Dataset    *data;
	Trained    *trained;
	int32		version;

	context = AllocSetContextCreate(CurrentMemoryContext, "lbrec training",
									ALLOCSET_DEFAULT_SIZES);
	request.name = needed_text(fcinfo, ARG_MODEL, "model");
	source.listens = PG_ARGISNULL(ARG_LISTENS) ? lbrec_needed_listens() :
		text_or_null(fcinfo, ARG_LISTENS);
	source.items = text_or_null(fcinfo, ARG_ITEMS);
	read_options(fcinfo, &request, &options, context);
	if (source.items)
		lbrec_drop_ids(&options);
	if (!PG_ARGISNULL(ARG_AS_OF))
		bound_listens(&source, &request,
					  PG_GETARG_TIMESTAMPTZ(ARG_AS_OF));
	lbrec_check_name(request.name);
	state.verbose = options.verbose;

	/* fail now, not after an hour of training */
	PreventCommandIfReadOnly("lbrec_train()");
	PreventCommandIfParallelMode("lbrec_train()");

	source.user_features = PG_ARGISNULL(ARG_USER_FEATURES) ? NULL :
		PG_GETARG_ARRAYTYPE_P(ARG_USER_FEATURES);
	source.bucketize = options.bucketize;
	source.number_buckets = options.number_buckets;
	if (request.warm)
	{
		source.prepare = lbrec_warm_prepare;
		source.prepare_arg = request.warm;
	}
	lbrec_progress_start("lbrec_train", request.name, context);
	lbrec_progress("reading", -1, 0);
	data = lbrec_read_listens(&source, context);
	if (data->n_listens == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no listen is before as_of"),
				 errdetail("%lld listens are at %s or later.",
						   (long long) data->n_later,
						   timestamptz_to_str(PG_GETARG_TIMESTAMPTZ(ARG_AS_OF))),
				 errhint("Give a later time, or widen the query of listens.")));
	request.data = data;
	trained = lbrec_run_training(&request, context);
	options.temperature = trained->temperature;
	for (int i = 0; i < trained->n_reports; i++)
		put_epoch(&sink, &trained->reports[i]);
	tell_nothing_new(&options, trained);
	warn_of_rising_loss(request.name, &options, trained);
	lbrec_compare_with_popular(request.name, trained, &options);
	lbrec_progress_phase("saving");
	version = lbrec_save_model(request.name, trained, data, &options,
							   trained->reports, trained->n_reports);
	prune(request.name, options.keep_versions);
	lbrec_spool_free(data->listens);
	MemoryContextDelete(context);
	if (options.activate)
		lbrec_prepare_image(request.name);
	lbrec_tell_default(request.name, version);
	return (Datum) 0;
}
