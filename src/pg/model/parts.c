/*
 * parts.c
 *		The table of a stored model's arrays.
 */
#include "pg/model/parts.h"

#include "pg/model/config.h"
#include "pg/model/twotower.h"

/* Owners of arrays: each owner has one array of the kind. */
typedef enum PartOf
{
	OF_MODEL,
	OF_HISTORY,					/* one, if repeats are weighed by age */
	OF_NEIGHBOURS,				/* one, if neighbours are counted */
	OF_KEYED,					/* each column with a vocabulary */
	OF_BUCKETED,				/* each column of numbers in buckets */
	OF_CATEGORY,				/* each column with one code a row, bucketed
								 * or not */
	OF_BAG,						/* each column with lists of codes */
	OF_NUMBER,					/* each column of numbers */
	OF_TENSOR,					/* each matrix of weights */
	OF_STATE					/* each optimiser state of such a matrix */
} PartOf;

typedef enum PartRows
{
	ROWS_OWN,					/* any number */
	ROWS_USERS,
	ROWS_RECORDINGS,
	ROWS_ENTITIES,				/* users or recordings, depending on the
								 * column */
	ROWS_CUT,					/* the last value of the row above that has
								 * CHECK_OFFSETS */
	ROWS_TENSOR
} PartRows;

typedef enum PartPlace
{
	IN_NONE,
	IN_MODEL,					/* TwoTower */
	IN_COLUMN,					/* FeatureValues */
	IN_TENSOR,					/* LbTensor: its value */
	IN_STATE					/* LbTensor: its state */
} PartPlace;

struct PartKind
{
	const char *name;			/* %s: name of the column or the matrix */
	TensorType	type;
	PartOf		of;
	PartRows	rows;
	int			more;			/* rows added to these */
	int			cols;			/* 0: that of the vectors or of the matrix */
	int			uses;
	PartCheck	check;
	bool		unique;
	PartPlace	place;
	size_t		offset;			/* offset of the pointer in the struct */
};

#define BOTH (PART_SERVES | PART_TRAINS)
#define MODEL(field) IN_MODEL, offsetof(TwoTower, field)
#define COLUMN(field) IN_COLUMN, offsetof(FeatureValues, field)

/*
 * An array of offsets precedes the array that it cuts, which is the next row
 * with ROWS_CUT; further arrays of that length follow.  Serving needs columns
 * of users, and those columns of recordings that are categories.
 */
static const PartKind kinds[] = {
	/* read by lbrec_load_config() */
	{"config", TENSOR_BYTES, OF_MODEL, ROWS_OWN, 0, 1, 0,
	CHECK_NONE, false, IN_NONE},
	{"user_key", TENSOR_INT8, OF_MODEL, ROWS_USERS, 0, 1, BOTH,
	CHECK_NONE, true, MODEL(user_keys)},
	{"recording_key", TENSOR_UUID, OF_MODEL, ROWS_RECORDINGS, 0, 1, BOTH,
	CHECK_NONE, true, MODEL(recording_keys)},
	{"recording_listens", TENSOR_INT8, OF_MODEL, ROWS_RECORDINGS, 0, 1, BOTH,
	CHECK_COUNTS, false, MODEL(recording_listens)},
	{"recording_week_starts", TENSOR_INT8, OF_MODEL, ROWS_RECORDINGS, 1, 1,
	BOTH, CHECK_OFFSETS, false, MODEL(week_offsets)},
	{"recording_weeks", TENSOR_INT4, OF_MODEL, ROWS_CUT, 0, 2, BOTH,
	CHECK_WEEKS, false, MODEL(week_counts)},

	{"%s_key_offsets", TENSOR_INT8, OF_KEYED, ROWS_OWN, 0, 1, PART_TRAINS,
	CHECK_OFFSETS, false, COLUMN(key_offsets)},
	{"%s_keys", TENSOR_BYTES, OF_KEYED, ROWS_CUT, 0, 1, PART_TRAINS,
	CHECK_NONE, true, COLUMN(keys)},
	{"%s_edges", TENSOR_FLOAT4, OF_BUCKETED, ROWS_OWN, 0, 1, PART_TRAINS,
	CHECK_ASCENDING, false, COLUMN(edges)},
	{"%s_numbers", TENSOR_FLOAT4, OF_BUCKETED, ROWS_ENTITIES, 0, 1,
	PART_TRAINS, CHECK_NUMBERS, false, COLUMN(numbers)},
	{"%s_codes", TENSOR_INT4, OF_CATEGORY, ROWS_ENTITIES, 0, 1, BOTH,
	CHECK_CODES, false, COLUMN(codes)},
	{"%s_offsets", TENSOR_INT8, OF_BAG, ROWS_ENTITIES, 1, 1, BOTH,
	CHECK_OFFSETS, false, COLUMN(offsets)},
	{"%s_codes", TENSOR_INT4, OF_BAG, ROWS_CUT, 0, 1, BOTH,
	CHECK_CODES, false, COLUMN(bag_codes)},
	{"%s_numbers", TENSOR_FLOAT4, OF_NUMBER, ROWS_ENTITIES, 0, 1, BOTH,
	CHECK_NUMBERS, false, COLUMN(numbers)},

	{"history_offsets", TENSOR_INT8, OF_MODEL, ROWS_USERS, 2, 1, BOTH,
	CHECK_OFFSETS, false, MODEL(counted.history_offsets)},
	{"history_codes", TENSOR_INT4, OF_MODEL, ROWS_CUT, 0, 1, BOTH,
	CHECK_KNOWN_CODES, false, MODEL(counted.history_codes)},
	{"history_plays", TENSOR_FLOAT4, OF_MODEL, ROWS_CUT, 0, 1, BOTH,
	CHECK_COUNTS, false, MODEL(counted.history_plays)},
	{"history_recency", TENSOR_FLOAT4, OF_HISTORY, ROWS_CUT, 0, 1, BOTH,
	CHECK_FINITE, false, MODEL(counted.history_recency)},
	{"history_last", TENSOR_INT8, OF_MODEL, ROWS_USERS, 1, 1, BOTH,
	CHECK_TIMES, false, MODEL(counted.history_last)},

	{"neighbour_offsets", TENSOR_INT8, OF_NEIGHBOURS, ROWS_RECORDINGS, 2, 1,
	BOTH, CHECK_OFFSETS, false, MODEL(counted.neighbours.offsets)},
	{"neighbour_codes", TENSOR_INT4, OF_NEIGHBOURS, ROWS_CUT, 0, 1, BOTH,
	CHECK_KNOWN_CODES, false, MODEL(counted.neighbours.codes)},
	{"neighbour_counts", TENSOR_FLOAT4, OF_NEIGHBOURS, ROWS_CUT, 0, 1, BOTH,
	CHECK_COUNTS, false, MODEL(counted.neighbour_counts)},
	{"neighbour_sums", TENSOR_FLOAT4, OF_NEIGHBOURS, ROWS_RECORDINGS, 1, 1,
	PART_TRAINS, CHECK_COUNTS, false, MODEL(counted.neighbour_sums)},

	{"follow_offsets", TENSOR_INT8, OF_NEIGHBOURS, ROWS_RECORDINGS, 2, 1,
	BOTH, CHECK_OFFSETS, false, MODEL(counted.follow.offsets)},
	{"follow_codes", TENSOR_INT4, OF_NEIGHBOURS, ROWS_CUT, 0, 1, BOTH,
	CHECK_KNOWN_CODES, false, MODEL(counted.follow.codes)},
	{"follow_counts", TENSOR_FLOAT4, OF_NEIGHBOURS, ROWS_CUT, 0,
	LB_FOLLOW_REACH, BOTH, CHECK_COUNTS, false, MODEL(counted.follow.counts)},
	{"follow_sums", TENSOR_FLOAT4, OF_NEIGHBOURS, ROWS_RECORDINGS, 1,
	LB_FOLLOW_REACH, BOTH, CHECK_COUNTS, false, MODEL(counted.follow.sums)},

	{"%s", TENSOR_FLOAT4, OF_TENSOR, ROWS_TENSOR, 0, 0, BOTH,
	CHECK_FINITE, false, IN_TENSOR},
	{"%s.state0", TENSOR_FLOAT4, OF_STATE, ROWS_TENSOR, 0, 0, PART_TRAINS,
	CHECK_FINITE, false, IN_STATE, 0},
	{"%s.state1", TENSOR_FLOAT4, OF_STATE, ROWS_TENSOR, 0, 0, PART_TRAINS,
	CHECK_COUNTS, false, IN_STATE, 1},

	{"candidate", TENSOR_FLOAT4, OF_MODEL, ROWS_RECORDINGS, 0, 0, PART_SERVES,
	CHECK_FINITE, false, MODEL(candidates)},
};

#undef MODEL
#undef COLUMN

/* The column or the matrix that rows of the table apply to. */
typedef struct Subject
{
	const ConfigInput *input;	/* input of a column, or NULL */
	const char *name;
	int			column;			/* number, in the order of the inputs */
	bool		of_user;		/* serving needs all its arrays */
	bool		by_user;		/* each row of the matrix belongs to a user */
	int64		rows;			/* rows of a matrix; -1: from vocabulary */
	int			cols;
	int			state_cols;
	int			vocabulary;
	int64		beyond;			/* rows in addition to the vocabulary's */
} Subject;

/* State while the list of arrays is made. */
typedef struct Lister
{
	StoredParts *parts;
	const ModelConfig *config;
	int64		n_users;
	int64		n_recordings;
	int			n_states;
	int			listens;		/* index of the part recording_listens */
	int			vocabulary[MAX_FEATURES];	/* by column: index of the part
											 * that tells the number of codes */
} Lister;

static bool
applies(PartOf of, const Lister *l, const Subject *s)
{
	const ConfigInput *column = s ? s->input : NULL;

	switch (of)
	{
		case OF_MODEL:
			return s == NULL;
		case OF_HISTORY:
			return s == NULL && l->config->repeat_power > 0;
		case OF_NEIGHBOURS:
			return s == NULL && l->config->neighbours > 0;
		case OF_KEYED:
			return column && !column->bucketed &&
				column->kind != FEATURE_NUMBER;
		case OF_BUCKETED:
			return column && column->bucketed;
		case OF_CATEGORY:
			return column && column->kind == FEATURE_CATEGORY;
		case OF_BAG:
			return column && column->kind == FEATURE_BAG;
		case OF_NUMBER:
			return column && column->kind == FEATURE_NUMBER;
		case OF_TENSOR:
		case OF_STATE:
			return s && s->input == NULL;
	}
	return false;
}

static int64
rows_of(const PartKind *k, const Lister *l, const Subject *s)
{
	switch (k->rows)
	{
		case ROWS_OWN:
		case ROWS_CUT:
			break;
		case ROWS_USERS:
			return l->n_users + k->more;
		case ROWS_RECORDINGS:
			return l->n_recordings + k->more;
		case ROWS_ENTITIES:
			return (s->of_user ? l->n_users : l->n_recordings) + 1 + k->more;
		case ROWS_TENSOR:
			return s->rows;
	}
	return -1;
}

/* Adds the array for a row of the table. */
static void
add_part(Lister *l, const PartKind *k, const Subject *s)
{
	StoredPart *p = &l->parts->part[l->parts->n];
	int			me = l->parts->n++;

	if (me >= MAX_PARTS)
		elog(ERROR, "a model has more than %d arrays", MAX_PARTS);
	memset(p, 0, sizeof(StoredPart));
	p->kind = k;
	snprintf(p->name, sizeof(p->name), k->name, s ? s->name : "");
	p->check = k->check;
	p->unique = k->unique;
	p->uses = k->uses;
	p->shape.type = k->type;
	p->shape.rows = rows_of(k, l, s);
	p->shape.cols = k->cols > 0 ? k->cols :
		k->of == OF_STATE ? s->state_cols :
		k->of == OF_TENSOR ? s->cols : lbrec_vector_width(l->config);
	if (s)
		strlcpy(p->subject, s->name, sizeof(p->subject));
	p->cut_by = p->cuts = p->vocabulary = p->first_user = -1;
	if (k->rows == ROWS_USERS)
		p->first_user = k->more == 0 ? 0 : 1;
	else if ((k->rows == ROWS_ENTITIES && s->of_user) ||
			 (k->rows == ROWS_TENSOR && s->by_user))
		p->first_user = 1;		/* row 0 belongs to unknown users */
	if (k->rows == ROWS_CUT)
	{
		p->cut_by = me - 1;
		while (l->parts->part[p->cut_by].check != CHECK_OFFSETS)
			p->cut_by--;
		if (p->cut_by == me - 1)
			l->parts->part[me - 1].cuts = me;
	}
	if (k->check == CHECK_KNOWN_CODES)
		p->beyond = l->n_recordings;
	if (s && s->input)
	{
		/*
		 * filters name categories of recordings; other columns of theirs do
		 * not serve
		 */
		if (!s->of_user && k->of != OF_CATEGORY)
			p->uses &= ~PART_SERVES;
		if (k->of == OF_KEYED && k->check == CHECK_OFFSETS)
			l->vocabulary[s->column] = me;
		if (k->of == OF_BUCKETED && k->check == CHECK_ASCENDING)
			l->vocabulary[s->column] = me;
		if (k->check == CHECK_CODES)
		{
			p->vocabulary = l->vocabulary[s->column];
			p->beyond = s->input->bucketed ? 1 : -1;
		}
	}
	if (k->rows == ROWS_TENSOR)
	{
		p->weight = true;
		p->vocabulary = s->vocabulary;
		p->beyond = s->beyond;
		if (!s->of_user)
			p->uses &= ~PART_SERVES;
		/* only Adam's first moments can be negative */
		if (k->of == OF_STATE && l->n_states == 1)
			p->check = CHECK_COUNTS;
	}
}

static void
add_parts(Lister *l, const Subject *s)
{
	for (int i = 0; i < lengthof(kinds); i++)
	{
		const PartKind *k = &kinds[i];

		if (applies(k->of, l, s) &&
			(k->of != OF_STATE || (int) k->offset < l->n_states))
			add_part(l, k, s);
	}
}

/* Returns the number of rows of an input's table. */
static void
find_rows(Subject *s, const Lister *l, const ConfigInput *input)
{
	const ModelConfig *c = l->config;

	s->vocabulary = -1;
	s->rows = 1;
	switch (input->source)
	{
		case SOURCE_USER:
			s->rows = l->n_users + 1;
			s->by_user = true;
			return;
		case SOURCE_TIME_BUCKET:
			s->rows = c->time.buckets + 1;
			return;
		case SOURCE_HISTORY:
			s->rows = l->n_recordings + 1;
			return;
		case SOURCE_RECORDING:
			s->rows = l->n_recordings + 1;
			if (c->hash_buckets == 0)
				return;
			/* recordings with enough listens have rows of their own */
			s->rows = -1;
			s->vocabulary = l->listens;
			s->beyond = c->hash_buckets + 1;
			return;
		case SOURCE_FEATURE:
			if (input->kind == FEATURE_NUMBER)
				return;
			s->rows = -1;
			s->vocabulary = l->vocabulary[s->column];
			s->beyond = input->bucketed ? 2 : 0;
			return;
		case SOURCE_TIME:
		case SOURCE_HOUR_SIN:
		case SOURCE_HOUR_COS:
		case SOURCE_WEEK_SIN:
		case SOURCE_WEEK_COS:
			return;
	}
}

/* Adds the tables of one tower's inputs. */
static void
add_tables(Lister *l, bool query, int *column)
{
	const ModelConfig *c = l->config;
	const ConfigInput *inputs = query ? c->query : c->candidate;
	int			n = query ? c->n_query : c->n_candidate;
	bool		rowwise = c->optimizer == LB_ROWWISE_ADAGRAD;

	for (int i = 0; i < n; i++)
	{
		char		table[LB_NAME_LEN];
		Subject		s = {.name = table, .of_user = query,
			.cols = lbrec_table_width(c),
		.state_cols = rowwise ? c->ensemble : lbrec_table_width(c)};

		if (inputs[i].source == SOURCE_FEATURE)
			s.column = (*column)++;
		if (lbrec_input_is_number(c, &inputs[i]))
			continue;
		lbrec_table_name(table, &inputs[i]);
		find_rows(&s, l, &inputs[i]);
		if (inputs[i].source == SOURCE_RECORDING &&
			lbrec_find_part(l->parts, table) >= 0)
			continue;			/* the history input shares this table */
		add_parts(l, &s);
	}
}

static void
add_layers(Lister *l, bool query)
{
	const ModelConfig *c = l->config;
	const ConfigInput *inputs = query ? c->query : c->candidate;
	int			n = query ? c->n_query : c->n_candidate;
	int			in = 0;

	for (int i = 0; i < n; i++)
		in += lbrec_input_is_number(c, &inputs[i]) ? 1 : lbrec_table_width(c);
	for (int i = 0; i < c->n_layers; i++)
	{
		char		name[LB_NAME_LEN];
		Subject		s = {.name = name, .of_user = query, .rows = in,
			.vocabulary = -1};

		s.cols = s.state_cols = c->layers[i];
		snprintf(name, sizeof(name), "%s_kernel_%d",
				 query ? "query" : "candidate", i);
		add_parts(l, &s);
		snprintf(name, sizeof(name), "%s_bias_%d",
				 query ? "query" : "candidate", i);
		s.rows = 1;
		add_parts(l, &s);
		in = c->layers[i];
	}
}

/*
 * Lists the arrays of a model with that configuration and those numbers of
 * users and recordings, and their shapes.
 */
StoredParts *
lbrec_list_parts(const ModelConfig *config, int64 n_users, int64 n_recordings)
{
	Lister		l = {.config = config, .n_users = n_users,
		.n_recordings = n_recordings};
	LbOptimizer optimizer = {.kind = config->optimizer};
	int			column = 0;

	l.parts = palloc0(sizeof(StoredParts));
	l.n_states = lb_optimizer_states(&optimizer);
	add_parts(&l, NULL);
	l.listens = lbrec_find_part(l.parts, "recording_listens");
	l.parts->part[l.listens].beyond = config->min_listens;
	for (int i = 0; i < config->n_query + config->n_candidate; i++)
	{
		bool		of_user = i < config->n_query;
		const ConfigInput *input = of_user ?
			&config->query[i] : &config->candidate[i - config->n_query];
		Subject		s = {.input = input, .name = input->column,
			.column = column, .of_user = of_user};

		if (input->source != SOURCE_FEATURE)
			continue;
		add_parts(&l, &s);
		column++;
	}
	column = 0;
	add_tables(&l, true, &column);
	add_tables(&l, false, &column);
	add_layers(&l, true);
	add_layers(&l, false);
	return l.parts;
}

/* Returns the index of the named array in the list, or -1. */
int
lbrec_find_part(const StoredParts *parts, const char *name)
{
	for (int i = 0; i < parts->n; i++)
		if (strcmp(parts->part[i].name, name) == 0)
			return i;
	return -1;
}

/* Sets the stored shape of an array. Returns the problem, or NULL. */
const char *
lbrec_accept_shape(StoredPart *part, const TensorShape *shape)
{
	if (shape->type != part->shape.type)
		return psprintf("It is of type %s instead of %s.",
						lbrec_tensor_type_name(shape->type),
						lbrec_tensor_type_name(part->shape.type));
	if (shape->cols != part->shape.cols ||
		(part->shape.rows >= 0 && shape->rows != part->shape.rows))
		return part->shape.rows < 0 ?
			psprintf("It has %d columns, but the model's configuration asks for %d.",
					 shape->cols, part->shape.cols) :
			psprintf("It is %lld x %d, but the model's configuration asks for %lld x %d.",
					 (long long) shape->rows, shape->cols,
					 (long long) part->shape.rows, part->shape.cols);
	if (shape->rows < 1 && part->check == CHECK_OFFSETS)
		return "It has no rows.";
	part->shape.rows = shape->rows;
	return NULL;
}

/*
 * Returns the problem with the arrays' names, or NULL: two with one name would
 * be taken for one.  Columns may not have such names in training.
 */
const char *
lbrec_check_names(const StoredParts *parts)
{
	for (int i = 0; i < parts->n; i++)
		if (lbrec_find_part(parts, parts->part[i].name) != i)
			return psprintf("Two of its arrays would have the name \"%s\".",
							parts->part[i].name);
	return NULL;
}

/* Returns where a model in memory keeps the pointer to an array, or NULL. */
const void **
lbrec_part_place(const StoredPart *part, TwoTower *model)
{
	const PartKind *k = part->kind;
	int			tensor;

	switch (k->place)
	{
		case IN_NONE:
			break;
		case IN_MODEL:
			return (const void **) ((char *) model + k->offset);
		case IN_COLUMN:
			for (int f = 0; f < model->n_features; f++)
				if (strcmp(model->features[f].name, part->subject) == 0)
					return (const void **) ((char *) &model->features[f] +
											k->offset);
			break;
		case IN_TENSOR:
		case IN_STATE:
			tensor = lb_model_find_tensor(&model->core, part->subject);
			if (tensor < 0)
				break;
			return (const void **) (k->place == IN_TENSOR ?
									&model->core.tensors[tensor].value :
									&model->core.tensors[tensor].state[k->offset]);
	}
	return NULL;
}
