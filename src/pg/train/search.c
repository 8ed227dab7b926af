/*
 * search.c
 *		The settings that lbrec_tune() tries, and their values.
 */
#include "pg/train/search.h"

#include "core/lb_random.h"

#include "pg/train/options.h"
#include "pg/train/setting_values.h"
#include "pg/train/settings.h"

#define STREAM_TUNE 1003

/* Settings needed before the first trial, so all trials share them. */
static const char *const fixed[] = {
	"min_listens", "hash_buckets", "bucketize", "number_buckets", "split", "test_fraction",
	"test_last", "test_limit", "epochs", "seed", "evaluate_every",
	"early_stopping"
};

/* Raises an error if all trials must share a setting. */
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

/* Reads the values of a setting from an array in search. */
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
				 errdetail("A list has single values; there are no ranges."),
				 errhint("For example: search => '{\"temperature\": [0.05, 0.1, 0.2]}'.")));
	k->name = name;
	k->n_values = JsonContainerSize(array);
	k->values = palloc(Max(k->n_values, 1) * sizeof(JsonbValue *));
	for (int i = 0; i < k->n_values; i++)
	{
		k->values[i] = getIthJsonbValueFromContainer(array, i);
		/* raises an error if the setting or value does not exist */
		lbrec_set_json(&unused, name, k->values[i]);
	}
}

/* Reads the settings' names and values from a JSON object of arrays. */
void
lbrec_read_search(Search *s, Jsonb *search)
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

			/*
			 * names are distinct and exist, so there are no more than
			 * settings
			 */
			if (s->n_knobs == MAX_KNOBS)
				elog(ERROR, "lbrec_train has more settings than lbrec_tune can try");
			read_knob(&s->knobs[s->n_knobs], name, &v);
			if (s->knobs[s->n_knobs].n_values > 0)
				s->n_knobs++;
		}
	}
	for (int k = 0; k < s->n_knobs; k++)
		if (strcmp(s->knobs[k].name, "ensemble") == 0)
			s->tunes_ensemble = true;
	if (s->n_knobs == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("search has no values to try"),
				 errdetail("It is a JSON object of arrays: settings of lbrec_train, each with the values to try."),
				 errhint("For example: search => '{\"temperature\": [0.05, 0.1, 0.2], \"history_dropout\": [0.4, 0.7]}'.")));
}

/*
 * Makes the settings of a training with that choice (n_knobs); NULL: without
 * search.
 */
void
lbrec_search_options(TrainOptions *o, const Search *s, const int *choice)
{
	lbrec_preset(o, s->preset);
	if (s->settings)
		lbrec_set_settings(o, s->settings);
	for (int k = 0; k < s->n_knobs; k++)
	{
		if (lbrec_is_given(o, s->knobs[k].name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is given twice", s->knobs[k].name),
					 errdetail("It is in search and in settings, too."),
					 errhint("Leave one of them out.")));
		if (choice)
			lbrec_set_json(o, s->knobs[k].name,
						   s->knobs[k].values[choice[k]]);
	}
	lbrec_fit_options(o);
	lbrec_check_options(o);
}

/*
 * Draws distinct combinations at random, or takes all if there are no more
 * than wanted: returns (*n, n_knobs) indices of values.
 */
int *
lbrec_search_choices(int *n, const Search *s, int wanted)
{
	Size		bytes = s->n_knobs * sizeof(int);
	double		combinations = 1;
	LbRandom	rng;
	int		   *choices;
	int			made = 0;

	lb_random_seed(&rng, 42, STREAM_TUNE);
	for (int k = 0; k < s->n_knobs; k++)
		combinations *= s->knobs[k].n_values;
	*n = combinations <= wanted ? (int) combinations : wanted;
	choices = palloc(*n * bytes);
	while (made < *n)
	{
		int		   *choice = choices + made * s->n_knobs;
		int			rest = made;
		bool		is_new = true;
		TrainOptions unused;

		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < s->n_knobs; k++)
		{
			int			values = s->knobs[k].n_values;

			choice[k] = combinations <= wanted ? rest % values :
				(int) lb_random_below(&rng, values);
			rest /= values;
		}
		for (int i = 0; i < made && is_new; i++)
			is_new = memcmp(choices + i * s->n_knobs, choice, bytes) != 0;
		if (!is_new)
			continue;
		/* fail now rather than after the first trials */
		lbrec_search_options(&unused, s, choice);
		made++;
	}
	return choices;
}

/* Returns the values of a choice as a JSON object, or NULL. */
Jsonb *
lbrec_search_json(const Search *s, const int *choice)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int k = 0; k < s->n_knobs && choice; k++)
	{
		JsonbValue	key = {.type = jbvString};

		key.val.string.val = s->knobs[k].name;
		key.val.string.len = strlen(s->knobs[k].name);
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, s->knobs[k].values[choice[k]]);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(object);
}
