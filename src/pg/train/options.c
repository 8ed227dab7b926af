/*
 * options.c
 *		Presets, limits and the written form of a training run's settings.
 *
 * One table describes every setting: its name, which is that of the argument
 * of lbrec_train and of the key in lbrec.model.config, its type and its range.
 * Reading, checking and printing walk it, so a new setting is one line there
 * and one in the extension script.
 */
#include "pg/train/options.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "catalog/pg_type.h"

#include "pg/evaluate/metrics.h"
#include "pg/model/config.h"

#define MAX_EPOCHS 100000
#define MAX_BATCH_SIZE 65536
#define MAX_EMBEDDING_DIM 1024

/* Rows of a batch of listens, where the preset's are of users. */
#define LISTENS_BATCH 512

/* Where nothing tells when to stop: the epochs of a run, and between looks. */
#define FIXED_EPOCHS 12
#define FIXED_EVALUATE_EVERY 5

typedef enum OptionKind
{
	OPTION_INT,
	OPTION_INT8,
	OPTION_ABOVE,				/* a number above low */
	OPTION_FROM,				/* a number from low on */
	OPTION_BELOW,				/* a number from low on, below high */
	OPTION_BOOL,
	OPTION_ENUM,				/* an int, one of names */
	OPTION_FLAG					/* a bool, one of two names */
} OptionKind;

typedef struct Option
{
	const char *name;
	OptionKind	kind;
	size_t		offset;
	double		low;
	double		high;
	const char *const *names;
	const char *about;			/* what the names choose */
} Option;

static const char *const split_names[] = {
	[SPLIT_PAPER] = "paper",
	[SPLIT_RANDOM] = "random",
	[SPLIT_TIME] = "time",
	[SPLIT_LAST] = "last",
	[SPLIT_QUERY] = "query",
	[SPLIT_NONE] = "none",
	NULL
};
static const char *const batch_names[] = {"listens", "users", NULL};
static const char *const table_names[] = {"own", "shared", NULL};
static const char *const window_names[] = {"others", "before", NULL};
static const char *const loss_names[] = {"sum", "mean", NULL};
static const char *const estimate_names[] = {"counts", "streaming", NULL};
static const char *const sampling_names[] = {"uniform", "popularity", NULL};
static const char *const schedule_names[] = {
	[LB_CONSTANT] = "constant",
	[LB_LINEAR] = "linear",
	[LB_COSINE] = "cosine",
	[LB_STEP] = "step",
	NULL
};
static const char *const metric_names[] = {
	[METRIC_NONE] = "none",
	[METRIC_TEST_LOSS] = "test_loss",
	[METRIC_TOP_1] = "top_1",
	[METRIC_TOP_5] = "top_5",
	[METRIC_TOP_10] = "top_10",
	[METRIC_TOP_50] = "top_50",
	[METRIC_TOP_100] = "top_100",
	[METRIC_RECALL] = "recall_20",
	[METRIC_NDCG] = "ndcg_20",
	[METRIC_NDCG_100] = "ndcg_100",
	[METRIC_MRR] = "mrr",
	NULL
};

#define AT(field) offsetof(TrainOptions, field)

static const Option table[] = {
	{"epochs", OPTION_INT, AT(epochs), 1, MAX_EPOCHS},
	{"batch_size", OPTION_INT, AT(batch_size), 2, MAX_BATCH_SIZE},
	{"learning_rate", OPTION_ABOVE, AT(learning_rate), 0, 1e30},
	{"embedding_dim", OPTION_INT, AT(embedding_dim), 1, MAX_EMBEDDING_DIM},
	{"ensemble", OPTION_INT, AT(ensemble), 1, 64},
	{"seed", OPTION_INT8, AT(seed)},
	{"split", OPTION_ENUM, AT(split), 0, 0, split_names,
	"A split says which listens are held out to evaluate on."},
	{"test_fraction", OPTION_ABOVE, AT(test_fraction), 0, 0.9},
	{"test_last", OPTION_INT, AT(test_last), 0, 1000000},
	{"test_limit", OPTION_INT, AT(test_limit), 0, PG_INT32_MAX},
	{"user_embedding", OPTION_BOOL, AT(user_embedding)},
	{"time_buckets", OPTION_INT, AT(time_buckets), 0, 100000},
	{"hour_of_day", OPTION_BOOL, AT(hour_of_day)},
	{"day_of_week", OPTION_BOOL, AT(day_of_week)},
	{"history_length", OPTION_INT, AT(history_length), 0, 10000},
	{"history_dropout", OPTION_BELOW, AT(history_dropout), 0, 1},
	{"history_pooling", OPTION_ENUM, AT(history_pooling), 0, 0, lbrec_pooling_names,
	"The embeddings of a history are added up and divided by their number or its root."},
	{"history_table", OPTION_FLAG, AT(history_shared), 0, 0, table_names,
	"The history input has a table of its own or shares that of the candidate tower."},
	{"history_window", OPTION_FLAG, AT(history_before), 0, 0, window_names,
	"In training a history is of all other recordings of the user or of those before the listen."},
	{"batch_by", OPTION_ENUM, AT(batch_by), 0, 0, batch_names,
	"It says what a row of a training batch is."},
	{"targets", OPTION_INT, AT(targets), 1, 10000},
	{"loss_reduction", OPTION_FLAG, AT(mean_loss), 0, 0, loss_names,
	"The loss of a batch is the sum, as the preprint has it, or the mean over its rows."},
	{"temperature", OPTION_FROM, AT(temperature), 1e-4, 1000},
	{"logq", OPTION_BOOL, AT(logq)},
	{"logq_estimate", OPTION_FLAG, AT(streaming_logq), 0, 0, estimate_names,
	"The probability of being a candidate is counted before training or estimated during it."},
	{"l2_normalize", OPTION_BOOL, AT(normalize)},
	{"mask_accidental_hits", OPTION_BOOL, AT(mask_hits)},
	{"hard_negatives", OPTION_INT, AT(hard_negatives), 0, MAX_BATCH_SIZE},
	{"extra_negatives", OPTION_INT, AT(extra_negatives), 0, MAX_BATCH_SIZE},
	{"negative_sampling", OPTION_FLAG, AT(popular_negatives), 0, 0, sampling_names,
	"It says how extra_negatives are drawn."},
	{"optimizer", OPTION_ENUM, AT(optimizer), 0, 0, lbrec_optimizer_names,
	"It says how gradients move the weights."},
	{"initial_accumulator", OPTION_ABOVE, AT(initial_accumulator), 0, 1e6},
	{"schedule", OPTION_ENUM, AT(schedule), 0, 0, schedule_names,
	"It says how the learning rate falls after warm-up."},
	{"warmup_epochs", OPTION_FROM, AT(warmup_epochs), 0, MAX_EPOCHS},
	{"decay_epochs", OPTION_ABOVE, AT(decay_epochs), 0, MAX_EPOCHS},
	{"decay_factor", OPTION_ABOVE, AT(decay_factor), 0, 1},
	{"weight_decay", OPTION_FROM, AT(weight_decay), 0, 1},
	{"clip_norm", OPTION_FROM, AT(clip_norm), 0, 1e9},
	{"dropout", OPTION_BELOW, AT(dropout), 0, 1},
	{"evaluate_every", OPTION_INT, AT(evaluate_every), 1, MAX_EPOCHS},
	{"early_stopping", OPTION_ENUM, AT(early_stopping), 0, 0, metric_names,
	"It names the metric whose best epoch is kept."},
	{"patience", OPTION_INT, AT(patience), 1, MAX_EPOCHS},
	{"min_listens", OPTION_INT, AT(min_listens), 1, PG_INT32_MAX},
	{"hash_buckets", OPTION_INT, AT(hash_buckets), 0, 10000000},
	{"keep_versions", OPTION_INT, AT(keep_versions), 0, PG_INT32_MAX},
	{"number_buckets", OPTION_INT, AT(number_buckets), 2, 10000},
	{"repeat_power", OPTION_FROM, AT(repeat_power), 0, 100},
	{"neighbours", OPTION_INT, AT(neighbours), 0, 10000},
	{"refit", OPTION_BOOL, AT(refit)},
};

/*
 * "paper" is the preprint's protocol (Cochran 2022, section 3, and its
 * notebook).  "default" is the best that we know; docs/quality.md has the
 * reasons.
 */
#define COMMON \
	.seed = 42, \
	.targets = 64, \
	.learning_rate = 0.1, \
	.schedule = LB_CONSTANT, \
	.decay_epochs = 10, \
	.decay_factor = 0.5, \
	.min_listens = 1, \
	.number_buckets = 20, \
	.activate = true

static const TrainOptions presets[] = {
	{
		COMMON,
		.preset = "paper",
		.ensemble = 1,
		.optimizer = LB_ADAGRAD,
		.epochs = 30,
		.batch_size = 2048,
		.n_layers = 1,
		.layers = {32},
		.embedding_dim = 32,
		.split = SPLIT_PAPER,
		.test_fraction = 0.2,
		.user_embedding = true,
		.time_buckets = 1000,
		.temperature = 1,
		.initial_accumulator = 0.1,
		.evaluate_every = 5,
		.patience = 3,
	},
	{
		COMMON,
		.preset = "default",
		.epochs = 20,
		.batch_size = 128,
		.embedding_dim = 128,
		.ensemble = 4,
		.optimizer = LB_ROWWISE_ADAGRAD,
		.split = SPLIT_LAST,
		.test_fraction = 0.2,
		.test_limit = 10000,
		.early_stopping = METRIC_NDCG_100,
		.refit = true,
		.history_length = 500,
		.history_dropout = 0.6,
		.history_pooling = POOL_SQRT,
		.batch_by = BATCH_USERS,
		.mean_loss = true,
		.temperature = 0.12,
		.repeat_power = 0.7,
		.neighbours = 200,
		.logq = true,
		.normalize = true,
		.mask_hits = true,
		.extra_negatives = 512,
		.initial_accumulator = 1e-8,
		.evaluate_every = 2,
		.patience = 2,
	},
};

void
lbrec_preset(TrainOptions *options, const char *name)
{
	for (int i = 0; i < lengthof(presets); i++)
		if (strcmp(presets[i].preset, name) == 0)
		{
			*options = presets[i];
			return;
		}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("preset \"%s\" does not exist", name),
			 errdetail("A preset gives every setting that is left out a value."),
			 errhint("Presets are \"default\" and \"paper\".")));
}

static int
name_index(const Option *o, const char *value)
{
	StringInfoData s;

	for (int i = 0; o->names[i] != NULL; i++)
		if (strcmp(o->names[i], value) == 0)
			return i;
	initStringInfo(&s);
	for (int i = 0; o->names[i] != NULL; i++)
		appendStringInfo(&s, "%s\"%s\"", i == 0 ? "" :
						 o->names[i + 1] == NULL ? " and " : ", ",
						 o->names[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" does not exist", o->name, value),
			 errdetail("%s", o->about),
			 errhint("There are %s.", s.data)));
	return 0;					/* keep compiler quiet */
}

static void
set_layers(TrainOptions *options, const char *value)
{
	ArrayType  *array = DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, pstrdup(value),
																INT4OID, -1));
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

/*
 * Sets the option of that name from its text form, as the type's output
 * function writes it.  False when there is no such option.
 */
bool
lbrec_set_option(TrainOptions *options, const char *name, const char *value)
{
	if (strcmp(name, "layers") == 0)
	{
		set_layers(options, value);
		return true;
	}
	for (int i = 0; i < lengthof(table); i++)
	{
		const Option *o = &table[i];
		void	   *field = (char *) options + o->offset;

		if (strcmp(o->name, name) != 0)
			continue;
		options->given |= UINT64CONST(1) << i;
		switch (o->kind)
		{
			case OPTION_INT:
				*(int *) field =
					DatumGetInt32(DirectFunctionCall1(int4in, CStringGetDatum(value)));
				break;
			case OPTION_INT8:
				*(int64 *) field =
					DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(value)));
				break;
			case OPTION_ABOVE:
			case OPTION_FROM:
			case OPTION_BELOW:
				*(double *) field =
					DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(value)));
				break;
			case OPTION_BOOL:
				*(bool *) field =
					DatumGetBool(DirectFunctionCall1(boolin, CStringGetDatum(value)));
				break;
			case OPTION_ENUM:
				*(int *) field = name_index(o, value);
				break;
			case OPTION_FLAG:
				*(bool *) field = name_index(o, value) == 1;
				break;
		}
		return true;
	}
	return false;
}

static bool
is_given(const TrainOptions *options, const char *name)
{
	for (int i = 0; i < lengthof(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return (options->given >> i & 1) != 0;
	return false;
}

/* Nothing is to tell, or can, how many epochs are best. */
void
lbrec_fix_epochs(TrainOptions *o)
{
	if (o->early_stopping != METRIC_NONE && !is_given(o, "epochs"))
		o->epochs = FIXED_EPOCHS;
	if (o->early_stopping != METRIC_NONE && !is_given(o, "evaluate_every"))
		o->evaluate_every = FIXED_EVALUATE_EVERY;
	o->early_stopping = METRIC_NONE;
}

/*
 * Settings that were left out follow those that were given where the preset's
 * would not go with them: who asks for layers need not know of ensembles.
 */
void
lbrec_fit_options(TrainOptions *o)
{
	bool		by_listens = o->time_buckets > 0 || o->hour_of_day ||
		o->day_of_week || o->history_before || o->hard_negatives > 0;

	StaticAssertStmt(lengthof(table) <= 64, "a bit for each setting");
	if (o->n_layers > 0 && !is_given(o, "ensemble"))
		o->ensemble = 1;
	if (is_given(o, "logq_estimate") && !is_given(o, "logq"))
		o->logq = true;
	if (by_listens && !is_given(o, "batch_by"))
		o->batch_by = BATCH_LISTENS;
	if (o->batch_by == BATCH_LISTENS && !is_given(o, "batch_size"))
		o->batch_size = Max(o->batch_size, LISTENS_BATCH);
	/* who says how many epochs means it */
	if ((o->split == SPLIT_NONE || is_given(o, "epochs")) &&
		!is_given(o, "early_stopping"))
		lbrec_fix_epochs(o);
	/* losses at different temperatures do not compare */
	o->find_temperature = o->refit && o->normalize &&
		!is_given(o, "temperature") && o->early_stopping != METRIC_NONE &&
		o->early_stopping != METRIC_TEST_LOSS;
}

static void
check_option(const TrainOptions *options, const Option *o)
{
	const void *field = (const char *) options + o->offset;
	double		value;
	bool		good;

	switch (o->kind)
	{
		case OPTION_INT:
			value = *(const int *) field;
			if (value < o->low || value > o->high)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("%s is %.0f, outside of its range", o->name,
								value),
						 errdetail("It must be between %.0f and %.0f.",
								   o->low, o->high),
						 errhint("Leave the argument out to use the preset's value.")));
			return;
		case OPTION_ABOVE:
		case OPTION_FROM:
		case OPTION_BELOW:
			break;
		default:
			return;
	}
	value = *(const double *) field;
	good = (o->kind == OPTION_ABOVE ? value > o->low : value >= o->low) &&
		(o->kind == OPTION_BELOW ? value < o->high : value <= o->high);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %g, outside of its range", o->name, value),
				 errdetail("It must be %s %g and %s %g.",
						   o->kind == OPTION_ABOVE ? "greater than" :
						   "at least", o->low,
						   o->kind == OPTION_BELOW ? "less than" : "at most",
						   o->high),
				 errhint("Leave the argument out to use the preset's value.")));
}

static void
check_layers(const TrainOptions *o)
{
	if (o->n_layers < 0 || o->n_layers > LB_MAX_LAYERS)
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
	if (o->n_layers > 0 && o->layers[o->n_layers - 1] > MAX_EMBEDDING_DIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the last layer has width %d, outside of its range",
						o->layers[o->n_layers - 1]),
				 errdetail("The vectors that it gives may have 1 to %d dimensions.",
						   MAX_EMBEDDING_DIM),
				 errhint("Add a narrower last layer.")));
}

/* Settings that are right each, but not together. */
static void
check_together(const TrainOptions *o)
{
#define REFUSE(condition, message, detail, hint) \
	if (condition) \
		ereport(ERROR, \
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), \
				 errmsg(message), errdetail(detail), errhint(hint)))

	REFUSE(!o->user_embedding && o->history_length == 0,
		   "the query tower would not see the user",
		   "Both user_embedding and history_length are off.",
		   "Set history_length => 100, or user_embedding => true.");
	REFUSE(o->hash_buckets > 0 && o->history_length > 0 && o->history_shared,
		   "hash_buckets needs a history with a table of its own",
		   "The history's recordings would be looked up in a table in which rare ones have no row.",
		   "Set history_table => 'own', or leave hash_buckets out.");
	REFUSE(o->ensemble > 1 && o->n_layers > 0,
		   "an ensemble needs towers without layers",
		   "The vectors of its members are laid side by side, which dense layers would mix.",
		   "Leave layers out, or set ensemble => 1.");
	REFUSE((int64) o->ensemble * o->embedding_dim > MAX_EMBEDDING_DIM,
		   "the ensemble's vectors are too long",
		   "ensemble times embedding_dim may be at most 1024.",
		   "Lower either of them.");
	REFUSE(o->batch_by == BATCH_USERS &&
		   (o->time_buckets > 0 || o->hour_of_day || o->day_of_week),
		   "time inputs need batches of listens",
		   "A row of batch_by \"users\" has many listens, so it has no time.",
		   "Set batch_by => 'listens'.");
	REFUSE(o->batch_by == BATCH_USERS && o->history_before,
		   "history_window \"before\" needs batches of listens",
		   "A row of batch_by \"users\" has many listens, so there is no time before it.",
		   "Set batch_by => 'listens'.");
	REFUSE(o->batch_by == BATCH_USERS && o->hard_negatives > 0,
		   "hard_negatives needs batches of listens",
		   "Rows of batch_by \"users\" have several positives each.",
		   "Set batch_by => 'listens', or leave hard_negatives out.");
	REFUSE(o->split == SPLIT_NONE && o->early_stopping != METRIC_NONE,
		   "early_stopping needs listens held out",
		   "With split \"none\" nothing is measured.",
		   "Set split => 'time'.");
	REFUSE(o->warmup_epochs >= o->epochs,
		   "warmup_epochs must be less than epochs",
		   "The learning rate would never reach its value.",
		   "Lower warmup_epochs.");
#undef REFUSE
}

void
lbrec_check_options(const TrainOptions *o)
{
	for (int i = 0; i < lengthof(table); i++)
		check_option(o, &table[i]);
	check_layers(o);
	check_together(o);
}

/* The settings as a JSON object, for lbrec.model.config. */
char *
lbrec_options_json(const TrainOptions *options)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfo(&s, "{\"preset\": \"%s\", \"layers\": [", options->preset);
	for (int l = 0; l < options->n_layers; l++)
		appendStringInfo(&s, "%s%d", l ? ", " : "", options->layers[l]);
	appendStringInfoChar(&s, ']');
	for (int i = 0; i < lengthof(table); i++)
	{
		const Option *o = &table[i];
		const void *field = (const char *) options + o->offset;

		appendStringInfo(&s, ", \"%s\": ", o->name);
		switch (o->kind)
		{
			case OPTION_INT:
				appendStringInfo(&s, "%d", *(const int *) field);
				break;
			case OPTION_INT8:
				appendStringInfo(&s, INT64_FORMAT, *(const int64 *) field);
				break;
			case OPTION_ABOVE:
			case OPTION_FROM:
			case OPTION_BELOW:
				appendStringInfo(&s, "%.9g", *(const double *) field);
				break;
			case OPTION_BOOL:
				appendStringInfoString(&s, *(const bool *) field ?
									   "true" : "false");
				break;
			case OPTION_ENUM:
				appendStringInfo(&s, "\"%s\"",
								 o->names[*(const int *) field]);
				break;
			case OPTION_FLAG:
				appendStringInfo(&s, "\"%s\"",
								 o->names[*(const bool *) field]);
				break;
		}
	}
	appendStringInfoChar(&s, '}');
	return s.data;
}
