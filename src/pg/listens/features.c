/*
 * features.c
 *		Further columns of the query of listens: properties of recordings and
 *		of users.
 *
 * A value is read once, with the first row of its recording or user.  Keys
 * become codes of the feature's own vocabulary; numbers are kept and
 * normalised, or cut into buckets of equal count, each with an embedding.
 */
#include "pg/listens/features.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

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
			bool bucketed)
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
				 errmsg("column \"%s\" of the query of listens cannot be bucketized",
						f->name),
				 errdetail("It has type %s, which becomes an embedding as it is.",
						   format_type_be(att->atttypid)),
				 errhint("Name real, double precision or numeric columns.")));
	if (f->kind != FEATURE_NUMBER)
		f->keys = lbrec_vocabulary_create(data->context, 0);
}

/* Each name must be that of a further column. */
static void
check_names(const Dataset *data, ArrayType *names, const char *argument)
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
			if (strcmp(data->features[f].name,
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
			 errmsg("column \"%s\" of the query of listens needs another name",
					f->name),
			 errdetail_internal("%s", detail),
			 errhint("Rename it in the query with AS.")));
}

/*
 * A column's arrays are named after it, <column>_embedding for one, and two
 * of one name would be taken for one array, of the first one's size.
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
			/* the offsets of its lists and of the other one's keys */
			if (f->kind == FEATURE_BAG && strncmp(f->name, other, len) == 0 &&
				strcmp(f->name + len, "_key") == 0)
				refuse_name(f, psprintf("The keys of column \"%s\" have this name.",
										other));
		}
	}
}

/*
 * Every column but the first three is a feature, of users where the caller
 * says so.
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
					is_named(source->bucketize, name));
	}
	check_unique(data);
	check_names(data, source->user_features, "user_features");
	check_names(data, source->bucketize, "bucketize");
}

/* The bytes by which a value of a category is known. */
static int32
category_code(Feature *f, Datum value)
{
	if (f->type == TEXTOID || f->type == VARCHAROID)
	{
		struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

		return lbrec_vocabulary_add(f->keys, VARDATA_ANY(text),
									VARSIZE_ANY_EXHDR(text));
	}
	else
	{
		/* as text, so that keys read well wherever they are shown */
		Oid			output;
		bool		varlena;
		char	   *text;

		getTypeOutputInfo(f->type, &output, &varlena);
		text = OidOutputFunctionCall(output, value);
		return lbrec_vocabulary_add(f->keys, text, strlen(text));
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
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i])
			f->bag_codes[f->n_bag_codes++] = category_code(f, values[i]);
	}
	f->longest_bag = Max(f->longest_bag, n);
}

/* A feature belongs to its recording or user: the first row's value holds. */
void
lbrec_append_value(Feature *f, Datum value, bool isnull, MemoryContext context)
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

/* Mean and deviation of the known values. */
static void
summarize_numbers(Feature *f)
{
	double		sum = 0;
	double		squares = 0;
	int64		known = 0;

	for (int64 i = 0; i < f->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!isnan(f->numbers[i]))
		{
			sum += f->numbers[i];
			known++;
		}
	}
	f->mean = known > 0 ? sum / known : 0;
	for (int64 i = 0; i < f->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!isnan(f->numbers[i]))
			squares += (f->numbers[i] - f->mean) * (f->numbers[i] - f->mean);
	}
	f->deviation = known > 0 ? sqrt(squares / known) : 0;
	if (!(f->deviation > 0))
		f->deviation = 1;
}

static int
compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

/*
 * Edges between buckets of about equal count.  Equal values share a bucket, so
 * there may be fewer buckets than asked for.
 */
static void
find_edges(Feature *f, int buckets, MemoryContext context)
{
	int64		known = 0;
	float	   *sorted = palloc_extended(Max(f->n, 1) * sizeof(float),
										 MCXT_ALLOC_HUGE);

	for (int64 i = 0; i < f->n; i++)
		if (!isnan(f->numbers[i]))
			sorted[known++] = f->numbers[i];
	qsort(sorted, known, sizeof(float), compare_floats);
	f->edges = MemoryContextAlloc(context, buckets * sizeof(float));
	f->n_edges = 0;
	for (int b = 1; b < buckets && known > 0; b++)
	{
		float		edge = sorted[known * b / buckets];

		if (edge > sorted[0] &&
			(f->n_edges == 0 || edge > f->edges[f->n_edges - 1]))
			f->edges[f->n_edges++] = edge;
	}
	pfree(sorted);
}

/* 0 for NaN, else 1 + the number of edges that are not above the value. */
int32
lbrec_bucket_of(const float *edges, int n_edges, float value)
{
	int			low = 0;
	int			high = n_edges;

	if (isnan(value))
		return 0;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (edges[middle] <= value)
			low = middle + 1;
		else
			high = middle;
	}
	return 1 + low;
}

/*
 * To be called when all rows are read.  A bucketed number becomes a category
 * whose codes are the buckets; it has no vocabulary.
 */
void
lbrec_finish_features(Dataset *data, int buckets)
{
	for (int i = 0; i < data->n_features; i++)
	{
		Feature    *f = &data->features[i];

		if (f->kind != FEATURE_NUMBER)
			continue;
		if (!f->bucketed)
		{
			summarize_numbers(f);
			continue;
		}
		/* a warm start brings the edges that its buckets were made with */
		if (f->edges == NULL)
			find_edges(f, buckets, data->context);
		f->codes = MemoryContextAllocHuge(data->context,
										  Max(f->n, 1) * sizeof(int32));
		for (int64 e = 0; e < f->n; e++)
		{
			CHECK_FOR_INTERRUPTS();
			f->codes[e] = lbrec_bucket_of(f->edges, f->n_edges,
										  f->numbers[e]);
		}
		f->kind = FEATURE_CATEGORY;
	}
}

/* Rows of a feature's embedding table; 0 for a plain number. */
int64
lbrec_feature_rows(const Feature *f)
{
	if (f->kind == FEATURE_NUMBER)
		return 0;
	return f->keys ? (int64) lbrec_vocabulary_size(f->keys) + 1 :
		f->n_edges + 2;
}

/*
 * Entities have new codes: keeps the values of those whose map entry is not 0,
 * in the order of the new codes, which is that of the old ones.
 */
void
lbrec_renumber_feature(Feature *f, const int32 *map)
{
	int64		kept = 1;
	int64		used = 0;

	for (int64 e = 1; e < f->n; e++)
	{
		CHECK_FOR_INTERRUPTS();
		if (map[e] == 0)
			continue;
		Assert(map[e] == kept);
		if (f->kind == FEATURE_CATEGORY)
			f->codes[kept] = f->codes[e];
		else if (f->kind == FEATURE_NUMBER)
			f->numbers[kept] = f->numbers[e];
		else
		{
			int64		n = f->offsets[e + 1] - f->offsets[e];

			memmove(f->bag_codes + used, f->bag_codes + f->offsets[e],
					n * sizeof(int32));
			f->offsets[kept] = used;
			used += n;
			f->offsets[kept + 1] = used;
		}
		kept++;
	}
	if (f->n > 0)
		f->n = kept;
	if (f->kind == FEATURE_BAG)
		f->n_bag_codes = used;
}
