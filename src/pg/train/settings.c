/*
 * settings.c
 *		The table of settings.
 *
 * A row holds a setting's name, its type, its value in either preset, its
 * range or its values, and a line of meaning.  The parser, the checks, the
 * view lbrec_settings, the table of docs/reference.md (test/t/051_reference.pl
 * compares it with the view) and lbrec.model.config follow from it.  A new
 * setting needs a field of TrainOptions, a row here, a row of the page, and
 * the code that uses it.
 */
#include "pg/train/settings.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/varlena.h"

#include "pg/evaluate/metrics.h"
#include "pg/model/config.h"

#define MAX_EPOCHS 100000
#define MAX_BATCH_SIZE 65536

/* A name further than this from all settings is no typing error. */
#define FARTHEST(length) ((int) Max(1, (length) / 3))
#define LONGEST_NAME 63

static const char *const split_names[] = {
	[SPLIT_PAPER] = "paper",
	[SPLIT_RANDOM] = "random",
	[SPLIT_TIME] = "time",
	[SPLIT_LAST] = "last",
	[SPLIT_QUERY] = "query",
	[SPLIT_NONE] = "none",
	NULL
};
static const char *const batch_names[] = {
	[BATCH_LISTENS] = "listens",
	[BATCH_USERS] = "users",
	[BATCH_SESSIONS] = "sessions",
	[BATCH_AUTO] = "auto",
	NULL
};
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

/* Returns the value of setting early_stopping for a Metric. */
const char *
lbrec_metric_name(int metric)
{
	return metric_names[metric];
}

/* Returns the value of setting split for a SplitKind. */
const char *
lbrec_split_name(int split)
{
	return split_names[split];
}

static const Setting table[] = {
	{"epochs", SETTING_INT, AT(epochs), "20", "30", 1, MAX_EPOCHS, NULL,
	"passes over the training listens; if given, exactly that many, unless early_stopping is given too"},
	{"layers", SETTING_LAYERS, AT(layers), "{}", "{32}", 1, LB_MAX_LAYER_WIDTH, NULL,
	"widths of both towers' dense layers; without any, a tower is the sum of its inputs"},
	{"seed", SETTING_INT8, AT(seed), "42", "42", 0, 0, NULL,
	"seed of every random choice"},
	{"split", SETTING_ENUM, AT(split), "last", "paper", 0, 0, split_names,
	"which listens are held out to measure on"},
	{"test_fraction", SETTING_ABOVE, AT(test_fraction), "0.2", "0.2", 0, 0.9, NULL,
	"share of the listens that is held out"},
	{"test_last", SETTING_INT, AT(test_last), "0", "0", 0, 1000000, NULL,
	"listens held out of each user, with split last; 0: test_fraction of them"},
	{"test_limit", SETTING_INT, AT(test_limit), "10000", "0", 0, PG_INT32_MAX, NULL,
	"listens held out at most; 0: no limit"},
	{"refit", SETTING_BOOL, AT(refit), "true", "false", 0, 0, NULL,
	"after the trials, train on all listens with the epochs and weights that they found"},
	{"early_stopping", SETTING_ENUM, AT(early_stopping), "ndcg_100", "none", 0, 0, metric_names,
	"measure that chooses the epoch to keep"},
	{"patience", SETTING_INT, AT(patience), "2", "3", 1, MAX_EPOCHS, NULL,
	"evaluations without a better one that stop a training"},
	{"evaluate_every", SETTING_INT, AT(evaluate_every), "2", "5", 1, MAX_EPOCHS, NULL,
	"epochs from one evaluation to the next; the last epoch is always evaluated"},
	{"batch_by", SETTING_ENUM, AT(batch_by), "auto", "listens", 0, 0, batch_names,
	"rows of a training batch: listens, users or their sessions with several recordings each; auto: sessions where users are few"},
	{"batch_size", SETTING_INT, AT(batch_size), "128", "2048", 2, MAX_BATCH_SIZE, NULL,
	"rows of a training step"},
	{"targets", SETTING_INT, AT(targets), "64", "64", 1, 10000, NULL,
	"recordings that a row must find, unless batch_by is listens"},
	{"embedding_dim", SETTING_INT, AT(embedding_dim), "128", "32", 1, MAX_VECTOR_WIDTH, NULL,
	"width of each embedding"},
	{"ensemble", SETTING_INT, AT(ensemble), "4", "1", 1, MAX_ENSEMBLE, NULL,
	"models trained apart, their vectors side by side; only without layers"},
	{"user_embedding", SETTING_BOOL, AT(user_embedding), "false", "true", 0, 0, NULL,
	"an embedding of the user's own in the query tower"},
	{"time_buckets", SETTING_INT, AT(time_buckets), "0", "1000", 0, MAX_TIME_BUCKETS, NULL,
	"buckets of the embedding of time; 0: the query tower does not see the time"},
	{"hour_of_day", SETTING_BOOL, AT(hour_of_day), "false", "false", 0, 0, NULL,
	"the time of day as a cyclic input"},
	{"day_of_week", SETTING_BOOL, AT(day_of_week), "false", "false", 0, 0, NULL,
	"the time of the week as a cyclic input"},
	{"history_length", SETTING_INT, AT(history_length), "500", "0", 0, MAX_HISTORY_LENGTH, NULL,
	"recordings of the user that are summed as an input; 0: none"},
	{"history_dropout", SETTING_BELOW, AT(history_dropout), "0.6", "0", 0, 1, NULL,
	"share of a history that a training step leaves out"},
	{"history_pooling", SETTING_ENUM, AT(history_pooling), "sqrt", "mean", 0, 0, lbrec_pooling_names,
	"divide the sum of a history by the number of its recordings, or by the root of that"},
	{"history_table", SETTING_FLAG, AT(history_shared), "own", "own", 0, 0, table_names,
	"the history has an embedding table of its own, or shares that of the candidates"},
	{"history_window", SETTING_FLAG, AT(history_before), "others", "others", 0, 0, window_names,
	"in training, a history has all other recordings of the user, or those before the listen"},
	{"loss_reduction", SETTING_FLAG, AT(mean_loss), "mean", "sum", 0, 0, loss_names,
	"the loss of a batch is the sum over its rows, or the mean"},
	{"temperature", SETTING_FROM, AT(temperature), "0.12", "1", MIN_TEMPERATURE, MAX_TEMPERATURE, NULL,
	"logits are divided by it; if not given, and with refit, trials search it from the preset's"},
	{"logq", SETTING_BOOL, AT(logq), "true", "false", 0, 0, NULL,
	"subtract the log of a candidate's sampling probability from its logit"},
	{"logq_estimate", SETTING_FLAG, AT(streaming_logq), "counts", "counts", 0, 0, estimate_names,
	"count that probability before training, or estimate it from the batches; if given, logq is on"},
	{"l2_normalize", SETTING_BOOL, AT(normalize), "true", "false", 0, 0, NULL,
	"both towers give vectors of length 1"},
	{"mask_accidental_hits", SETTING_BOOL, AT(mask_hits), "true", "false", 0, 0, NULL,
	"a recording that is twice in a batch is not its own negative"},
	{"extra_negatives", SETTING_INT, AT(extra_negatives), "512", "0", 0, MAX_BATCH_SIZE, NULL,
	"candidates of a step beside those of its rows"},
	{"negative_sampling", SETTING_FLAG, AT(popular_negatives), "uniform", "uniform", 0, 0, sampling_names,
	"how extra_negatives are drawn"},
	{"hard_negatives", SETTING_INT, AT(hard_negatives), "0", "0", 0, MAX_BATCH_SIZE, NULL,
	"negatives of a row that count, those with the highest scores; 0: all"},
	{"optimizer", SETTING_ENUM, AT(optimizer), "rowwise_adagrad", "adagrad", 0, 0, lbrec_optimizer_names,
	"how gradients move the weights"},
	{"learning_rate", SETTING_ABOVE, AT(learning_rate), "0.1", "0.1", 0, 1e30, NULL,
	"step size of the optimizer"},
	{"initial_accumulator", SETTING_ABOVE, AT(initial_accumulator), "1e-8", "0.1", 0, 1e6, NULL,
	"start of Adagrad's sums of squares"},
	{"schedule", SETTING_ENUM, AT(schedule), "constant", "constant", 0, 0, schedule_names,
	"how the learning rate falls: linear and cosine reach 0 at the last epoch"},
	{"warmup_epochs", SETTING_FROM, AT(warmup_epochs), "0", "0", 0, MAX_EPOCHS, NULL,
	"epochs over which the learning rate first rises from 0"},
	{"decay_epochs", SETTING_ABOVE, AT(decay_epochs), "10", "10", 0, MAX_EPOCHS, NULL,
	"epochs after which schedule step multiplies the learning rate by decay_factor"},
	{"decay_factor", SETTING_ABOVE, AT(decay_factor), "0.5", "0.5", 0, 1, NULL,
	"factor of schedule step"},
	{"weight_decay", SETTING_FROM, AT(weight_decay), "0", "0", 0, 1, NULL,
	"decoupled weight decay"},
	{"clip_norm", SETTING_FROM, AT(clip_norm), "0", "0", 0, 1e9, NULL,
	"bound of the norm of all gradients of a step; 0: none"},
	{"dropout", SETTING_BELOW, AT(dropout), "0", "0", 0, 1, NULL,
	"dropout after each dense layer"},
	{"id_dropout", SETTING_BELOW, AT(id_dropout), "0", "0", 0, 1, NULL,
	"with items, share of a step's candidates without the embedding of their own; if not given, 0.5"},
	{"neighbours", SETTING_INT, AT(neighbours), "200", "0", 0, MAX_NEIGHBOURS, NULL,
	"neighbours kept of each recording, for a part of the score; 0: no such part"},
	{"repeat_power", SETTING_FROM, AT(repeat_power), "0.7", "0", 0, MAX_REPEAT_POWER, NULL,
	"a play counts (1 + its age in days) to this negative power, for a part of the score; 0: no such part"},
	{"min_listens", SETTING_INT, AT(min_listens), "1", "1", 1, PG_INT32_MAX, NULL,
	"recordings with fewer listens are left out, or share hash_buckets"},
	{"hash_buckets", SETTING_INT, AT(hash_buckets), "0", "0", 0, MAX_HASH_BUCKETS, NULL,
	"embeddings that recordings below min_listens share"},
	{"bucketize", SETTING_COLUMNS, AT(bucketize), "{}", "{}", 0, 0, NULL,
	"further columns of numbers that become number_buckets embeddings each"},
	{"number_buckets", SETTING_INT, AT(number_buckets), "20", "20", 2, 10000, NULL,
	"embeddings of a column that bucketize names, for as many listens each"},
	{"require_better", SETTING_BOOL, AT(require_better), "false", "false", 0, 0, NULL,
	"do not activate a version unless it is better than the most popular recordings on what is held out"},
	{"keep_versions", SETTING_INT, AT(keep_versions), "0", "0", 0, PG_INT32_MAX, NULL,
	"drop older versions of the name beyond this number, but not the active one; 0: keep all"},
};

const Setting *
lbrec_settings(int *n)
{
	StaticAssertStmt(lengthof(table) <= 64, "a bit of given for each setting");
	*n = lengthof(table);
	return table;
}

/* Returns the setting of that name, or NULL. */
const Setting *
lbrec_find_setting(const char *name)
{
	for (int i = 0; i < lengthof(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* Returns the setting with the nearest name, or NULL if none is near. */
static const Setting *
nearest(const char *name)
{
	int			length = strlen(name);
	const Setting *best = NULL;
	int			least = FARTHEST(length);

	if (length > LONGEST_NAME)
		return NULL;
	for (int i = 0; i < lengthof(table); i++)
	{
		int			distance = varstr_levenshtein_less_equal(name, length,
															 table[i].name,
															 strlen(table[i].name),
															 1, 1, 1, least,
															 true);

		if (distance < least || (distance == least && best == NULL))
		{
			best = &table[i];
			least = distance;
		}
	}
	return best;
}

/* Raises an error that names the nearest setting. */
void
lbrec_refuse_unknown(const char *name)
{
	const Setting *near = nearest(name);
	int			shown = pg_mbcliplen(name, strlen(name), LONGEST_NAME);

	if (near)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown setting \"%s\"", name),
				 errhint("Perhaps you mean \"%s\".", near->name)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown setting \"%.*s\"", shown, name),
			 errhint("SELECT * FROM lbrec_settings lists all settings.")));
}

const char *
lbrec_setting_type(const Setting *s)
{
	switch (s->kind)
	{
		case SETTING_INT:
			return "integer";
		case SETTING_INT8:
			return "bigint";
		case SETTING_ABOVE:
		case SETTING_FROM:
		case SETTING_BELOW:
			return "double precision";
		case SETTING_BOOL:
			return "boolean";
		case SETTING_ENUM:
		case SETTING_FLAG:
			return "text";
		case SETTING_LAYERS:
			return "integer[]";
		case SETTING_COLUMNS:
			return "text[]";
	}
	return NULL;				/* keep compiler quiet */
}

/* Describes the range or the values of a setting. */
char *
lbrec_setting_values(const Setting *s)
{
	StringInfoData out;

	switch (s->kind)
	{
		case SETTING_INT:
			return psprintf("%.0f to %.0f", s->low, s->high);
		case SETTING_INT8:
			return pstrdup("any");
		case SETTING_ABOVE:
			return psprintf("above %g, at most %g", s->low, s->high);
		case SETTING_FROM:
			return psprintf("%g to %g", s->low, s->high);
		case SETTING_BELOW:
			return psprintf("at least %g, below %g", s->low, s->high);
		case SETTING_BOOL:
			return pstrdup("true, false");
		case SETTING_LAYERS:
			return psprintf("up to %d of %.0f to %.0f, the last to %d",
							LB_MAX_LAYERS, s->low, s->high,
							MAX_VECTOR_WIDTH);
		case SETTING_COLUMNS:
			return pstrdup("names of columns");
		case SETTING_ENUM:
		case SETTING_FLAG:
			break;
	}
	initStringInfo(&out);
	for (int i = 0; s->names[i] != NULL; i++)
		appendStringInfo(&out, "%s%s", i == 0 ? "" : ", ", s->names[i]);
	return out.data;
}

/* Returns a value as you would write it in the settings argument. */
char *
lbrec_setting_json(const Setting *s, const TrainOptions *options)
{
	const void *field = (const char *) options + s->offset;
	StringInfoData out;
	Datum	   *names;
	bool	   *nulls;
	int			n;

	initStringInfo(&out);
	switch (s->kind)
	{
		case SETTING_INT:
			appendStringInfo(&out, "%d", *(const int *) field);
			break;
		case SETTING_INT8:
			appendStringInfo(&out, INT64_FORMAT, *(const int64 *) field);
			break;
		case SETTING_ABOVE:
		case SETTING_FROM:
		case SETTING_BELOW:
			appendStringInfo(&out, "%.9g", *(const double *) field);
			break;
		case SETTING_BOOL:
			appendStringInfoString(&out, *(const bool *) field ?
								   "true" : "false");
			break;
		case SETTING_ENUM:
			appendStringInfo(&out, "\"%s\"", s->names[*(const int *) field]);
			break;
		case SETTING_FLAG:
			appendStringInfo(&out, "\"%s\"", s->names[*(const bool *) field]);
			break;
		case SETTING_LAYERS:
			appendStringInfoChar(&out, '[');
			for (int l = 0; l < options->n_layers; l++)
				appendStringInfo(&out, "%s%d", l ? ", " : "",
								 options->layers[l]);
			appendStringInfoChar(&out, ']');
			break;
		case SETTING_COLUMNS:
			n = 0;
			if (*(ArrayType *const *) field)
				deconstruct_array(*(ArrayType *const *) field, TEXTOID, -1,
								  false, TYPALIGN_INT, &names, &nulls, &n);
			appendStringInfoChar(&out, '[');
			for (int i = 0; i < n; i++)
			{
				appendStringInfoString(&out, i ? ", " : "");
				escape_json(&out, TextDatumGetCString(names[i]));
			}
			appendStringInfoChar(&out, ']');
			break;
	}
	return out.data;
}

/* Returns the settings as a JSON object, for lbrec.model.config. */
char *
lbrec_options_json(const TrainOptions *options)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfo(&s, "{\"preset\": \"%s\"", options->preset);
	for (int i = 0; i < lengthof(table); i++)
		appendStringInfo(&s, ", \"%s\": %s", table[i].name,
						 lbrec_setting_json(&table[i], options));
	appendStringInfoChar(&s, '}');
	return s.data;
}

/* Returns the bit of a setting in "given". */
uint64
lbrec_setting_bit(const Setting *s)
{
	return UINT64CONST(1) << (s - table);
}

/* True if the caller set it, after the preset or the older model did. */
bool
lbrec_is_given(const TrainOptions *options, const char *name)
{
	return (options->given & lbrec_setting_bit(lbrec_find_setting(name))) != 0;
}
