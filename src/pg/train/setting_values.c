/*
 * setting_values.c
 *		Sets and checks the values of settings, from presets and calls.
 */
#include "pg/train/setting_values.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/numeric.h"

#include "pg/model/config.h"
#include "pg/train/settings.h"

/* writes "a", "b" and "c" */
static char *
quoted_names(const Setting *s)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; s->names[i] != NULL; i++)
		appendStringInfo(&out, "%s\"%s\"", i == 0 ? "" :
						 s->names[i + 1] == NULL ? " and " : ", ",
						 s->names[i]);
	return out.data;
}

static int
choice(const Setting *s, const char *called, const char *value)
{
	for (int i = 0; s->names[i] != NULL; i++)
		if (strcmp(s->names[i], value) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" does not exist", called, value),
			 errdetail("%s: %s.", called, strcmp(called, s->name) == 0 ?
					   s->meaning : "a measure, as early_stopping has them"),
			 errhint("There are %s.", quoted_names(s))));
	return 0;					/* keep compiler quiet */
}

/*
 * Returns the index of a value among those of the setting; an error names the
 * argument that it came from.
 */
int
lbrec_setting_choice(const char *name, const char *called, const char *value)
{
	return choice(lbrec_find_setting(name), called, value);
}

/* Rejects a value of another type, with a valid example. */
static void
refuse_type(const Setting *s, const char *is)
{
	TrainOptions preset;
	const char *example;

	lbrec_preset(&preset, "default");
	example = s->kind == SETTING_LAYERS ? "[64, 32]" :
		s->kind == SETTING_COLUMNS ? "[\"year\"]" :
		lbrec_setting_json(s, &preset);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("setting \"%s\" is %s", s->name, is),
			 errdetail("Its type is %s, its values are: %s.",
					   lbrec_setting_type(s), lbrec_setting_values(s)),
			 strcmp(is, "an array") == 0 || strcmp(is, "an object") == 0 ?
			 errhint("A training takes one value, for example {\"%s\": %s}; lbrec_tune tries several.",
					 s->name, example) :
			 errhint("For example: {\"%s\": %s}.", s->name, example)));
}

static void
refuse_whole(const Setting *s, double value)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s is %.15g, outside of its range", s->name, value),
			 errdetail("It must be between %.0f and %.0f.", s->low, s->high),
			 errhint("Leave the setting out to use the preset's value.")));
}

static int64
whole_number(const Setting *s, const char *value)
{
	Datum		number = DirectFunctionCall3(numeric_in, CStringGetDatum(value),
											 ObjectIdGetDatum(InvalidOid),
											 Int32GetDatum(-1));
	double		rough = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
														   number));

	if (isnan(rough) ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, number,
										  DirectFunctionCall2(numeric_trunc,
															  number,
															  Int32GetDatum(0)))) != 0)
		refuse_type(s, psprintf("%s, which is no whole number", value));
	if (s->kind == SETTING_INT && (rough < s->low || rough > s->high))
		refuse_whole(s, rough);
	if (fabs(rough) >= 9.2e18)
		refuse_type(s, psprintf("%s, which is too large", value));
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
}

static void
set_layers(const Setting *s, TrainOptions *options, const char *value)
{
	ArrayType  *array = DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, pstrdup(value),
																TEXTOID, -1));
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &values, &nulls, &n);

	/*
	 * lbrec_check_settings() reports a width out of range, with its position
	 */
	options->n_layers = n;
	for (int i = 0; i < n && i < LB_MAX_LAYERS; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("layers must not contain nulls"),
					 errhint("The preprint's towers are {32}, {64,32} and {128,64,32}.")));
		options->layers[i] = (int) Max(Min(whole_number(s, TextDatumGetCString(values[i])),
										   PG_INT32_MAX), PG_INT32_MIN);
	}
}

/*
 * Sets the option of that name from text: the output of the type's output
 * function, or for arrays JSON.  Returns false if there is no such option.  A
 * list of columns is allocated in the current memory context.
 */
bool
lbrec_set_option(TrainOptions *options, const char *name, const char *value)
{
	const Setting *s = lbrec_find_setting(name);
	void	   *field;
	ArrayType  *array;

	if (s == NULL)
		return false;
	if ((s->kind == SETTING_LAYERS || s->kind == SETTING_COLUMNS) &&
		value[0] == '[')
	{
		Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
															  CStringGetDatum(value)));
		JsonbValue	list;

		list.type = jbvBinary;
		list.val.binary.data = &json->root;
		list.val.binary.len = VARSIZE(json) - VARHDRSZ;
		lbrec_set_json(options, name, &list);
		return true;
	}
	options->given |= lbrec_setting_bit(s);
	field = (char *) options + s->offset;
	switch (s->kind)
	{
		case SETTING_INT:
			*(int *) field = (int) whole_number(s, value);
			break;
		case SETTING_INT8:
			*(int64 *) field = whole_number(s, value);
			break;
		case SETTING_ABOVE:
		case SETTING_FROM:
		case SETTING_BELOW:
			*(double *) field =
				DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(value)));
			break;
		case SETTING_BOOL:
			*(bool *) field =
				DatumGetBool(DirectFunctionCall1(boolin, CStringGetDatum(value)));
			break;
		case SETTING_ENUM:
			*(int *) field = choice(s, s->name, value);
			break;
		case SETTING_FLAG:
			*(bool *) field = choice(s, s->name, value) == 1;
			break;
		case SETTING_LAYERS:
			set_layers(s, options, value);
			break;
		case SETTING_COLUMNS:
			array = DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, pstrdup(value),
															TEXTOID, -1));
			*(ArrayType **) field = ARR_NDIM(array) == 0 ? NULL : array;
			break;
	}
	return true;
}

/* Returns the name of a JSON value's type, with an article. */
static const char *
json_kind(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
			return "a string";
		case jbvNumeric:
			return "a number";
		case jbvBool:
			return "a boolean";
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data) ? "an array" :
				"an object";
		default:
			return "a value of another type";
	}
}

/* Returns a JSON value without quotes. */
static char *
scalar_text(const JsonbValue *value)
{
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	return pstrdup(value->val.boolean ? "true" : "false");
}

/* Converts an array of numbers or strings to the text of a text[]. */
static char *
array_text(const Setting *s, const JsonbValue *value)
{
	JsonbContainer *array = value->val.binary.data;
	enum jbvType wanted = s->kind == SETTING_LAYERS ? jbvNumeric : jbvString;
	int			n;
	Datum	   *texts;

	if (value->type != jbvBinary || !JsonContainerIsArray(array))
		refuse_type(s, json_kind(value));
	n = JsonContainerSize(array);
	texts = palloc(Max(n, 1) * sizeof(Datum));
	for (int i = 0; i < n; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);

		if (element->type != wanted)
			refuse_type(s, psprintf("an array with %s", json_kind(element)));
		texts[i] = CStringGetTextDatum(scalar_text(element));
	}
	return OidOutputFunctionCall(F_ARRAY_OUT,
								 PointerGetDatum(construct_array(texts, n, TEXTOID, -1, false,
																 TYPALIGN_INT)));
}

/*
 * Sets the option of that name from a JSON value.  If there is none, the error
 * names the nearest setting.
 */
void
lbrec_set_json(TrainOptions *options, const char *name,
			   const JsonbValue *value)
{
	const Setting *s = lbrec_find_setting(name);
	enum jbvType wanted;

	if (s == NULL)
		lbrec_refuse_unknown(name);
	switch (s->kind)
	{
		case SETTING_LAYERS:
		case SETTING_COLUMNS:
			lbrec_set_option(options, name, array_text(s, value));
			return;
		case SETTING_BOOL:
			wanted = jbvBool;
			break;
		case SETTING_ENUM:
		case SETTING_FLAG:
			wanted = jbvString;
			break;
		default:
			wanted = jbvNumeric;
	}
	if (value->type != wanted)
		refuse_type(s, json_kind(value));
	lbrec_set_option(options, name, scalar_text(value));
}

/*
 * Sets the options in a call's settings argument.  A null means the preset's
 * value; a setting that is also an argument of the call is an error.
 */
void
lbrec_set_settings(TrainOptions *options, Jsonb *settings)
{
	uint64		arguments = options->given;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	char	   *name = NULL;

	if (!JB_ROOT_IS_OBJECT(settings))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("settings is not a JSON object"),
				 errhint("For example: settings => '{\"temperature\": 0.2, \"min_listens\": 5}'.")));
	it = JsonbIteratorInit(&settings->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		const Setting *s;

		if (token == WJB_KEY)
			name = scalar_text(&v);
		if (token != WJB_VALUE)
			continue;
		s = lbrec_find_setting(name);
		if (s != NULL && v.type == jbvNull)
			continue;
		if (s != NULL && (arguments & lbrec_setting_bit(s)) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is given twice", name),
					 errdetail("It is an argument of the call and in settings, too."),
					 errhint("Leave one of them out.")));
		lbrec_set_json(options, name, &v);
	}
}

/*
 * Sets all options to a preset's; none counts as given.  "paper" is the
 * preprint's protocol (Cochran 2022, section 3, and its notebook), "default"
 * is the best that we know (docs/quality.md has the reasons).
 */
void
lbrec_preset(TrainOptions *options, const char *name)
{
	bool		paper = strcmp(name, "paper") == 0;
	const Setting *table;
	int			n;

	if (!paper && strcmp(name, "default") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("preset \"%s\" does not exist", name),
				 errdetail("A preset gives every setting that is left out a value."),
				 errhint("Presets are \"default\" and \"paper\".")));
	memset(options, 0, sizeof(TrainOptions));
	options->preset = paper ? "paper" : "default";
	options->activate = true;
	table = lbrec_settings(&n);
	for (int i = 0; i < n; i++)
		lbrec_set_option(options, table[i].name, paper ?
						 table[i].paper : table[i].by_default);
	options->given = 0;
}

static void
check_number(const Setting *s, double value)
{
	bool		good;

	good = (s->kind == SETTING_ABOVE ? value > s->low : value >= s->low) &&
		(s->kind == SETTING_BELOW ? value < s->high : value <= s->high);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is %g, outside of its range", s->name, value),
				 errdetail("It must be %s %g and %s %g.",
						   s->kind == SETTING_ABOVE ? "greater than" :
						   "at least", s->low,
						   s->kind == SETTING_BELOW ? "less than" : "at most",
						   s->high),
				 errhint("Leave the setting out to use the preset's value.")));
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
	if (o->n_layers > 0 && o->layers[o->n_layers - 1] > MAX_VECTOR_WIDTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the last layer has width %d, outside of its range",
						o->layers[o->n_layers - 1]),
				 errdetail("The vectors that it gives may have 1 to %d dimensions.",
						   MAX_VECTOR_WIDTH),
				 errhint("Add a narrower last layer.")));
}

/* Raises an error unless each setting is in its range. */
void
lbrec_check_settings(const TrainOptions *o)
{
	int			n;
	const Setting *table = lbrec_settings(&n);

	for (int i = 0; i < n; i++)
	{
		const Setting *s = &table[i];
		const void *field = (const char *) o + s->offset;

		switch (s->kind)
		{
			case SETTING_INT:
				if (*(const int *) field < s->low ||
					*(const int *) field > s->high)
					refuse_whole(s, *(const int *) field);
				break;
			case SETTING_ABOVE:
			case SETTING_FROM:
			case SETTING_BELOW:
				check_number(s, *(const double *) field);
				break;
			case SETTING_LAYERS:
				check_layers(o);
				break;
			default:
				break;
		}
	}
}
