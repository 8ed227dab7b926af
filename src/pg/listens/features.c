/*
 * features.c
 *		Further columns of the queries of listens and items: properties of
 *		recordings and of users.
 *
 * A value is that of the earliest listen of its recording or user, or that of
 * the recording in items.  Keys become codes of the feature's own vocabulary;
 * numbers are kept.
 */
#include "pg/listens/features.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "pg/listens/categories.h"
#include "pg/listens/dataset.h"
#include "pg/listens/vocabulary.h"

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
add_feature(Dataset *data, Form_pg_attribute att, int attno, bool of_user,
			bool of_items, bool bucketed)
{
	Feature    *f;
	Oid			element = get_element_type(getBaseType(att->atttypid));

	if (data->n_features == MAX_FEATURES)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("the query of %s has too many columns",
						of_items ? "items" : "listens"),
				 errdetail("Beside user_id, listened_at and recording_msid there may be %d.",
						   MAX_FEATURES)));
	f = &data->features[data->n_features++];
	strlcpy(f->name, NameStr(att->attname), NAMEDATALEN);
	f->of_user = of_user;
	f->of_items = of_items;
	f->bucketed = bucketed;
	f->attno = attno;
	f->type = getBaseType(OidIsValid(element) ? element : att->atttypid);
	if (OidIsValid(element))
		f->kind = FEATURE_BAG;
	else if (f->type == FLOAT4OID || f->type == FLOAT8OID ||
			 f->type == NUMERICOID)
		f->kind = FEATURE_NUMBER;
	else
		f->kind = FEATURE_CATEGORY;
	if (bucketed && f->kind != FEATURE_NUMBER)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query of %s cannot be bucketized",
						f->name, LBREC_QUERY_OF(f)),
				 errdetail("Its type is %s, whose values become embeddings without buckets.",
						   format_type_be(att->atttypid)),
				 errhint("Name real, double precision or numeric columns.")));
	if (f->kind == FEATURE_NUMBER)
		return;
	f->form = lbrec_category_form(f->type);
	if (f->form == CATEGORY_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query of %s has type %s",
						f->name, LBREC_QUERY_OF(f),
						format_type_be(att->atttypid)),
				 errdetail("The text of its values may differ between sessions, or its values are no categories."),
				 errhint("Cast the column in the query, for example to text, or leave it out.")));
	f->keys = lbrec_vocabulary_create(data->context, 0);
}

/* Each name must be that of a further column, in items only if that may be. */
static void
check_names(const Dataset *data, ArrayType *names, const char *argument,
			bool in_items)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (names == NULL)
		return;
	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		bool		found = false;

		for (int f = 0; f < data->n_features && !nulls[i]; f++)
			if ((in_items || !data->features[f].of_items) &&
				strcmp(data->features[f].name,
					   TextDatumGetCString(values[i])) == 0)
				found = true;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("%s names no further column of the query of listens",
							argument),
					 nulls[i] ? errdetail("It contains a null.") :
					 errdetail("There is no column \"%s\".",
							   TextDatumGetCString(values[i])),
					 errhint("Name columns that the query of listens returns beside user_id, listened_at and recording_msid.")));
	}
}

static void
refuse_name(const Feature *f, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_COLUMN),
			 errmsg("column \"%s\" of the query of %s needs another name",
					f->name, LBREC_QUERY_OF(f)),
			 errdetail_internal("%s", detail),
			 errhint("Rename it in the query with AS.")));
}

/*
 * A column's arrays are named after it, for example <column>_embedding.  Two
 * arrays of one name would be taken for one, with the first one's size.
 */
static void
check_unique(const Dataset *data)
{
	static const char *const taken[] = {
		"recording", "user", "time", "history", "neighbour"
	};

	for (int i = 0; i < data->n_features; i++)
	{
		const Feature *f = &data->features[i];

		for (int t = 0; t < lengthof(taken); t++)
			if (strcmp(f->name, taken[t]) == 0)
				refuse_name(f, "Arrays of the model itself have this name.");
		for (int j = 0; j < data->n_features; j++)
		{
			const char *other = data->features[j].name;
			Size		len = strlen(other);

			if (i > j && strcmp(f->name, other) == 0)
				refuse_name(f, "Another column has the same name.");

			/*
			 * the other column's keys would have the name of this one's
			 * offsets
			 */
			if (f->kind == FEATURE_BAG && strncmp(f->name, other, len) == 0 &&
				strcmp(f->name + len, "_key") == 0)
				refuse_name(f, psprintf("The keys of column \"%s\" have this name.",
										other));
		}
	}
}

/*
 * Makes every column but the first three a feature, of users if the caller
 * names it.
 */
void
lbrec_find_features(Dataset *data, TupleDesc desc, const int *listen_columns,
					const ListenSource *source)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = NameStr(att->attname);

		if (i == listen_columns[0] || i == listen_columns[1] ||
			i == listen_columns[2])
			continue;
		add_feature(data, att, i, is_named(source->user_features, name),
					false, is_named(source->bucketize, name));
	}
}

/* Every column of items but the recording is a feature of it. */
void
lbrec_find_item_features(Dataset *data, TupleDesc desc, int recording,
						 const ListenSource *source)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (i != recording)
			add_feature(data, att, i, false, true,
						is_named(source->bucketize, NameStr(att->attname)));
	}
}

/* To be called when the columns of all queries are known. */
void
lbrec_check_features(const Dataset *data, const ListenSource *source)
{
	check_unique(data);
	check_names(data, source->user_features, "user_features", false);
	check_names(data, source->bucketize, "bucketize", true);
}

static int32
category_code(Feature *f, Datum value)
{
	uint32		len;
	const char *key = lbrec_category_key(f->type, f->form, value, &len);

	return lbrec_vocabulary_add(f->keys, key, len);
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
	{
		GROW(f->starts);
		GROW(f->lengths);
	}
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
			f->starts[0] = f->lengths[0] = 0;
	}
}

/* A value of a feature; an unknown one is code 0, NaN or no codes. */
typedef struct Value
{
	int32		code;
	float		number;
	int32	   *codes;
	int			n;
} Value;

static float
number_value(const Feature *f, Datum value)
{
	float		number = f->type == FLOAT4OID ? DatumGetFloat4(value) :
	f->type == FLOAT8OID ? (float) DatumGetFloat8(value) :
	(float) DatumGetFloat8(DirectFunctionCall1(numeric_float8, value));

	if (isinf(number))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("column \"%s\" of the query of %s holds an infinite value",
						f->name, LBREC_QUERY_OF(f)),
				 errdetail("Numbers are inputs of the model, so they must be finite."),
				 errhint("Filter such rows out, or turn the value into NULL.")));
	/* turns negative zero into the zero that it equals */
	return number + 0.0f;
}

/* Looks up the codes of an array's elements, in the current memory context. */
static void
read_bag(Value *v, Feature *f, Datum value)
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
	v->codes = palloc_extended(Max(n, 1) * sizeof(int32), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i])
			v->codes[v->n++] = category_code(f, values[i]);
	}
}

static Value
read_value(Feature *f, Datum value, bool isnull)
{
	Value		v = {.number = NAN};

	if (isnull)
		return v;
	if (f->kind == FEATURE_CATEGORY)
		v.code = category_code(f, value);
	else if (f->kind == FEATURE_NUMBER)
		v.number = number_value(f, value);
	else
		read_bag(&v, f, value);
	return v;
}

/* True if v replaces the entity's value; unknown values sort last. */
static bool
comes_before(const Feature *f, const Value *v, int64 entity)
{
	const int32 *codes;
	int			n;

	if (f->kind == FEATURE_CATEGORY)
		return v->code != 0 &&
			(f->codes[entity] == 0 ||
			 lbrec_vocabulary_compare(f->keys, v->code, f->codes[entity]) < 0);
	if (f->kind == FEATURE_NUMBER)
		return !isnan(v->number) && !(v->number >= f->numbers[entity]);
	codes = f->bag_codes + f->starts[entity];
	n = f->lengths[entity];
	for (int i = 0; i < Min(n, v->n); i++)
		if (v->codes[i] != codes[i])
			return lbrec_vocabulary_compare(f->keys, v->codes[i], codes[i]) < 0;
	return n == 0 ? v->n > 0 : v->n > 0 && v->n < n;
}

/* Stores the bag's codes, over the old ones if they fit. */
static void
store_bag(Feature *f, int64 entity, const Value *v, MemoryContext context)
{
	if (v->n > f->lengths[entity])
	{
		if (f->n_bag_codes + v->n > f->bag_allocated)
		{
			int64		wanted = Max(f->bag_allocated * 2,
									 f->n_bag_codes + v->n + 1024);

			f->bag_codes = f->bag_codes ?
				repalloc_huge(f->bag_codes, wanted * sizeof(int32)) :
				MemoryContextAllocHuge(context, wanted * sizeof(int32));
			f->bag_allocated = wanted;
		}
		f->starts[entity] = f->n_bag_codes;
		f->n_bag_codes += v->n;
	}
	f->lengths[entity] = v->n;
	if (v->n > 0)
		memcpy(f->bag_codes + f->starts[entity], v->codes,
			   v->n * sizeof(int32));
}

static void
store_value(Feature *f, int64 entity, const Value *v, MemoryContext context)
{
	if (f->kind == FEATURE_CATEGORY)
		f->codes[entity] = v->code;
	else if (f->kind == FEATURE_NUMBER)
		f->numbers[entity] = v->number;
	else
		store_bag(f, entity, v, context);
}

/* Appends the value of the next entity. */
void
lbrec_append_value(Feature *f, Datum value, bool isnull, MemoryContext context)
{
	Value		v = read_value(f, value, isnull);

	reserve_value(f, context);
	if (f->kind == FEATURE_BAG)
		f->starts[f->n] = f->lengths[f->n] = 0;
	store_value(f, f->n, &v, context);
	f->n++;
}

/*
 * Sets another value of an entity; with if_before, only if it sorts before the
 * old one.
 */
void
lbrec_replace_value(Feature *f, int64 entity, Datum value, bool isnull,
					bool if_before, MemoryContext context)
{
	Value		v = read_value(f, value, isnull);

	if (!if_before || comes_before(f, &v, entity))
		store_value(f, entity, &v, context);
}

/* Call this before the first row, and after the values of a warm start. */
void
lbrec_begin_features(Dataset *data)
{
	for (int i = 0; i < data->n_features; i++)
	{
		Feature    *f = &data->features[i];

		if (f->keys)
			f->n_known_keys = lbrec_vocabulary_size(f->keys);
		if (f->kind != FEATURE_BAG || f->offsets == NULL)
			continue;
		f->starts = MemoryContextAllocHuge(data->context,
										   f->allocated * sizeof(int64));
		f->lengths = MemoryContextAllocHuge(data->context,
											f->allocated * sizeof(int32));
		for (int64 e = 0; e < f->n; e++)
		{
			f->starts[e] = f->offsets[e];
			f->lengths[e] = (int32) (f->offsets[e + 1] - f->offsets[e]);
		}
		f->offsets = NULL;
	}
}
