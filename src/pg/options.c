/*
 * options.c
 *		Presets, limits and the written form of a training run's settings.
 */
#include "options.h"

#include <math.h>

#include "lib/stringinfo.h"

#define MAX_EPOCHS 100000
#define MAX_BATCH_SIZE 65536
#define MAX_EMBEDDING_DIM 1024
#define MAX_TIME_BUCKETS_OPTION 100000

/*
 * "paper" is the preprint's protocol (Cochran 2022, section 3, and its
 * notebook).  "default" is the best that we know; docs/quality.md has the
 * reasons.
 */
static const TrainOptions presets[] = {
	{
		.preset = "paper",
		.epochs = 30,
		.batch_size = 2048,
		.learning_rate = 0.1,
		.n_layers = 1,
		.layers = {32},
		.embedding_dim = 32,
		.seed = 42,
		.split = SPLIT_PAPER,
		.test_fraction = 0.2,
		.time_buckets = 1000,
		.mean_loss = false,
		.temperature = 1,
		.evaluate_every = 5,
		.initial_accumulator = 0.1,
	},
	{
		.preset = "default",
		.epochs = 10,
		.batch_size = 512,
		.learning_rate = 0.1,
		.n_layers = 1,
		.layers = {64},
		.embedding_dim = 64,
		.seed = 42,
		.split = SPLIT_TIME,
		.test_fraction = 0.1,
		.time_buckets = 0,
		.mean_loss = false,
		.temperature = 0.1,
		.logq = true,
		.normalize = true,
		.mask_hits = true,
		.evaluate_every = 1,
		.initial_accumulator = 0.1,
	},
};

static const char *const split_names[] = {
	[SPLIT_PAPER] = "paper",
	[SPLIT_RANDOM] = "random",
	[SPLIT_TIME] = "time",
	[SPLIT_NONE] = "none",
};

void
lbrec_preset(TrainOptions *options, const char *name)
{
	for (int i = 0; i < lengthof(presets); i++)
		if (strcmp(presets[i].preset, name) == 0)
		{
			*options = presets[i];
			options->activate = true;
			return;
		}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("preset \"%s\" does not exist", name),
			 errdetail("A preset gives every setting that is left out a value."),
			 errhint("Presets are \"default\" and \"paper\".")));
}

const char *
lbrec_split_name(SplitKind split)
{
	return split_names[split];
}

SplitKind
lbrec_split_by_name(const char *name)
{
	for (int i = 0; i < lengthof(split_names); i++)
		if (strcmp(split_names[i], name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("split \"%s\" does not exist", name),
			 errdetail("A split says which listens are held out to evaluate on."),
			 errhint("Splits are \"time\", \"random\", \"paper\" and \"none\".")));
	return SPLIT_NONE;			/* keep compiler quiet */
}

static void
check_integer(const char *name, int64 value, int64 low, int64 high)
{
	if (value < low || value > high)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %lld, outside of its range", name,
						(long long) value),
				 errdetail("It must be between %lld and %lld.",
						   (long long) low, (long long) high),
				 errhint("Leave the argument out to use the preset's value.")));
}

static void
check_number(const char *name, double value, double low, double high)
{
	if (!(value > low && value <= high))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %g, outside of its range", name, value),
				 errdetail("It must be greater than %g and at most %g.",
						   low, high),
				 errhint("Leave the argument out to use the preset's value.")));
}

void
lbrec_check_options(const TrainOptions *o)
{
	check_integer("epochs", o->epochs, 1, MAX_EPOCHS);
	check_integer("batch_size", o->batch_size, 2, MAX_BATCH_SIZE);
	check_number("learning_rate", o->learning_rate, 0, 1e30);
	check_integer("embedding_dim", o->embedding_dim, 1, MAX_EMBEDDING_DIM);
	check_number("test_fraction", o->test_fraction, 0, 0.9);
	check_integer("time_buckets", o->time_buckets, 0,
				  MAX_TIME_BUCKETS_OPTION);
	check_number("temperature", o->temperature, 0, 1000);
	check_integer("evaluate_every", o->evaluate_every, 1, MAX_EPOCHS);
	check_number("initial_accumulator", o->initial_accumulator, 0, 1e6);
	if (o->n_layers < 1 || o->n_layers > LB_MAX_LAYERS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("layers has %d elements", o->n_layers),
				 errdetail("A tower has 1 to %d dense layers.",
						   LB_MAX_LAYERS),
				 errhint("The preprint's towers are {32}, {64,32} and {128,64,32}.")));
	for (int l = 0; l < o->n_layers; l++)
		if (o->layers[l] < 1 || o->layers[l] > LB_MAX_LAYER_WIDTH)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("layer %d has width %d, outside of its range",
							l + 1, o->layers[l]),
					 errdetail("A layer's width must be between 1 and %d.",
							   LB_MAX_LAYER_WIDTH),
					 errhint("The preprint's towers are {32}, {64,32} and {128,64,32}.")));
	if (o->layers[o->n_layers - 1] > MAX_EMBEDDING_DIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the last layer has width %d, outside of its range",
						o->layers[o->n_layers - 1]),
				 errdetail("The vectors that it gives may have 1 to %d dimensions.",
						   MAX_EMBEDDING_DIM),
				 errhint("Add a narrower last layer.")));
}

/* The settings as a JSON object, for lbrec.model.config. */
char *
lbrec_options_json(const TrainOptions *o)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfo(&s, "{\"preset\": \"%s\", \"epochs\": %d, "
					 "\"batch_size\": %d, \"learning_rate\": %.9g, "
					 "\"layers\": [", o->preset, o->epochs, o->batch_size,
					 o->learning_rate);
	for (int l = 0; l < o->n_layers; l++)
		appendStringInfo(&s, "%s%d", l ? ", " : "", o->layers[l]);
	appendStringInfo(&s, "], \"embedding_dim\": %d, \"seed\": %lld, "
					 "\"split\": \"%s\", \"test_fraction\": %.9g, "
					 "\"time_buckets\": %d, \"loss\": \"%s\", "
					 "\"temperature\": %.9g, \"logq\": %s, "
					 "\"l2_normalize\": %s, \"mask_accidental_hits\": %s, "
					 "\"evaluate_every\": %d, "
					 "\"initial_accumulator\": %.9g}",
					 o->embedding_dim, (long long) o->seed,
					 lbrec_split_name(o->split), o->test_fraction,
					 o->time_buckets, o->mean_loss ? "mean" : "sum",
					 o->temperature, o->logq ? "true" : "false",
					 o->normalize ? "true" : "false",
					 o->mask_hits ? "true" : "false",
					 o->evaluate_every, o->initial_accumulator);
	return s.data;
}
