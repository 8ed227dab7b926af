/*
 * sql_train.c
 *		lbrec_train(): trains a model over a query of listens.
 */
#include "lbrec.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "store.h"

PG_FUNCTION_INFO_V1(lbrec_train);

/* Arguments, in the order of the extension script. */
enum
{
	ARG_MODEL,
	ARG_LISTENS,
	ARG_PRESET,
	ARG_EPOCHS,
	ARG_BATCH_SIZE,
	ARG_LEARNING_RATE,
	ARG_LAYERS,
	ARG_EMBEDDING_DIM,
	ARG_SEED,
	ARG_SPLIT,
	ARG_TEST_FRACTION,
	ARG_TIME_BUCKETS,
	ARG_LOSS_REDUCTION,
	ARG_TEMPERATURE,
	ARG_LOGQ,
	ARG_NORMALIZE,
	ARG_MASK_HITS,
	ARG_EVALUATE_EVERY,
	ARG_USER_FEATURES,
	ARG_ACTIVATE,
	ARG_VERBOSE
};

#define N_COLUMNS 10

typedef struct TrainCall
{
	RowSink		sink;
	const TrainOptions *options;
	EpochReport *epochs;
	int			n_epochs;
} TrainCall;

static char *
text_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 errhint("Leave the argument out to use its default, if it has one.")));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static void
read_layers(TrainOptions *options, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &values, &nulls, &n);
	/* lbrec_check_options() speaks about a number that is out of range */
	options->n_layers = n;
	for (int i = 0; i < n && i < LB_MAX_LAYERS; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("layers must not contain nulls"),
					 errhint("The preprint's towers are {32}, {64,32} and {128,64,32}.")));
		options->layers[i] = DatumGetInt32(values[i]);
	}
}

/* The preset's settings, and over them each argument that is given. */
static void
read_options(FunctionCallInfo fcinfo, TrainOptions *o)
{
	lbrec_preset(o, text_argument(fcinfo, ARG_PRESET, "preset"));

#define OVERRIDE(arg, field, get) \
	do { if (!PG_ARGISNULL(arg)) o->field = get(arg); } while (0)

	OVERRIDE(ARG_EPOCHS, epochs, PG_GETARG_INT32);
	OVERRIDE(ARG_BATCH_SIZE, batch_size, PG_GETARG_INT32);
	OVERRIDE(ARG_LEARNING_RATE, learning_rate, PG_GETARG_FLOAT8);
	OVERRIDE(ARG_EMBEDDING_DIM, embedding_dim, PG_GETARG_INT32);
	OVERRIDE(ARG_SEED, seed, PG_GETARG_INT64);
	OVERRIDE(ARG_TEST_FRACTION, test_fraction, PG_GETARG_FLOAT8);
	OVERRIDE(ARG_TIME_BUCKETS, time_buckets, PG_GETARG_INT32);
	OVERRIDE(ARG_TEMPERATURE, temperature, PG_GETARG_FLOAT8);
	OVERRIDE(ARG_LOGQ, logq, PG_GETARG_BOOL);
	OVERRIDE(ARG_NORMALIZE, normalize, PG_GETARG_BOOL);
	OVERRIDE(ARG_MASK_HITS, mask_hits, PG_GETARG_BOOL);
	OVERRIDE(ARG_EVALUATE_EVERY, evaluate_every, PG_GETARG_INT32);
	OVERRIDE(ARG_ACTIVATE, activate, PG_GETARG_BOOL);
	OVERRIDE(ARG_VERBOSE, verbose, PG_GETARG_BOOL);
#undef OVERRIDE
	if (!PG_ARGISNULL(ARG_LAYERS))
		read_layers(o, PG_GETARG_ARRAYTYPE_P(ARG_LAYERS));
	if (!PG_ARGISNULL(ARG_SPLIT))
		o->split = lbrec_split_by_name(text_argument(fcinfo, ARG_SPLIT,
													 "split"));
	if (!PG_ARGISNULL(ARG_LOSS_REDUCTION))
	{
		char	   *loss = text_argument(fcinfo, ARG_LOSS_REDUCTION,
										 "loss_reduction");

		if (strcmp(loss, "mean") != 0 && strcmp(loss, "sum") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("loss_reduction \"%s\" does not exist", loss),
					 errhint("Use \"sum\", as the preprint, or \"mean\".")));
		o->mean_loss = strcmp(loss, "mean") == 0;
	}
	lbrec_check_options(o);
}

static void
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
	values[8] = Float8GetDatum(report->seconds);
	values[9] = Float8GetDatum(report->listens_per_second);
	for (int i = 2; i < 8; i++)
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
	char	   *name;
	char	   *listens;
	MemoryContext context;
	Dataset    *data;
	TwoTower   *model;

	name = text_argument(fcinfo, ARG_MODEL, "model");
	listens = text_argument(fcinfo, ARG_LISTENS, "listens");
	if (name[0] == '\0' || strlen(name) >= sizeof(((ModelRow *) NULL)->name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("a model's name must have 1 to %d bytes",
						(int) sizeof(((ModelRow *) NULL)->name) - 1),
				 errdetail("This one has %zu.", strlen(name)),
				 errhint("Versions of a name are counted, so a short name does: 'weekly'.")));
	read_options(fcinfo, &options);

	/* better now than after an hour of training */
	PreventCommandIfReadOnly("lbrec_train()");
	PreventCommandIfParallelMode("lbrec_train()");

	call.sink = lbrec_begin_rows(fcinfo);
	call.options = &options;
	call.epochs = palloc(options.epochs * sizeof(EpochReport));
	context = AllocSetContextCreate(CurrentMemoryContext, "lbrec training",
									ALLOCSET_DEFAULT_SIZES);

	data = lbrec_read_listens(listens,
							  PG_ARGISNULL(ARG_USER_FEATURES) ? NULL :
							  PG_GETARG_ARRAYTYPE_P(ARG_USER_FEATURES),
							  true, context);
	model = lbrec_run_training(name, data, &options, put_epoch, &call,
							   context);
	warn_of_rising_loss(name, &call);
	lbrec_save_model(name, model, data, &options, call.epochs, call.n_epochs);

	MemoryContextDelete(context);
	return (Datum) 0;
}
