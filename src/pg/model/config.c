/*
 * config.c
 *		Writes, reads and checks the configuration of a stored model.
 *
 * A configuration may come from an untrusted file (lbrec_import).  So every
 * member read here must exist, have its type and lie in its range, and members
 * must agree with each other.  The table of the model's arrays (parts.c)
 * follows from it.
 *
 * {"lbrec": version that trained,
 *	"options": {...},					settings of the training run
 *	"query": [input, ...], "candidate": [input, ...],
 *	"time": {...}, "best_epoch": 7, "steps": 420, "mix": {...},
 *	"moment": {...}, "trend": 0.8}
 *
 * An input is {"source": "user_id", "table": "user_embedding"}. One for a
 * column also has "column" and "kind", and either "mean" and "deviation" of
 * numbers or "bucketed" if numbers became categories. "steps" counts the
 * optimiser's steps, with those of the trainings that the model continues.
 * "mix" and "moment" exist if scores have parts, "trend" if a trial found one.
 */
#include "pg/model/config.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "pg/model/score.h"

const char *const lbrec_pooling_names[] = {
	[POOL_MEAN] = "mean",
	[POOL_SQRT] = "sqrt",
	NULL
};

const char *const lbrec_optimizer_names[] = {
	[LB_ADAGRAD] = "adagrad",
	[LB_ADAM] = "adam",
	[LB_SGD] = "sgd",
	[LB_ROWWISE_ADAGRAD] = "rowwise_adagrad",
	NULL
};

static const char *const kind_names[] = {
	[FEATURE_CATEGORY] = "category",
	[FEATURE_BAG] = "bag",
	[FEATURE_NUMBER] = "number",
	NULL
};

typedef enum FieldType
{
	FIELD_INT,
	FIELD_NUMBER,
	FIELD_BOOL,
	FIELD_NAME					/* stored as an int, an index of names */
} FieldType;

/* A member of a JSON object and the struct field for it. */
typedef struct Field
{
	const char *name;
	FieldType	type;
	size_t		offset;
	double		low;
	double		high;
	const char *const *names;
} Field;

/* Bounds of seconds and of weights, far beyond those of any model. */
#define MAX_SECONDS 1e13
#define MAX_WEIGHT 1e30

#define AT(field) offsetof(ModelConfig, field)

/* In "options": the settings that decide the stored arrays or the answers. */
static const Field setting_fields[] = {
	{"ensemble", FIELD_INT, AT(ensemble), 1, MAX_ENSEMBLE},
	{"embedding_dim", FIELD_INT, AT(embedding_dim), 1, MAX_VECTOR_WIDTH},
	{"history_length", FIELD_INT, AT(history_length), 0, MAX_HISTORY_LENGTH},
	{"history_pooling", FIELD_NAME, AT(history_pooling), 0, 0,
	lbrec_pooling_names},
	{"temperature", FIELD_NUMBER, AT(temperature), MIN_TEMPERATURE,
	MAX_TEMPERATURE},
	{"logq", FIELD_BOOL, AT(logq)},
	{"l2_normalize", FIELD_BOOL, AT(normalize)},
	{"repeat_power", FIELD_NUMBER, AT(repeat_power), 0, MAX_REPEAT_POWER},
	{"neighbours", FIELD_INT, AT(neighbours), 0, MAX_NEIGHBOURS},
	{"min_listens", FIELD_INT, AT(min_listens), 1, PG_INT32_MAX},
	{"hash_buckets", FIELD_INT, AT(hash_buckets), 0, MAX_HASH_BUCKETS},
	{"optimizer", FIELD_NAME, AT(optimizer), 0, 0, lbrec_optimizer_names},
	{"id_dropout", FIELD_NUMBER, AT(id_dropout), 0, 1},
};

static const Field time_fields[] = {
	{"mean", FIELD_NUMBER, AT(time.mean), -MAX_SECONDS, MAX_SECONDS},
	{"deviation", FIELD_NUMBER, AT(time.deviation), 1e-300, MAX_SECONDS},
	{"first_edge", FIELD_NUMBER, AT(time.first_edge), -MAX_SECONDS,
	MAX_SECONDS},
	{"last_edge", FIELD_NUMBER, AT(time.last_edge), -MAX_SECONDS,
	MAX_SECONDS},
	{"last", FIELD_NUMBER, AT(time.last), -MAX_SECONDS, MAX_SECONDS},
	{"buckets", FIELD_INT, AT(time.buckets), 0, MAX_TIME_BUCKETS},
};

#define MOMENT_FIELDS (2 * LB_MOMENT_WEIGHTS)

/*
 * Describes "moment" in fields (MOMENT_FIELDS): weights of next recordings,
 * outside and inside a session.
 */
static void
describe_moment(Field *fields)
{
	for (int i = 0; i < MOMENT_FIELDS; i++)
	{
		int			place = i % LB_MOMENT_WEIGHTS;
		int			part = lb_moment_part_of(place);

		fields[i] = (Field)
		{
			.name = psprintf("%s%s_%s", i < LB_MOMENT_WEIGHTS ? "" :
							 "session_", part >= LB_MOMENT_SHARED ? "any" :
							 place < LB_MOMENT_SHARED ? "new" : "own",
							 lb_moment_part_name(part)),
				.type = FIELD_NUMBER,
				.offset = offsetof(ModelConfig, moment) + i * sizeof(double),
				.low = Max(lb_moment_least(place), -MAX_WEIGHT),
				.high = MAX_WEIGHT
		};
	}
}

/* Describes "mix" in fields (LB_N_PARTS): the weights of a score's parts. */
static void
describe_mix(Field *fields)
{
	for (int p = 0; p < LB_N_PARTS; p++)
		fields[p] = (Field)
	{
		.name = lbrec_score_parts[p].name, .type = FIELD_NUMBER,
			.offset = AT(mix.weight[0]) + p * sizeof(double),
			.low = Max(lbrec_score_parts[p].least, -MAX_WEIGHT),
			.high = MAX_WEIGHT
	};
}

#undef AT

/* The quotient by the deviation must be finite as a float. */
static const Field number_fields[] = {
	{"mean", FIELD_NUMBER, offsetof(ConfigInput, mean), -1e39, 1e39},
	{"deviation", FIELD_NUMBER, offsetof(ConfigInput, deviation), 1e-300,
	1e39},
};

/* Reads a configuration; only the first problem is reported. */
typedef struct Reader
{
	CheckReport report;
	void	   *arg;
	bool		sound;
} Reader;

static void
problem(Reader *r, const char *text)
{
	if (r->sound)
		r->report("config", -1, text, r->arg);
	r->sound = false;
}

static bool
check(Reader *r, bool holds, const char *text)
{
	if (!holds)
		problem(r, text);
	return holds;
}

/* Returns the member of that name and type, or NULL after a report. */
static const JsonbValue *
member(Reader *r, JsonbContainer * object, const char *name,
	   enum jbvType type, JsonbValue *v)
{
	if (getKeyJsonValueFromContainer(object, name, strlen(name), v) == NULL)
		problem(r, psprintf("\"%s\" is missing.", name));
	else if (v->type == jbvNull)
		problem(r, psprintf("\"%s\" is null.", name));
	else if (v->type != type)
		problem(r, psprintf("\"%s\" is of another type than expected.",
							name));
	else
		return v;
	return NULL;
}

/* True if the value is in the range; NaN and infinity never are. */
static bool
number_of(const JsonbValue *v, double *number)
{
	Datum		value = DirectFunctionCall1(numeric_float8_no_overflow,
											NumericGetDatum(v->val.numeric));

	*number = DatumGetFloat8(value);
	return isfinite(*number);
}

static void
read_field(Reader *r, void *struct_of, JsonbContainer * object,
		   const Field *f)
{
	static const enum jbvType types[] = {
		[FIELD_INT] = jbvNumeric,[FIELD_NUMBER] = jbvNumeric,
		[FIELD_BOOL] = jbvBool,[FIELD_NAME] = jbvString
	};
	void	   *field = (char *) struct_of + f->offset;
	JsonbValue	v;
	double		number;

	if (member(r, object, f->name, types[f->type], &v) == NULL)
		return;
	switch (f->type)
	{
		case FIELD_INT:
		case FIELD_NUMBER:
			if (!number_of(&v, &number) || number < f->low ||
				number > f->high ||
				(f->type == FIELD_INT && number != floor(number)))
				problem(r, psprintf("\"%s\" is out of range.", f->name));
			else if (f->type == FIELD_INT)
				*(int *) field = (int) number;
			else
				*(double *) field = number;
			return;
		case FIELD_BOOL:
			*(bool *) field = v.val.boolean;
			return;
		case FIELD_NAME:
			for (int i = 0; f->names[i] != NULL; i++)
				if (strlen(f->names[i]) == v.val.string.len &&
					memcmp(f->names[i], v.val.string.val,
						   v.val.string.len) == 0)
				{
					*(int *) field = i;
					return;
				}
			problem(r, psprintf("\"%s\" has no known value.", f->name));
			return;
	}
}

static void
read_fields(Reader *r, void *struct_of, JsonbContainer * object,
			const Field *fields, int n)
{
	for (int i = 0; i < n && r->sound; i++)
		read_field(r, struct_of, object, &fields[i]);
}

/* Returns a member that is an object or an array, or NULL after a report. */
static JsonbContainer *
container(Reader *r, JsonbContainer * object, const char *name, bool array)
{
	JsonbValue	v;

	if (member(r, object, name, jbvBinary, &v) == NULL)
		return NULL;
	if (array != (bool) JsonContainerIsArray(v.val.binary.data))
	{
		problem(r, psprintf("\"%s\" is of another type than expected.",
							name));
		return NULL;
	}
	return v.val.binary.data;
}

/* Reads a text shorter than size; "" after a report. */
static void
read_text(Reader *r, char *text, Size size, JsonbContainer * object,
		  const char *name)
{
	JsonbValue	v;

	text[0] = '\0';
	if (member(r, object, name, jbvString, &v) == NULL)
		return;
	if (v.val.string.len == 0 || (Size) v.val.string.len >= size)
	{
		problem(r, psprintf("\"%s\" is empty or too long.", name));
		return;
	}
	memcpy(text, v.val.string.val, v.val.string.len);
	text[v.val.string.len] = '\0';
}

static void
read_layers(Reader *r, ModelConfig *c, JsonbContainer * settings)
{
	JsonbContainer *layers = container(r, settings, "layers", true);

	if (layers == NULL ||
		!check(r, JsonContainerSize(layers) <= LB_MAX_LAYERS,
			   "\"layers\" has too many elements."))
		return;
	c->n_layers = (int) JsonContainerSize(layers);
	for (int l = 0; l < c->n_layers; l++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(layers, l);
		double		width;

		if (check(r, v != NULL && v->type == jbvNumeric &&
				  number_of(v, &width) && width >= 1 &&
				  width <= LB_MAX_LAYER_WIDTH && width == floor(width),
				  "\"layers\" has a width that is out of range."))
			c->layers[l] = (int) width;
	}
}

/*
 * Checks that every setting has a value: a training that continues the model
 * needs all.
 */
static void
check_settings(Reader *r, JsonbContainer * settings)
{
	JsonbIterator *it = JsonbIteratorInit(settings);
	JsonbIteratorToken token;
	JsonbValue	v;
	char	   *key = NULL;

	while (r->sound &&
		   (token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE &&
				 (v.type == jbvNull ||
				  (v.type == jbvBinary &&
				   !JsonContainerIsArray(v.val.binary.data))))
			problem(r, psprintf("Setting \"%s\" has no value.", key));
	}
}

static void
read_settings(Reader *r, ModelConfig *c, JsonbContainer * root)
{
	JsonbContainer *settings = container(r, root, "options", false);

	if (settings == NULL)
		return;
	check_settings(r, settings);
	read_layers(r, c, settings);
	read_fields(r, c, settings, setting_fields, lengthof(setting_fields));
	if (!r->sound)
		return;
	check(r, c->n_layers == 0 || c->ensemble == 1,
		  "An ensemble has layers.");
	check(r, lbrec_vector_width(c) <= MAX_VECTOR_WIDTH &&
		  lbrec_table_width(c) <= MAX_VECTOR_WIDTH,
		  "Its vectors are too long.");
}

/* Reads one of a tower's inputs. */
static void
read_input(Reader *r, ModelConfig *c, ConfigInput *input,
		   JsonbContainer * object)
{
	char		source[NAMEDATALEN];
	char		table[LB_NAME_LEN];
	char		expected[LB_NAME_LEN];
	JsonbValue	v;
	int			found;

	read_text(r, source, sizeof(source), object, "source");
	found = lbrec_source_by_name(source);
	if (!check(r, found >= 0,
			   psprintf("An input has the unknown source \"%s\".", source)))
		return;
	input->source = (InputSource) found;
	if (input->source == SOURCE_FEATURE)
	{
		static const Field kind = {"kind", FIELD_NAME,
			offsetof(ConfigInput, kind), 0, 0, kind_names};
		static const Field bucketed = {"bucketed", FIELD_BOOL,
			offsetof(ConfigInput, bucketed)};

		read_text(r, input->column, sizeof(input->column), object, "column");
		read_fields(r, input, object, &kind, 1);
		if (input->kind == FEATURE_NUMBER)
			read_fields(r, input, object, number_fields,
						lengthof(number_fields));
		else if (input->kind == FEATURE_CATEGORY)
			read_fields(r, input, object, &bucketed, 1);
	}
	if (!r->sound || lbrec_input_is_number(c, input))
		return;
	if (input->source == SOURCE_HISTORY &&
		getKeyJsonValueFromContainer(object, "table", 5, &v) != NULL)
		input->shared = v.type == jbvString &&
			v.val.string.len == strlen("recording_embedding") &&
			memcmp(v.val.string.val, "recording_embedding",
				   v.val.string.len) == 0;
	read_text(r, table, sizeof(table), object, "table");
	lbrec_table_name(expected, input);
	check(r, strcmp(table, expected) == 0,
		  psprintf("An input has table \"%s\" instead of \"%s\".", table,
				   expected));
}

static int
read_inputs(Reader *r, ModelConfig *c, ConfigInput *inputs,
			JsonbContainer * root, const char *tower)
{
	JsonbContainer *array = container(r, root, tower, true);
	int			n;

	if (array == NULL ||
		!check(r, JsonContainerSize(array) >= 1 &&
			   JsonContainerSize(array) <= LB_MAX_INPUTS,
			   psprintf("\"%s\" has no inputs, or too many.", tower)))
		return 0;
	n = (int) JsonContainerSize(array);
	for (int i = 0; i < n && r->sound; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(array, i);

		if (check(r, v != NULL && v->type == jbvBinary &&
				  JsonContainerIsObject(v->val.binary.data),
				  psprintf("\"%s\" has an input that is no object.", tower)))
			read_input(r, c, &inputs[i], v->val.binary.data);
	}
	return n;
}

static bool
has_source(const ConfigInput *inputs, int n, InputSource source)
{
	for (int i = 0; i < n; i++)
		if (inputs[i].source == source)
			return true;
	return false;
}

/*
 * Checks that each source occurs once in the towers, and that columns' names
 * are distinct.
 */
static void
check_inputs(Reader *r, const ModelConfig *c)
{
	int			n_columns = 0;

	for (int i = 0; i < c->n_query + c->n_candidate && r->sound; i++)
	{
		bool		of_query = i < c->n_query;
		const ConfigInput *input = of_query ?
			&c->query[i] : &c->candidate[i - c->n_query];
		bool		feature = input->source == SOURCE_FEATURE;

		n_columns += feature;
		check(r, feature ||
			  of_query == (input->source != SOURCE_RECORDING),
			  "A tower has an input of the other one.");
		for (int j = 0; j < i; j++)
		{
			const ConfigInput *other = j < c->n_query ?
				&c->query[j] : &c->candidate[j - c->n_query];

			check(r, input->source != other->source ||
				  (feature && strcmp(input->column, other->column) != 0),
				  "Two inputs have the same source.");
		}
	}
	check(r, n_columns <= MAX_FEATURES, "It has too many columns.");
	check(r, has_source(c->candidate, c->n_candidate, SOURCE_RECORDING),
		  "The candidate tower does not see the recording.");
	check(r, has_source(c->query, c->n_query, SOURCE_USER) ||
		  has_source(c->query, c->n_query, SOURCE_HISTORY),
		  "The query tower does not see the user.");
	check(r, has_source(c->query, c->n_query, SOURCE_HISTORY) ==
		  (c->history_length > 0),
		  "\"history_length\" does not fit the inputs.");
	check(r, has_source(c->query, c->n_query, SOURCE_TIME_BUCKET) ==
		  (c->time.buckets > 0),
		  "\"buckets\" does not fit the inputs.");
	for (int i = 0; i < c->n_query; i++)
		check(r, !c->query[i].shared || c->hash_buckets == 0,
			  "A history shares a table in which rare recordings have no row.");
}

/*
 * Reads a configuration.  Problems are reported for tensor "config"; if report
 * returns, this returns false.
 */
bool
lbrec_parse_config(ModelConfig *c, const char *json, CheckReport report,
				   void *arg)
{
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														   CStringGetDatum(json)));
	static const Field best_epoch = {"best_epoch", FIELD_INT,
		offsetof(ModelConfig, best_epoch), 0, PG_INT32_MAX};
	static const Field trend = {"trend", FIELD_NUMBER,
		offsetof(ModelConfig, trend), -MAX_TREND, MAX_TREND};
	static const Field steps = {"steps", FIELD_INT,
		offsetof(ModelConfig, steps), 0, PG_INT32_MAX};
	Reader		r = {report, arg, true};
	JsonbContainer *root = &jsonb->root;
	JsonbContainer *part;
	Field		mix_fields[LB_N_PARTS];
	Field		moment_fields[MOMENT_FIELDS];
	JsonbValue	v;

	memset(c, 0, sizeof(ModelConfig));
	if (!check(&r, JB_ROOT_IS_OBJECT(jsonb), "It is no object."))
		return false;
	member(&r, root, "lbrec", jbvString, &v);
	read_settings(&r, c, root);
	if ((part = container(&r, root, "time", false)) != NULL)
		read_fields(&r, c, part, time_fields, lengthof(time_fields));
	check(&r, c->time.first_edge <= c->time.last_edge,
		  "\"first_edge\" is above \"last_edge\".");
	read_fields(&r, c, root, &best_epoch, 1);
	read_fields(&r, c, root, &steps, 1);
	if (getKeyJsonValueFromContainer(root, "trend", 5, &v) != NULL)
		read_fields(&r, c, root, &trend, 1);
	c->mixed = c->neighbours > 0 || c->repeat_power > 0;
	if (c->mixed &&
		(part = container(&r, root, "mix", false)) != NULL)
	{
		describe_mix(mix_fields);
		read_fields(&r, c, part, mix_fields, LB_N_PARTS);
	}
	if (c->mixed &&
		(part = container(&r, root, "moment", false)) != NULL)
	{
		describe_moment(moment_fields);
		read_fields(&r, c, part, moment_fields, MOMENT_FIELDS);
	}
	c->n_query = read_inputs(&r, c, c->query, root, "query");
	c->n_candidate = read_inputs(&r, c, c->candidate, root, "candidate");
	if (r.sound)
		check_inputs(&r, c);
	return r.sound;
}

/*
 * Visits the settings of the training run in a configuration that
 * lbrec_parse_config() accepted.
 */
void
lbrec_visit_settings(const char *json, SettingVisitor visit, void *arg)
{
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														   CStringGetDatum(json)));
	JsonbValue	settings;
	JsonbValue	v;
	JsonbIterator *it;
	JsonbIteratorToken token;
	char	   *key = NULL;

	if (getKeyJsonValueFromContainer(&jsonb->root, "options", 7,
									 &settings) == NULL)
		return;
	it = JsonbIteratorInit(settings.val.binary.data);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE)
			visit(key, &v, arg);
	}
}

/* True if the input is a plain number, not a row of a table. */
bool
lbrec_input_is_number(const ModelConfig *config, const ConfigInput *input)
{
	return config->n_layers > 0 &&
		(lbrec_source_is_number(input->source) ||
		 (input->source == SOURCE_FEATURE && input->kind == FEATURE_NUMBER));
}

/*
 * Writes the table name of an input, at most LB_NAME_LEN bytes with its NUL.
 */
void
lbrec_table_name(char *name, const ConfigInput *input)
{
	switch (input->source)
	{
		case SOURCE_USER:
			strlcpy(name, "user_embedding", LB_NAME_LEN);
			return;
		case SOURCE_TIME_BUCKET:
			strlcpy(name, "time_embedding", LB_NAME_LEN);
			return;
		case SOURCE_RECORDING:
			strlcpy(name, "recording_embedding", LB_NAME_LEN);
			return;
		case SOURCE_HISTORY:
			strlcpy(name, input->shared ? "recording_embedding" :
					"history_embedding", LB_NAME_LEN);
			return;
		case SOURCE_FEATURE:
			snprintf(name, LB_NAME_LEN, "%s_embedding", input->column);
			return;
		case SOURCE_TIME:
		case SOURCE_HOUR_SIN:
		case SOURCE_HOUR_COS:
		case SOURCE_WEEK_SIN:
		case SOURCE_WEEK_COS:
			snprintf(name, LB_NAME_LEN, "%s_weight",
					 lbrec_source_name(input->source));
			return;
	}
}

static void
describe_inputs(ConfigInput *to, const ModelInput *from, int n,
				const TwoTower *model)
{
	for (int i = 0; i < n; i++)
	{
		to[i].source = from[i].source;
		if (from[i].source == SOURCE_FEATURE)
		{
			const FeatureValues *f = &model->features[from[i].feature];

			strlcpy(to[i].column, f->name, NAMEDATALEN);
			to[i].kind = f->kind;
			to[i].bucketed = f->bucketed;
			to[i].mean = f->mean;
			to[i].deviation = f->deviation;
		}
		else if (from[i].source == SOURCE_HISTORY)
			to[i].shared =
				strcmp(model->core.tensors[from[i].table].name,
					   "recording_embedding") == 0;
	}
}

/* Describes a model in memory, without its settings. */
void
lbrec_describe(ModelConfig *config, const TwoTower *model)
{
	memset(config, 0, sizeof(ModelConfig));
	config->n_query = model->core.query.n_inputs;
	config->n_candidate = model->core.candidate.n_inputs;
	config->n_layers = model->core.query.n_layers;
	describe_inputs(config->query, model->query_inputs, config->n_query,
					model);
	describe_inputs(config->candidate, model->candidate_inputs,
					config->n_candidate, model);
	config->time = model->time;
	config->mixed = model->mixed;
	config->mix = model->mix;
	config->moment = model->moment;
}

/* Writes a value exactly: reading gives the same bits. */
static void
put_fields(StringInfo s, const void *struct_of, const Field *fields, int n)
{
	for (int i = 0; i < n; i++)
	{
		const Field *f = &fields[i];
		const void *field = (const char *) struct_of + f->offset;

		appendStringInfo(s, "%s\"%s\": ", i ? ", " : "", f->name);
		if (f->type == FIELD_INT)
			appendStringInfo(s, "%d", *(const int *) field);
		else
			appendStringInfo(s, "%.17g", *(const double *) field);
	}
}

static void
put_inputs(StringInfo s, const ModelConfig *c, const ConfigInput *inputs,
		   int n)
{
	char		table[LB_NAME_LEN];

	appendStringInfoChar(s, '[');
	for (int i = 0; i < n; i++)
	{
		const ConfigInput *input = &inputs[i];

		appendStringInfo(s, "%s{\"source\": \"%s\"", i ? ", " : "",
						 lbrec_source_name(input->source));
		if (input->source == SOURCE_FEATURE)
		{
			appendStringInfoString(s, ", \"column\": ");
			escape_json(s, input->column);
			appendStringInfo(s, ", \"kind\": \"%s\"", kind_names[input->kind]);
			if (input->kind == FEATURE_CATEGORY)
				appendStringInfo(s, ", \"bucketed\": %s",
								 input->bucketed ? "true" : "false");
			if (input->kind == FEATURE_NUMBER)
			{
				appendStringInfoString(s, ", ");
				put_fields(s, input, number_fields, lengthof(number_fields));
			}
		}
		if (!lbrec_input_is_number(c, input))
		{
			lbrec_table_name(table, input);
			appendStringInfoString(s, ", \"table\": ");
			escape_json(s, table);
		}
		appendStringInfoChar(s, '}');
	}
	appendStringInfoChar(s, ']');
}

/*
 * Returns the configuration as JSON.  settings is the JSON of the run's
 * settings, from which lbrec_parse_config() fills the rest of the struct.
 */
char *
lbrec_config_json(const ModelConfig *c, const char *settings)
{
	Field		mix_fields[LB_N_PARTS];
	Field		moment_fields[MOMENT_FIELDS];
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfo(&s, "{\"lbrec\": \"%s\", \"options\": %s, \"query\": ",
					 LBREC_VERSION, settings);
	put_inputs(&s, c, c->query, c->n_query);
	appendStringInfoString(&s, ", \"candidate\": ");
	put_inputs(&s, c, c->candidate, c->n_candidate);
	appendStringInfoString(&s, ", \"time\": {");
	put_fields(&s, c, time_fields, lengthof(time_fields));
	appendStringInfo(&s, "}, \"best_epoch\": %d, \"steps\": %d",
					 c->best_epoch, c->steps);
	if (c->mixed)
	{
		appendStringInfoString(&s, ", \"mix\": {");
		describe_mix(mix_fields);
		put_fields(&s, c, mix_fields, LB_N_PARTS);
		appendStringInfoString(&s, "}, \"moment\": {");
		describe_moment(moment_fields);
		put_fields(&s, c, moment_fields, MOMENT_FIELDS);
		appendStringInfoChar(&s, '}');
	}
	if (c->trend != 0)
		appendStringInfo(&s, ", \"trend\": %.17g", c->trend);
	appendStringInfoChar(&s, '}');
	return s.data;
}
