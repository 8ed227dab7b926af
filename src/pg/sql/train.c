/*
 * train.c
 *		lbrec_train(): trains a model over a query of listens.
 */
#include "pg/server/lbrec.h"

#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "pg/evaluate/metrics.h"
#include "pg/image/ready.h"
#include "pg/image/sweep.h"
#include "pg/listens/dataset.h"
#include "pg/listens/rare.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/server/srf.h"
#include "pg/server/time.h"
#include "pg/store/versions.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/save.h"
#include "pg/train/train.h"
#include "pg/train/warm.h"

PG_FUNCTION_INFO_V1(lbrec_train);

#define N_COLUMNS 13

typedef struct TrainCall
{
	RowSink		sink;
	const TrainOptions *options;
	EpochReport *epochs;
	int			n_epochs;
} TrainCall;

/* Arguments that are not settings, by name: the rest is in options.c. */
typedef struct Arguments
{
	char	   *model;
	char	   *listens;
	char	   *preset;
	char	   *start_from;
	char	   *test_listens;
	ArrayType  *user_features;
	ArrayType  *bucketize;
	bool		has_test_from;
	TimestampTz test_from;
	bool		activate;
	bool		verbose;
} Arguments;

static char *
text_value(FunctionCallInfo fcinfo, int arg, const char *name, bool needed)
{
	if (!PG_ARGISNULL(arg))
		return text_to_cstring(PG_GETARG_TEXT_PP(arg));
	if (needed)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 errhint("Leave the argument out to use its default, if it has one.")));
	return NULL;
}

/* Takes argument arg when it is none of options.c's. */
static bool
take_argument(FunctionCallInfo fcinfo, int arg, const char *name,
			  Arguments *a)
{
	if (strcmp(name, "model") == 0)
		a->model = text_value(fcinfo, arg, name, true);
	else if (strcmp(name, "listens") == 0)
		a->listens = text_value(fcinfo, arg, name, true);
	else if (strcmp(name, "preset") == 0)
		a->preset = text_value(fcinfo, arg, name, true);
	else if (strcmp(name, "start_from") == 0)
		a->start_from = text_value(fcinfo, arg, name, false);
	else if (strcmp(name, "test_listens") == 0)
		a->test_listens = text_value(fcinfo, arg, name, false);
	else if (strcmp(name, "user_features") == 0)
		a->user_features = PG_ARGISNULL(arg) ? NULL :
			PG_GETARG_ARRAYTYPE_P(arg);
	else if (strcmp(name, "bucketize") == 0)
		a->bucketize = PG_ARGISNULL(arg) ? NULL : PG_GETARG_ARRAYTYPE_P(arg);
	else if (strcmp(name, "test_from") == 0)
	{
		a->has_test_from = !PG_ARGISNULL(arg);
		if (a->has_test_from)
			a->test_from = PG_GETARG_TIMESTAMPTZ(arg);
	}
	else if (strcmp(name, "activate") == 0)
		a->activate = PG_ARGISNULL(arg) || PG_GETARG_BOOL(arg);
	else if (strcmp(name, "verbose") == 0)
		a->verbose = !PG_ARGISNULL(arg) && PG_GETARG_BOOL(arg);
	else
		return false;
	return true;
}

/*
 * The settings of a call: the preset's, or those of the model to start from,
 * and over them each argument that is given.  Arguments are known by their
 * names in the extension script.
 */
static void
read_options(FunctionCallInfo fcinfo, Arguments *a, TrainOptions *o,
			 WarmStart **warm, MemoryContext context)
{
	HeapTuple	proc = SearchSysCache1(PROCOID,
									   ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	Oid		   *types;
	char	  **names;
	char	   *modes;

	if (!HeapTupleIsValid(proc))
		elog(ERROR, "could not find the function that was called");
	get_func_arg_info(proc, &types, &names, &modes);
	ReleaseSysCache(proc);
	if (names == NULL)
		elog(ERROR, "the arguments of lbrec_train have no names");
	for (int i = 0; i < PG_NARGS(); i++)
		take_argument(fcinfo, i, names[i], a);
	lbrec_preset(o, a->preset);
	if (a->start_from)
	{
		*warm = lbrec_warm_open(a->start_from, o, context);
		o->given = 0;
	}
	for (int i = 0; i < PG_NARGS(); i++)
	{
		Oid			output;
		bool		varlena;
		Arguments	ignored;

		if (PG_ARGISNULL(i) || take_argument(fcinfo, i, names[i], &ignored))
			continue;
		getTypeOutputInfo(types[i], &output, &varlena);
		if (!lbrec_set_option(o, names[i],
							  OidOutputFunctionCall(output, PG_GETARG_DATUM(i))))
			elog(ERROR, "no setting is named \"%s\"", names[i]);

		/* a preset or an older model may have none, but who names none errs */
		if (strcmp(names[i], "layers") == 0 && o->n_layers == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("layers must not be empty"),
					 errdetail("A tower without layers is the sum of its inputs, as in the default preset."),
					 errhint("Leave layers out to use the preset's; the preprint's towers are {32}, {64,32} and {128,64,32}.")));
	}
	o->activate = a->activate;
	o->verbose = a->verbose;
	if (a->has_test_from)
	{
		o->split = SPLIT_TIME;
		o->has_test_from = true;
		o->test_from = lbrec_unix_time(a->test_from);
	}
	if (a->test_listens)
		o->split = SPLIT_QUERY;
	else if (o->split == SPLIT_QUERY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("split \"query\" needs test_listens"),
				 errdetail("It measures on the listens of another table or query."),
				 errhint("For example: test_listens => 'SELECT * FROM listen_of_may'.")));
	lbrec_fit_options(o);
	if (*warm)
		o->find_temperature = false;
	lbrec_check_options(o);
}

static bool
put_epoch(const EpochReport *report, void *arg)
{
	TrainCall  *call = arg;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};

	values[0] = Int32GetDatum(report->epoch);
	values[1] = Float8GetDatum(report->loss);
	values[2] = Float8GetDatum(report->test_loss);
	for (int k = 0; k < N_TOP_KS; k++)
		values[3 + k] = Float8GetDatum(report->top_k[k]);
	values[8] = Float8GetDatum(report->recall);
	values[9] = Float8GetDatum(report->ndcg);
	values[10] = Float8GetDatum(report->mrr);
	values[11] = Float8GetDatum(report->seconds);
	values[12] = Float8GetDatum(report->listens_per_second);
	for (int i = 2; i < 11; i++)
		nulls[i] = !report->evaluated;
	lbrec_put_row(&call->sink, values, nulls);
	call->epochs[call->n_epochs++] = *report;

	/* a notice leaves at once; rows wait for the end of the statement */
	if (call->options->verbose && report->evaluated)
		ereport(INFO,
				(errmsg("epoch %d of %d: loss %.1f, test loss %.1f, top-10 %.4f, top-100 %.4f, %.2f s",
						report->epoch, call->options->epochs, report->loss,
						report->test_loss, report->top_k[2], report->top_k[4],
						report->seconds)));
	else if (call->options->verbose)
		ereport(INFO,
				(errmsg("epoch %d of %d: loss %.1f, %.2f s", report->epoch,
						call->options->epochs, report->loss,
						report->seconds)));
	return true;
}

/* A loss can explode without ever being infinite; the user should know. */
static void
warn_of_rising_loss(const char *name, const TrainCall *call)
{
	double		first = call->epochs[0].loss;
	double		last = call->epochs[call->n_epochs - 1].loss;

	if (last > 2 * first)
		ereport(WARNING,
				(errmsg("the loss of model \"%s\" rose while it was trained",
						name),
				 errdetail("It was %g after the first epoch and is %g after the last.",
						   first, last),
				 errhint("Lower learning_rate, now %g.",
						 call->options->learning_rate)));
}

/*
 * lbrec_train(model, listens, ...)
 *
 * Reads the listens once, trains, and writes the model as a new version in
 * the caller's transaction.  One row an epoch.
 */
Datum
lbrec_train(PG_FUNCTION_ARGS)
{
	TrainOptions options;
	TrainCall	call = {0};
	Arguments	a = {0};
	ListenSource source = {.with_features = true};
	TrainRequest request = {.options = &options, .callback = put_epoch,
		.arg = &call};
	MemoryContext context;
	Trained    *trained;

	context = AllocSetContextCreate(CurrentMemoryContext, "lbrec training",
									ALLOCSET_DEFAULT_SIZES);
	read_options(fcinfo, &a, &options, &request.warm, context);
	lbrec_check_name(a.model);

	/* better now than after an hour of training */
	PreventCommandIfReadOnly("lbrec_train()");
	PreventCommandIfParallelMode("lbrec_train()");

	call.sink = lbrec_begin_rows(fcinfo, 0, FUNC_MAX_ARGS, N_COLUMNS);
	call.options = &options;
	call.epochs = palloc(options.epochs * sizeof(EpochReport));

	source.listens = a.listens;
	source.user_features = a.user_features;
	source.bucketize = a.bucketize;
	source.number_buckets = options.number_buckets;
	if (request.warm)
	{
		source.prepare = lbrec_warm_prepare;
		source.prepare_arg = request.warm;
	}
	request.name = a.model;
	request.test_listens = a.test_listens;
	request.data = lbrec_read_listens(&source, context);
	if (options.min_listens > 1 && options.hash_buckets == 0)
		lbrec_drop_rare(request.data, options.min_listens);
	trained = lbrec_run_training(&request, context);
	options.temperature = trained->temperature;
	warn_of_rising_loss(a.model, &call);
	lbrec_save_model(a.model, trained, request.data, &options, call.epochs,
					 call.n_epochs);
	if (options.keep_versions > 0)
	{
		int64	   *pruned;
		int			n = lbrec_prune_model(a.model, options.keep_versions,
										  &pruned);

		lbrec_forget_all_images(pruned, n);
	}

	lbrec_spool_free(request.data->listens);
	MemoryContextDelete(context);
	if (options.activate)
		lbrec_prepare_image(a.model);
	return (Datum) 0;
}
