/*
 * check.c
 *		Checks the tensors of a model as their chunks pass by.
 *
 * Chunks come in the order of tensors and places, one at a time: from the
 * tables (lbrec_check, lbrec_export) or from a file (lbrec_import).  Nothing
 * is kept of them but extremes, so memory does not grow with the model.
 *
 * What is known of tensors here is what their names and types tell, so a new
 * tensor needs nothing new: floats are finite, offsets ascend to the length of
 * what they cut, codes are of their vocabulary.  What serving needs beyond
 * that, lbrec_check_image() asks of the code that serves.
 */
#include "pg/store/check.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/store/tensors.h"
#include "pg/store/versions.h"

/* A list of tensors is far shorter. */
#define MAX_MANIFEST_BYTES (16 * 1024 * 1024)

void
lbrec_checker_init(Checker *c, CheckReport report, void *arg)
{
	memset(c, 0, sizeof(Checker));
	c->context = CurrentMemoryContext;
	c->report = report;
	c->arg = arg;
	c->allocated = 64;
	c->tensors = palloc(c->allocated * sizeof(CheckedTensor));
}

static bool
ends_with(const char *name, const char *end)
{
	size_t		n = strlen(name);
	size_t		m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

/* Chunks of a tensor; an empty one has one, so that its shape is known. */
static int32
chunks_of(const TensorShape *shape)
{
	Size		size = Max(lbrec_tensor_size(shape), 1);

	return (int32) ((size - 1) / TENSOR_CHUNK_BYTES + 1);
}

/* The tensor that was read last is complete. */
static void
close_tensor(Checker *c)
{
	CheckedTensor *t = &c->tensors[c->n - 1];

	if (c->n > 0 && t->in_range && t->next < chunks_of(&t->shape))
		c->report(t->name, t->next, "The chunk is missing.", c->arg);
}

static CheckedTensor *
open_tensor(Checker *c, const char *name, const TensorShape *shape)
{
	CheckedTensor *t;

	close_tensor(c);
	if (c->n == c->allocated)
	{
		c->allocated *= 2;
		c->tensors = repalloc(c->tensors,
							  c->allocated * sizeof(CheckedTensor));
	}
	t = &c->tensors[c->n++];
	memset(t, 0, sizeof(CheckedTensor));
	t->name = MemoryContextStrdup(c->context, name);
	t->shape = *shape;
	t->in_range = lbrec_shape_in_range(shape);
	t->ascends = true;
	t->previous = PG_INT64_MIN;
	t->least = PG_INT64_MAX;
	t->most = PG_INT64_MIN;
	if (!t->in_range)
		c->report(name, 0, "Its shape is out of range.", c->arg);
	return t;
}

static void
look_at_integer(CheckedTensor *t, int64 value)
{
	t->ascends = t->ascends && value >= t->previous;
	t->previous = value;
	t->least = Min(t->least, value);
	t->most = Max(t->most, value);
}

static void
look_at_content(Checker *c, CheckedTensor *t, int32 chunk, const char *data,
				Size len)
{
	switch (t->shape.type)
	{
		case TENSOR_FLOAT4:
			/* a column of numbers has NaN where a number is unknown */
			for (Size i = 0; i < len; i += sizeof(float))
			{
				float		value;

				memcpy(&value, data + i, sizeof(value));
				if (isfinite(value) ||
					(isnan(value) && ends_with(t->name, "_numbers")))
					continue;
				c->report(t->name, chunk,
						  psprintf("Its number %zu is not finite.",
								   (size_t) (i / sizeof(float))), c->arg);
				break;
			}
			break;
		case TENSOR_INT4:
			for (Size i = 0; i < len; i += sizeof(int32))
			{
				int32		value;

				memcpy(&value, data + i, sizeof(value));
				look_at_integer(t, value);
			}
			break;
		case TENSOR_INT8:
			for (Size i = 0; i < len; i += sizeof(int64))
			{
				int64		value;

				memcpy(&value, data + i, sizeof(value));
				look_at_integer(t, value);
			}
			break;
		case TENSOR_UUID:
		case TENSOR_BYTES:
			break;
	}
}

/*
 * The next chunk, in the order of names and places.  data NULL: its content
 * is known to be damaged.
 */
void
lbrec_check_chunk(Checker *c, const char *name, const TensorShape *shape,
				  int32 chunk, const char *data, Size len)
{
	CheckedTensor *t = c->n > 0 ? &c->tensors[c->n - 1] : NULL;
	Size		size;
	Size		expected;

	if (t == NULL || strcmp(t->name, name) != 0)
		t = open_tensor(c, name, shape);
	else if (memcmp(&t->shape.type, &shape->type, sizeof(TensorType)) != 0 ||
			 t->shape.rows != shape->rows || t->shape.cols != shape->cols)
		c->report(name, chunk, "Its shape is not that of the chunks before it.",
				  c->arg);
	t->bytes += len;
	if (chunk > t->next)
		c->report(name, t->next, "The chunk is missing.", c->arg);
	if (chunk < t->next)
	{
		c->report(name, chunk, "The chunk is out of place.", c->arg);
		return;
	}
	t->next = chunk + 1;
	if (!t->in_range)
		return;
	if (chunk >= chunks_of(&t->shape))
	{
		c->report(name, chunk, "Its shape has no room for this chunk.",
				  c->arg);
		return;
	}
	size = lbrec_tensor_size(&t->shape);
	expected = Min(size - (Size) chunk * TENSOR_CHUNK_BYTES,
				   TENSOR_CHUNK_BYTES);
	if (len != expected)
		c->report(name, chunk, psprintf("It has %zu bytes instead of %zu.",
										(size_t) len, (size_t) expected),
				  c->arg);
	else if (data != NULL)
	{
		look_at_content(c, t, chunk, data, len);
		if (strcmp(name, "manifest") == 0 && chunk == 0 &&
			t->shape.type == TENSOR_BYTES && size == len)
			c->manifest = MemoryContextStrdup(c->context,
											  pnstrdup(data, len));
	}
}

static const CheckedTensor *
find(const Checker *c, const char *name)
{
	for (int i = 0; i < c->n; i++)
		if (strcmp(c->tensors[i].name, name) == 0)
			return &c->tensors[i];
	return NULL;
}

/* name with its end replaced by another */
static const CheckedTensor *
partner(const Checker *c, const char *name, const char *end,
		const char *other)
{
	return find(c, psprintf("%.*s%s", (int) (strlen(name) - strlen(end)),
							name, other));
}

static void
check_count(const Checker *c, const char *name, TensorType type, int64 rows,
			const char *what)
{
	const CheckedTensor *t = find(c, name);

	if (t == NULL)
		c->report(name, -1, "The tensor is missing.", c->arg);
	else if (t->shape.type != type || t->shape.rows != rows)
		c->report(name, -1,
				  psprintf("It has %lld rows of type %s, but the model has %s.",
						   (long long) t->shape.rows,
						   lbrec_tensor_type_name(t->shape.type), what),
				  c->arg);
}

/* Where one tensor cuts another into pieces, or numbers what it holds. */
static void
check_references(const Checker *c, const ModelRow *row)
{
	for (int i = 0; i < c->n; i++)
	{
		const CheckedTensor *t = &c->tensors[i];
		const CheckedTensor *cut = NULL;
		const CheckedTensor *keys = NULL;

		if (!t->in_range)
			continue;
		if (ends_with(t->name, "_key_offsets"))
			cut = partner(c, t->name, "_key_offsets", "_keys");
		else if (ends_with(t->name, "_offsets"))
			cut = partner(c, t->name, "_offsets", "_codes");
		else if (ends_with(t->name, "_week_starts"))
			cut = partner(c, t->name, "_week_starts", "_weeks");
		if (cut != NULL && t->shape.type == TENSOR_INT8 && t->shape.rows > 0 &&
			(!t->ascends || t->least < 0 || t->most != cut->shape.rows))
			c->report(t->name, -1,
					  psprintf("Its offsets do not ascend to the %lld rows of \"%s\".",
							   (long long) cut->shape.rows, cut->name),
					  c->arg);

		if (t->shape.type == TENSOR_INT4 && ends_with(t->name, "_codes"))
		{
			int64		least = 0;
			int64		most = PG_INT64_MAX;

			keys = partner(c, t->name, "_codes", "_key_offsets");
			if (keys != NULL)
				most = keys->shape.rows - 1;
			else if (strcmp(t->name, "history_codes") == 0 ||
					 strcmp(t->name, "neighbour_codes") == 0)
			{
				least = 1;
				most = row->n_recordings;
			}
			if (t->shape.rows > 0 && (t->least < least || t->most > most))
				c->report(t->name, -1,
						  psprintf("Its codes are from %lld to %lld, outside of the vocabulary.",
								   (long long) t->least, (long long) t->most),
						  c->arg);
		}
		if (ends_with(t->name, "_embedding"))
		{
			keys = partner(c, t->name, "_embedding", "_key_offsets");
			if (keys != NULL && keys->shape.rows != t->shape.rows)
				c->report(t->name, -1,
						  psprintf("It has %lld rows for a vocabulary of %lld.",
								   (long long) t->shape.rows,
								   (long long) keys->shape.rows - 1), c->arg);
		}
	}
}

/* The tensors are those that were saved, all of them and no others. */
static void
check_manifest(const Checker *c)
{
	Oid			types[] = {TEXTOID};
	Datum		values[1];
	uint64		n;
	bool	   *listed = palloc0(c->n * sizeof(bool));

	if (find(c, "manifest") == NULL)
		c->report("manifest", -1, "The tensor is missing.", c->arg);
	if (c->manifest == NULL || strlen(c->manifest) > MAX_MANIFEST_BYTES)
		return;
	values[0] = CStringGetTextDatum(c->manifest);
	if (SPI_execute_with_args("SELECT t.name, t.type, t.rows, t.cols "
							  "FROM pg_catalog.jsonb_to_recordset($1::pg_catalog.jsonb) "
							  "AS t (name pg_catalog.text, type pg_catalog.text, "
							  "rows pg_catalog.int8, cols pg_catalog.int4)",
							  1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a list of tensors");
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *name = SPI_getvalue(tuple, desc, 1);
		char	   *saved = psprintf("%s %sx%s", SPI_getvalue(tuple, desc, 2),
									 SPI_getvalue(tuple, desc, 3),
									 SPI_getvalue(tuple, desc, 4));
		const CheckedTensor *t = name ? find(c, name) : NULL;

		if (name == NULL)
			continue;
		if (t == NULL)
		{
			c->report(name, -1, "The tensor is missing.", c->arg);
			continue;
		}
		listed[t - c->tensors] = true;
		if (strcmp(saved, psprintf("%s %lldx%d",
								   lbrec_tensor_type_name(t->shape.type),
								   (long long) t->shape.rows,
								   t->shape.cols)) != 0)
			c->report(name, -1, psprintf("It was saved as %s.", saved),
					  c->arg);
	}
	for (int i = 0; i < c->n; i++)
		if (!listed[i] && strcmp(c->tensors[i].name, "manifest") != 0)
			c->report(c->tensors[i].name, -1,
					  "It was not saved with the model.", c->arg);
	SPI_freetuptable(SPI_tuptable);
}

/*
 * After the last chunk: what tensors must be to each other and to the model's
 * row.  Called within SPI.
 */
void
lbrec_check_together(Checker *c, const ModelRow *row)
{
	close_tensor(c);
	check_count(c, "user_key", TENSOR_INT8, row->n_users,
				psprintf("%lld users", (long long) row->n_users));
	check_count(c, "recording_key", TENSOR_UUID, row->n_recordings,
				psprintf("%lld recordings", (long long) row->n_recordings));
	check_count(c, "recording_listens", TENSOR_INT8, row->n_recordings,
				psprintf("%lld recordings", (long long) row->n_recordings));
	check_count(c, "candidate", TENSOR_FLOAT4, row->n_recordings,
				psprintf("%lld recordings", (long long) row->n_recordings));
	check_count(c, "history_offsets", TENSOR_INT8, row->n_users + 2,
				psprintf("%lld users", (long long) row->n_users));
	check_references(c, row);
	check_manifest(c);
}

/*
 * Reads all chunks of a model, in order, and checks them; visit gets each.
 * Called within SPI.
 */
void
lbrec_check_chunks(Checker *c, const ModelRow *row, ChunkVisitor visit,
				   void *arg)
{
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(row->id),
		Int32GetDatum((int32) TENSOR_CHUNK_BYTES)};
	MemoryContext each = AllocSetContextCreate(c->context, "lbrec chunk",
											   ALLOCSET_DEFAULT_SIZES);
	Portal		portal;

	/* what is too long is not brought into memory */
	portal = SPI_cursor_open_with_args(NULL,
									   "SELECT name, chunk, type, rows, cols, crc32c, "
									   "pg_catalog.octet_length(data), "
									   "CASE WHEN pg_catalog.octet_length(data) "
									   "OPERATOR(pg_catalog.<=) $2 THEN data END "
									   "FROM lbrec.tensor "
									   "WHERE model OPERATOR(pg_catalog.=) $1 "
									   "ORDER BY name COLLATE pg_catalog.\"C\", chunk",
									   2, types, values, NULL, true,
									   CURSOR_OPT_NO_SCROLL);
	for (;;)
	{
		MemoryContext old;
		HeapTuple	tuple;
		TupleDesc	desc;
		bool		isnull;
		char	   *name;
		int32		chunk;
		TensorShape shape;
		int64		crc;
		Size		len;
		Datum		data;
		const char *content = NULL;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, 1);
		if (SPI_processed == 0)
			break;
		old = MemoryContextSwitchTo(each);
		tuple = SPI_tuptable->vals[0];
		desc = SPI_tuptable->tupdesc;
		name = SPI_getvalue(tuple, desc, 1);
		chunk = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
		shape.rows = DatumGetInt64(SPI_getbinval(tuple, desc, 4, &isnull));
		shape.cols = DatumGetInt32(SPI_getbinval(tuple, desc, 5, &isnull));
		crc = DatumGetInt64(SPI_getbinval(tuple, desc, 6, &isnull));
		len = DatumGetInt32(SPI_getbinval(tuple, desc, 7, &isnull));
		data = SPI_getbinval(tuple, desc, 8, &isnull);
		if (!lbrec_tensor_type(SPI_getvalue(tuple, desc, 3), &shape.type))
		{
			c->report(name, chunk, "Its type is unknown.", c->arg);
			shape.type = TENSOR_BYTES;
		}
		else if (!isnull)
		{
			content = VARDATA_ANY(DatumGetByteaPP(data));
			if (crc != (int64) lbrec_chunk_crc(row->id, name, chunk, &shape,
											   content, len))
			{
				c->report(name, chunk, "Its checksum does not match.",
						  c->arg);
				content = NULL;
			}
		}
		lbrec_check_chunk(c, name, &shape, chunk, content, len);
		if (visit)
			visit(name, &shape, chunk, content, len, arg);
		SPI_freetuptable(SPI_tuptable);
		MemoryContextSwitchTo(old);
		MemoryContextReset(each);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(each);
	lbrec_check_together(c, row);
}
