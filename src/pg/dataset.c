/*
 * dataset.c
 *		Reads the listens of a query through a cursor.
 *
 * The query runs with the caller's rights, once, in batches of FETCH_ROWS
 * rows whose memory goes with each batch.  What stays is 16 bytes a listen
 * and the vocabularies; the snapshot that the cursor held is released before
 * training begins, so a long training does not hold back vacuum.
 *
 * The transaction is read-only while the query runs: training on a query must
 * not be a way to write.
 */
#include "dataset.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define FETCH_ROWS 10000

#define UNIX_EPOCH_OFFSET \
	(((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * USECS_PER_DAY)

/* The columns that every query of listens has, and how to read them. */
typedef struct ListenColumns
{
	int			user;
	int			time;
	int			recording;
	Oid			user_type;
	Oid			time_type;
} ListenColumns;

static const char *const needed_columns =
"A query of listens has the columns user_id (bigint), listened_at "
"(timestamp with time zone) and recording_msid (uuid).";

/* Does the text begin with a word that begins a query? */
static bool
looks_like_query(const char *text)
{
	static const char *const words[] = {"select", "with", "values", "table"};

	text += strspn(text, " \t\r\n");
	if (*text == '(' || strncmp(text, "--", 2) == 0 ||
		strncmp(text, "/*", 2) == 0)
		return true;
	for (int i = 0; i < lengthof(words); i++)
	{
		size_t		len = strlen(words[i]);

		if (pg_strncasecmp(text, words[i], len) == 0 && text[len] != '\0' &&
			strchr(" \t\r\n(", text[len]) != NULL)
			return true;
	}
	return false;
}

/* What the user calls listens, a query or the name of a table, as a query. */
char *
lbrec_listens_query(const char *listens)
{
	List	   *names;

	if (looks_like_query(listens))
		return pstrdup(listens);
	if (listens[strspn(listens, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("listens must not be empty"),
				 errdetail("%s", needed_columns),
				 errhint("Give the name of a table or a query.")));
	names = textToQualifiedNameList(cstring_to_text(listens));
	return psprintf("SELECT * FROM %s", NameListToQuotedString(names));
}

static int
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("the query of listens has no column \"%s\"", name),
			 errdetail("%s", needed_columns),
			 errhint("Rename a column with AS, for example SELECT account AS user_id.")));
	return -1;					/* keep compiler quiet */
}

static void
wrong_type(TupleDesc desc, int column, const char *expected)
{
	Form_pg_attribute att = TupleDescAttr(desc, column);

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of the query of listens has type %s",
					NameStr(att->attname), format_type_be(att->atttypid)),
			 errdetail("Expected is %s.", expected),
			 errhint("Cast the column in the query.")));
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static int64
integer_value(Datum d, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(d);
		case INT4OID:
			return DatumGetInt32(d);
		default:
			return DatumGetInt64(d);
	}
}

static ListenColumns
find_listen_columns(TupleDesc desc)
{
	ListenColumns c;

	c.user = find_column(desc, "user_id");
	c.time = find_column(desc, "listened_at");
	c.recording = find_column(desc, "recording_msid");
	c.user_type = getBaseType(TupleDescAttr(desc, c.user)->atttypid);
	c.time_type = getBaseType(TupleDescAttr(desc, c.time)->atttypid);
	if (!is_integer(c.user_type))
		wrong_type(desc, c.user, "bigint, integer or smallint");
	if (c.time_type != TIMESTAMPTZOID && c.time_type != TIMESTAMPOID &&
		!is_integer(c.time_type))
		wrong_type(desc, c.time, "timestamp with time zone, timestamp, or an integer of seconds since 1970");
	if (getBaseType(TupleDescAttr(desc, c.recording)->atttypid) != UUIDOID)
		wrong_type(desc, c.recording, "uuid");
	return c;
}

static bool
is_named(ArrayType *names, const char *name)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (names == NULL)
		return false;
	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i] && strcmp(TextDatumGetCString(values[i]), name) == 0)
			return true;
	return false;
}

static void
add_feature(Dataset *data, Form_pg_attribute att, int attno, bool of_user)
{
	Feature    *f;
	Oid			element = get_element_type(getBaseType(att->atttypid));

	if (data->n_features == MAX_FEATURES)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("the query of listens has too many columns"),
				 errdetail("Beside user_id, listened_at and recording_msid there may be %d.",
						   MAX_FEATURES)));
	f = &data->features[data->n_features++];
	strlcpy(f->name, NameStr(att->attname), NAMEDATALEN);
	f->of_user = of_user;
	f->attno = attno;
	f->type = getBaseType(OidIsValid(element) ? element : att->atttypid);
	if (OidIsValid(element))
		f->kind = FEATURE_BAG;
	else if (f->type == FLOAT4OID || f->type == FLOAT8OID ||
			 f->type == NUMERICOID)
		f->kind = FEATURE_NUMBER;
	else
		f->kind = FEATURE_CATEGORY;
	if (f->kind != FEATURE_NUMBER)
		f->keys = lbrec_vocabulary_create(data->context, 0);
}

/* Every further column is a feature, of users where the caller says so. */
static void
find_features(Dataset *data, TupleDesc desc, const ListenColumns *c,
			  ArrayType *user_features)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (i == c->user || i == c->time || i == c->recording)
			continue;
		add_feature(data, att, i,
					is_named(user_features, NameStr(att->attname)));
	}
	if (user_features != NULL)
	{
		Datum	   *values;
		bool	   *nulls;
		int			n;

		deconstruct_array(user_features, TEXTOID, -1, false, TYPALIGN_INT,
						  &values, &nulls, &n);
		for (int i = 0; i < n; i++)
		{
			bool		found = false;

			for (int f = 0; f < data->n_features && !nulls[i]; f++)
				if (strcmp(data->features[f].name,
						   TextDatumGetCString(values[i])) == 0)
					found = true;
			if (!found)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("user_features names no further column of the query of listens"),
						 nulls[i] ? errdetail("It contains a null.") :
						 errdetail("There is no column \"%s\".",
								   TextDatumGetCString(values[i])),
						 errhint("Name columns that the query of listens returns beside user_id, listened_at and recording_msid.")));
		}
	}
}

/* The bytes by which a value of a category is known. */
static int32
category_code(Feature *f, Datum value)
{
	bool		is_new;

	if (f->type == TEXTOID || f->type == VARCHAROID)
	{
		struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

		return lbrec_vocabulary_code(f->keys, VARDATA_ANY(text),
									 VARSIZE_ANY_EXHDR(text), &is_new);
	}
	else
	{
		/* as text, so that keys read well wherever they are shown */
		Oid			output;
		bool		varlena;
		char	   *text;

		getTypeOutputInfo(f->type, &output, &varlena);
		text = OidOutputFunctionCall(output, value);
		return lbrec_vocabulary_code(f->keys, text, strlen(text), &is_new);
	}
}

static void
reserve_value(Feature *f, MemoryContext context)
{
	int64		old = f->allocated;

	if (f->n < f->allocated - 1)
		return;
	f->allocated = Max(1024, old * 2);
#define GROW(array) \
	(array) = (array) ? \
		repalloc_huge((array), f->allocated * sizeof(*(array))) : \
		MemoryContextAllocHuge(context, f->allocated * sizeof(*(array)))
	if (f->kind == FEATURE_CATEGORY)
		GROW(f->codes);
	else if (f->kind == FEATURE_NUMBER)
		GROW(f->numbers);
	else
		GROW(f->offsets);
#undef GROW
	if (old == 0)
	{
		/* entity 0, out-of-vocabulary, has no value */
		f->n = 1;
		if (f->kind == FEATURE_CATEGORY)
			f->codes[0] = 0;
		else if (f->kind == FEATURE_NUMBER)
			f->numbers[0] = NAN;
		else
			f->offsets[0] = f->offsets[1] = 0;
	}
}

static void
append_bag(Feature *f, Datum value, MemoryContext context)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	get_typlenbyvalalign(f->type, &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
					  &values, &nulls, &n);
	if (f->n_bag_codes + n > f->bag_allocated)
	{
		f->bag_allocated = Max(f->bag_allocated * 2, f->n_bag_codes + n + 1024);
		f->bag_codes = f->bag_codes ?
			repalloc_huge(f->bag_codes, f->bag_allocated * sizeof(int32)) :
			MemoryContextAllocHuge(context, f->bag_allocated * sizeof(int32));
	}
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			f->bag_codes[f->n_bag_codes++] = category_code(f, values[i]);
}

/* A feature belongs to its recording or user: the first row's value holds. */
static void
append_value(Feature *f, Datum value, bool isnull, MemoryContext context)
{
	reserve_value(f, context);
	switch (f->kind)
	{
		case FEATURE_CATEGORY:
			f->codes[f->n] = isnull ? 0 : category_code(f, value);
			break;
		case FEATURE_NUMBER:
			f->numbers[f->n] = isnull ? NAN :
				f->type == FLOAT4OID ? DatumGetFloat4(value) :
				f->type == FLOAT8OID ? (float) DatumGetFloat8(value) :
				(float) DatumGetFloat8(DirectFunctionCall1(numeric_float8,
														   value));
			if (isinf(f->numbers[f->n]))
				ereport(ERROR,
						(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						 errmsg("column \"%s\" of the query of listens holds an infinite value",
								f->name),
						 errdetail("Numbers are inputs of the model, so they must be finite."),
						 errhint("Filter such rows out, or turn the value into NULL.")));
			break;
		case FEATURE_BAG:
			if (!isnull)
				append_bag(f, value, context);
			f->offsets[f->n + 1] = f->n_bag_codes;
			break;
	}
	f->n++;
}

static void
null_value(Dataset *data, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("column \"%s\" of the query of listens is null in row %lld",
					column, (long long) data->n_listens + 1),
			 errdetail("A listen is known by its user, its time and its recording."),
			 errhint("Filter such rows out, for example WHERE %s IS NOT NULL.",
					 column)));
}

static int64
time_value(Dataset *data, Datum value, Oid type)
{
	int64		t;

	if (is_integer(type))
	{
		if (pg_mul_s64_overflow(integer_value(value, type), USECS_PER_SEC, &t))
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("column \"listened_at\" of the query of listens is out of range in row %lld",
							(long long) data->n_listens + 1),
					 errdetail("An integer is read as seconds since 1970."),
					 errhint("Divide it in the query if it counts milliseconds.")));
		return t;
	}
	t = DatumGetTimestampTz(value);
	if (TIMESTAMP_NOT_FINITE(t))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("column \"listened_at\" of the query of listens is infinite in row %lld",
						(long long) data->n_listens + 1),
				 errdetail("Times are inputs of the model, so they must be finite."),
				 errhint("Filter such rows out, for example WHERE isfinite(listened_at).")));
	return t + UNIX_EPOCH_OFFSET;
}

static void
append_listen(Dataset *data, const ListenColumns *c, Datum *values,
			  bool *nulls)
{
	Listen	   *listen;
	int64		user;
	bool		new_user;
	bool		new_recording;

	if (nulls[c->user])
		null_value(data, "user_id");
	if (nulls[c->time])
		null_value(data, "listened_at");
	if (nulls[c->recording])
		null_value(data, "recording_msid");

	if (data->n_listens == data->allocated)
	{
		data->allocated *= 2;
		data->listens = repalloc_huge(data->listens,
									  data->allocated * sizeof(Listen));
	}
	listen = &data->listens[data->n_listens];
	user = integer_value(values[c->user], c->user_type);
	listen->user = lbrec_vocabulary_code(data->users, &user, sizeof(user),
										 &new_user);
	listen->time = time_value(data, values[c->time], c->time_type);
	listen->recording =
		lbrec_vocabulary_code(data->recordings,
							  DatumGetUUIDP(values[c->recording])->data,
							  UUID_LEN, &new_recording);
	if (listen->recording >= data->recording_listens_allocated)
	{
		data->recording_listens_allocated *= 2;
		data->recording_listens =
			repalloc_huge(data->recording_listens,
						  data->recording_listens_allocated * sizeof(int64));
	}
	if (new_recording)
		data->recording_listens[listen->recording] = 0;
	data->recording_listens[listen->recording]++;
	for (int i = 0; i < data->n_features; i++)
	{
		Feature    *f = &data->features[i];

		if (f->of_user ? new_user : new_recording)
			append_value(f, values[f->attno], nulls[f->attno], data->context);
	}
	data->n_listens++;
}

/* Mean and standard deviation over all listens, as Keras' Normalization. */
static void
summarize_times(Dataset *data)
{
	double		sum = 0;
	double		squares = 0;
	double		origin = data->listens[0].time / 1e6;

	data->first_time = data->last_time = data->listens[0].time;
	for (int64 i = 0; i < data->n_listens; i++)
	{
		int64		t = data->listens[i].time;
		double		x = t / 1e6 - origin;

		data->first_time = Min(data->first_time, t);
		data->last_time = Max(data->last_time, t);
		sum += x;
		squares += x * x;
	}
	sum /= data->n_listens;
	data->time_mean = origin + sum;
	data->time_deviation = Max(sqrt(Max(squares / data->n_listens - sum * sum,
										0)), 1e-7);
}

static void
summarize_numbers(Feature *f)
{
	double		sum = 0;
	double		squares = 0;
	int64		known = 0;

	for (int64 i = 0; i < f->n; i++)
		if (!isnan(f->numbers[i]))
		{
			sum += f->numbers[i];
			known++;
		}
	f->mean = known > 0 ? sum / known : 0;
	for (int64 i = 0; i < f->n; i++)
		if (!isnan(f->numbers[i]))
			squares += (f->numbers[i] - f->mean) * (f->numbers[i] - f->mean);
	f->deviation = known > 0 ? sqrt(squares / known) : 0;
	if (!(f->deviation > 0))
		f->deviation = 1;
}

/*
 * A cursor may be opened on a SELECT whose WITH modifies data; the executor
 * would refuse it later, in words that do not help.
 */
static void
refuse_modifying(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	if (linitial_node(Query, source->query_list)->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("the query of listens must not modify data"),
				 errdetail("It has a data-modifying statement in WITH."),
				 errhint("Modify first, then give a query that only reads.")));
}

static void
run_query(Dataset *data, ArrayType *user_features, bool with_features)
{
	SPIPlanPtr	plan;
	Portal		portal;
	ListenColumns columns;
	Datum	   *values = NULL;
	bool	   *nulls = NULL;
	bool		was_read_only = XactReadOnly;

	SPI_connect();
	plan = SPI_prepare_cursor(data->query, 0, NULL, CURSOR_OPT_NO_SCROLL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
				 errmsg("listens must be one query that returns rows"),
				 errdetail("%s", needed_columns),
				 errhint("Give the name of a table or a single SELECT.")));
	refuse_modifying(plan);
	XactReadOnly = true;
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	columns = find_listen_columns(portal->tupDesc);
	if (with_features)
		find_features(data, portal->tupDesc, &columns, user_features);
	values = palloc(portal->tupDesc->natts * sizeof(Datum));
	nulls = palloc(portal->tupDesc->natts * sizeof(bool));
	for (;;)
	{
		SPITupleTable *rows;
		uint64		n;
		MemoryContext old;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		rows = SPI_tuptable;
		n = SPI_processed;
		if (n == 0)
			break;
		/* what detoasting and deconstructing leave goes with the batch */
		old = MemoryContextSwitchTo(rows->tuptabcxt);
		for (uint64 i = 0; i < n; i++)
		{
			heap_deform_tuple(rows->vals[i], rows->tupdesc, values, nulls);
			append_listen(data, &columns, values, nulls);
		}
		MemoryContextSwitchTo(old);
		SPI_freetuptable(rows);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	XactReadOnly = was_read_only;
	SPI_finish();
}

/*
 * Reads all listens of a table or query into context.  user_features, an
 * array of column names or NULL, says which further columns belong to users;
 * without with_features further columns are not looked at.
 */
Dataset *
lbrec_read_listens(const char *listens, ArrayType *user_features,
				   bool with_features, MemoryContext context)
{
	Dataset    *data = MemoryContextAllocZero(context, sizeof(Dataset));
	MemoryContext old = MemoryContextSwitchTo(context);

	data->context = context;
	data->query = lbrec_listens_query(listens);
	data->allocated = 65536;
	data->listens = palloc(data->allocated * sizeof(Listen));
	data->users = lbrec_vocabulary_create(context, sizeof(int64));
	data->recordings = lbrec_vocabulary_create(context, UUID_LEN);
	data->recording_listens_allocated = 65536;
	data->recording_listens = palloc0(data->recording_listens_allocated *
									  sizeof(int64));
	MemoryContextSwitchTo(old);

	run_query(data, user_features, with_features);

	if (data->n_listens == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("the query of listens returned no rows"),
				 errdetail("The query was: %s", data->query),
				 errhint("Load listens with lbrec-convert, or widen the query.")));
	summarize_times(data);
	for (int i = 0; i < data->n_features; i++)
		if (data->features[i].kind == FEATURE_NUMBER)
			summarize_numbers(&data->features[i]);
	return data;
}
