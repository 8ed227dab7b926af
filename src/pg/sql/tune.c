/*
 * tune.c
 *		lbrec_tune(): finds good settings by successive halving.
 *
 * Trials differ in the settings that the caller gives several values for.  All
 * are trained for a few epochs, the better half for twice as many, and so on
 * (Jamieson and Talwalkar, AISTATS 2016), on one split of listens that are
 * read once.  The best of the last round is saved like any trained model.
 *
 * A round trains from the beginning: keeping every trial's weights to go on
 * from would need as many models in memory, to save at most half of the time.
 */
#include "pg/server/lbrec.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/lb_random.h"

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/server/srf.h"
#include "pg/store/versions.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/save.h"
#include "pg/train/settings.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(lbrec_tune);

#define N_COLUMNS 7
#define MAX_TRIALS 1000
#define MAX_KEYS 64
#define STREAM_TUNE 1003

typedef struct Knob
{
	char	   *name;
	int			n_values;
	JsonbValue **values;
} Knob;

typedef struct TuneTrial
{
	int			number;
	int			choice[MAX_KEYS];
	double		metric;			/* larger is better */
	int			epochs;
	double		seconds;
} TuneTrial;

typedef struct Tuning
{
	const char *model;
	const char *preset;
	Jsonb	   *settings;		/* of all trials, or NULL */
	Knob		knobs[MAX_KEYS];
	int			n_knobs;
	TuneTrial  *trials;
	int			n_trials;
	Metric		metric;
	TimestampTz deadline;		/* 0: none */
	Dataset    *data;
	MemoryContext best_context;
	Trained    *best;
	TrainOptions best_options;
} Tuning;

/* What training reads before the first trial cannot differ between trials. */
static const char *const fixed[] = {
	"min_listens", "hash_buckets", "bucketize", "number_buckets", "split", "test_fraction",
	"test_last", "test_limit", "epochs", "seed", "evaluate_every",
	"early_stopping"
};

static bool
past_deadline(const Tuning *t)
{
	return t->deadline != 0 && GetCurrentTimestamp() >= t->deadline;
}

/* Errors if all trials must have the same value of a setting. */
static void
check_tunable(const char *name)
{
	for (int f = 0; f < lengthof(fixed); f++)
		if (strcmp(fixed[f], name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" cannot be tuned", name),
					 errdetail("All trials are measured on the same listens, for as many epochs as the search decides."),
					 errhint("Leave it out of search.")));
}

/* The values of a setting, from an array in search. */
static void
read_knob(Knob *k, char *name, const JsonbValue *list)
{
	JsonbContainer *array = list->val.binary.data;
	TrainOptions unused;

	lbrec_preset(&unused, "default");
	check_tunable(name);
	if (list->type != jbvBinary || !JsonContainerIsArray(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("search has no array of values for \"%s\"", name),
				 errdetail("All values that are to be tried are listed; there are no ranges."),
				 errhint("For example: search => '{\"temperature\": [0.05, 0.1, 0.2]}'.")));
	k->name = name;
	k->n_values = JsonContainerSize(array);
	k->values = palloc(Max(k->n_values, 1) * sizeof(JsonbValue *));
	for (int i = 0; i < k->n_values; i++)
	{
		k->values[i] = getIthJsonbValueFromContainer(array, i);
		/* an error names what does not exist or fit */
		lbrec_set_json(&unused, name, k->values[i]);
	}
}

/* The settings' names and values from a JSON object of arrays. */
static void
read_knobs(Tuning *t, Jsonb *search)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	char	   *name = NULL;

	if (JB_ROOT_IS_OBJECT(search))
	{
		it = JsonbIteratorInit(&search->root);
		while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		{
			if (token == WJB_KEY)
				name = pnstrdup(v.val.string.val, v.val.string.len);
			if (token != WJB_VALUE)
				continue;
			/* names differ and exist, so there are no more than settings */
			if (t->n_knobs == MAX_KEYS)
				elog(ERROR, "lbrec_train has more settings than lbrec_tune can try");
			read_knob(&t->knobs[t->n_knobs], name, &v);
			if (t->knobs[t->n_knobs].n_values > 0)
				t->n_knobs++;
		}
	}
	if (t->n_knobs == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("search names nothing to try"),
				 errdetail("It is a JSON object of arrays: settings of lbrec_train, each with the values to try."),
				 errhint("For example: search => '{\"temperature\": [0.05, 0.1, 0.2], \"history_dropout\": [0.4, 0.7]}'.")));
}

/* The settings of a trial. */
static void
trial_options(TrainOptions *o, const Tuning *t, const TuneTrial *trial, int epochs)
{
	lbrec_preset(o, t->preset);
	if (t->settings)
		lbrec_set_settings(o, t->settings);
	for (int k = 0; k < t->n_knobs; k++)
	{
		if (lbrec_is_given(o, t->knobs[k].name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is given twice", t->knobs[k].name),
					 errdetail("It is in search and in settings, too."),
					 errhint("Leave one of them out.")));
		lbrec_set_json(o, t->knobs[k].name,
					   t->knobs[k].values[trial->choice[k]]);
	}
	lbrec_fit_options(o);
	o->epochs = epochs;
	o->evaluate_every = epochs;
	o->early_stopping = METRIC_NONE;
	o->refit = false;			/* what was measured is kept */
	lbrec_check_options(o);
	if (o->split == SPLIT_NONE || o->split == SPLIT_QUERY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trials cannot be compared with this split"),
				 errdetail("Trials are measured on listens of the query that are held out."),
				 errhint("Set split to \"last\", \"time\" or \"random\".")));
}

/* All combinations if they are few enough, else some at random. */
static void
choose_trials(Tuning *t, int wanted)
{
	double		combinations = 1;
	LbRandom	rng;

	lb_random_seed(&rng, 42, STREAM_TUNE);
	for (int k = 0; k < t->n_knobs; k++)
		combinations *= t->knobs[k].n_values;
	t->n_trials = combinations <= wanted ? (int) combinations : wanted;
	t->trials = palloc0(t->n_trials * sizeof(TuneTrial));
	for (int i = 0; i < t->n_trials; i++)
	{
		TuneTrial  *trial = &t->trials[i];
		int			rest = i;
		TrainOptions unused;

		trial->number = i + 1;
		for (int k = 0; k < t->n_knobs; k++)
		{
			int			n = t->knobs[k].n_values;

			trial->choice[k] = combinations <= wanted ? rest % n :
				(int) lb_random_below(&rng, n);
			rest /= n;
		}
		/* better now than after the first trials */
		trial_options(&unused, t, trial, 2);
	}
}

/* Trains a trial; keeps it when it is the best so far. */
static void
run_trial(Tuning *t, TuneTrial *trial, int epochs)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec trial",
												  ALLOCSET_DEFAULT_SIZES);
	TrainOptions *options = MemoryContextAlloc(context, sizeof(TrainOptions));
	TrainRequest request = {.name = t->model, .data = t->data,
		.options = options};
	Trained    *trained;
	bool		best;

	trial_options(options, t, trial, epochs);
	trained = lbrec_run_training(&request, context);
	trial->metric = lbrec_metric(t->metric, &trained->reports[trained->n_reports - 1]);
	trial->epochs = epochs;
	for (int i = 0; i < trained->n_reports; i++)
		trial->seconds += trained->reports[i].seconds;
	best = true;
	for (int i = 0; i < t->n_trials && best; i++)
		if (t->trials[i].epochs == epochs && &t->trials[i] != trial &&
			t->trials[i].metric >= trial->metric)
			best = false;
	if (!best)
	{
		MemoryContextDelete(context);
		return;
	}
	if (t->best_context)
		MemoryContextDelete(t->best_context);
	t->best_context = context;
	t->best = trained;
	t->best_options = *options;
}

/* Those trained longest first, the better ones before the others. */
static int
compare_trials(const void *a, const void *b)
{
	const TuneTrial *x = a;
	const TuneTrial *y = b;

	if (x->epochs != y->epochs)
		return x->epochs > y->epochs ? -1 : 1;
	if (x->metric != y->metric)
		return x->metric > y->metric ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/* The values that a trial had of what is tried, as a JSON object. */
static Datum
trial_settings(const Tuning *t, const TuneTrial *trial)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int k = 0; k < t->n_knobs; k++)
	{
		JsonbValue	key = {.type = jbvString};

		key.val.string.val = t->knobs[k].name;
		key.val.string.len = strlen(t->knobs[k].name);
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE,
					   t->knobs[k].values[trial->choice[k]]);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(object));
}

static void
put_trials(const Tuning *t, RowSink *sink)
{
	for (int i = 0; i < t->n_trials; i++)
	{
		const TuneTrial *trial = &t->trials[i];
		Datum		values[N_COLUMNS];
		bool		nulls[N_COLUMNS] = {0};

		values[0] = Int32GetDatum(i + 1);
		values[1] = Int32GetDatum(trial->number);
		values[2] = trial_settings(t, trial);
		values[3] = Int32GetDatum(trial->epochs);
		values[4] = Float8GetDatum(t->metric == METRIC_TEST_LOSS ?
								   -trial->metric : trial->metric);
		nulls[4] = trial->epochs == 0;
		values[5] = Float8GetDatum(trial->seconds);
		values[6] = BoolGetDatum(i == 0);
		lbrec_put_row(sink, values, nulls);
	}
}

/* Places of the arguments. */
enum
{
	ARG_MODEL,
	ARG_LISTENS,
	ARG_SEARCH,
	ARG_TRIALS,
	ARG_METRIC,
	ARG_EPOCHS,
	ARG_TIME_LIMIT,
	ARG_PRESET,
	ARG_SETTINGS,
	N_ARGS
};

/*
 * lbrec_tune(model, listens, search, trials, metric, epochs, time_limit,
 *			  preset, settings)
 */
Datum
lbrec_tune(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, N_ARGS, N_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec tuning",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Tuning		t = {0};
	TrainOptions options;
	TuneTrial	none = {0};
	ListenSource source = {.with_features = true};
	int			trials;
	int			max_epochs;
	int			rounds = 0;
	int			in_round;

	for (int i = 0; i < N_ARGS; i++)
		if (PG_ARGISNULL(i) && i != ARG_TIME_LIMIT && i != ARG_SETTINGS)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("arguments of lbrec_tune must not be null"),
					 errdetail("Only time_limit and settings may be."),
					 errhint("Leave the argument out to use its default, if it has one.")));
	PreventCommandIfReadOnly("lbrec_tune()");
	PreventCommandIfParallelMode("lbrec_tune()");
	t.model = text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODEL));
	source.listens = text_to_cstring(PG_GETARG_TEXT_PP(ARG_LISTENS));
	trials = PG_GETARG_INT32(ARG_TRIALS);
	max_epochs = PG_GETARG_INT32(ARG_EPOCHS);
	t.preset = text_to_cstring(PG_GETARG_TEXT_PP(ARG_PRESET));
	if (trials < 1 || trials > MAX_TRIALS || max_epochs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trials is %d and epochs %d", trials, max_epochs),
				 errdetail("There may be 1 to %d trials, of at least one epoch.",
						   MAX_TRIALS),
				 errhint("Leave the arguments out to use their defaults.")));
	lbrec_check_name(t.model);
	t.metric = lbrec_setting_choice("early_stopping", "metric",
									text_to_cstring(PG_GETARG_TEXT_PP(ARG_METRIC)));
	if (t.metric == METRIC_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metric \"none\" orders no trials"),
				 errhint("Use \"ndcg_20\", for example.")));
	if (!PG_ARGISNULL(ARG_TIME_LIMIT))
		t.deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
															 TimestampTzGetDatum(GetCurrentTimestamp()),
															 PG_GETARG_DATUM(ARG_TIME_LIMIT)));
	if (!PG_ARGISNULL(ARG_SETTINGS))
		t.settings = PG_GETARG_JSONB_P(ARG_SETTINGS);
	read_knobs(&t, PG_GETARG_JSONB_P(ARG_SEARCH));
	choose_trials(&t, trials);

	trial_options(&options, &t, &none, max_epochs);
	source.bucketize = options.bucketize;
	source.number_buckets = options.number_buckets;
	t.data = lbrec_read_listens(&source, context);
	while ((t.n_trials >> rounds) > 1 && (max_epochs >> (rounds + 1)) > 0)
		rounds++;
	in_round = t.n_trials;
	for (int r = rounds; r >= 0; r--)
	{
		int			epochs = Max(max_epochs >> r, 1);

		for (int i = 0; i < in_round; i++)
		{
			if (t.best && past_deadline(&t))
				break;
			run_trial(&t, &t.trials[i], epochs);
		}
		qsort(t.trials, t.n_trials, sizeof(TuneTrial), compare_trials);
		if (past_deadline(&t))
			break;
		in_round = Max(in_round / 2, 1);
	}
	lbrec_save_model(t.model, t.best, t.data, &t.best_options,
					 t.best->reports, t.best->n_reports);
	MemoryContextSwitchTo(old);
	put_trials(&t, &sink);
	lbrec_spool_free(t.data->listens);
	MemoryContextDelete(context);
	return (Datum) 0;
}
