/*
 * check.c
 *		Checks the chunks of a model's tensors, one at a time.
 *
 * Chunks come in the order of tensors and places, from the tables
 * (lbrec_check, lbrec_export) or from a file (lbrec_import).  They are not
 * kept, so memory does not grow with the model.  This file checks names,
 * places, lengths and checksums; src/pg/model checks the values.
 */
#include "pg/store/check.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/store/tensors.h"
#include "pg/store/versions.h"

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

/*
 * Returns the number of a tensor's chunks.  An empty tensor has one chunk, for
 * its shape.
 */
static int32
chunks_of(const TensorShape *shape)
{
	Size		size = Max(lbrec_tensor_size(shape), 1);

	return (int32) ((size - 1) / TENSOR_CHUNK_BYTES + 1);
}

/* Ends the current tensor, or all: no chunk of it will follow. */
void
lbrec_checker_end(Checker *c)
{
	CheckedTensor *t = &c->tensors[c->n - 1];

	if (c->n > 0 && t->in_range && t->next < chunks_of(&t->shape))
		c->report(t->name, t->next, "The chunk is missing.", c->arg);
}

static CheckedTensor *
open_tensor(Checker *c, const char *name, const TensorShape *shape)
{
	CheckedTensor *t;

	lbrec_checker_end(c);
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
	if (!t->in_range)
		c->report(name, 0, "Its shape is out of range.", c->arg);
	return t;
}

/*
 * Checks the next chunk, in the order of names and places.  True if its bytes
 * belong at its place.
 */
bool
lbrec_check_chunk(Checker *c, const char *name, const TensorShape *shape,
				  int32 chunk, Size len)
{
	CheckedTensor *t = c->n > 0 ? &c->tensors[c->n - 1] : NULL;
	Size		size;
	Size		expected;

	if (t == NULL || strcmp(t->name, name) != 0)
		t = open_tensor(c, name, shape);
	else if (t->shape.type != shape->type || t->shape.rows != shape->rows ||
			 t->shape.cols != shape->cols)
	{
		c->report(name, chunk, "Its shape is not that of the chunks before it.",
				  c->arg);
		t->in_range = false;
	}
	t->bytes += len;
	if (chunk > t->next)
		c->report(name, t->next, "The chunk is missing.", c->arg);
	if (chunk < t->next)
	{
		c->report(name, chunk, "The chunk is out of place.", c->arg);
		return false;
	}
	t->next = chunk + 1;
	if (!t->in_range)
		return false;
	if (chunk >= chunks_of(&t->shape))
	{
		c->report(name, chunk, "Its shape has no room for this chunk.",
				  c->arg);
		return false;
	}
	size = lbrec_tensor_size(&t->shape);
	expected = Min(size - (Size) chunk * TENSOR_CHUNK_BYTES,
				   TENSOR_CHUNK_BYTES);
	if (len != expected)
		c->report(name, chunk, psprintf("It has %zu bytes instead of %zu.",
										(size_t) len, (size_t) expected),
				  c->arg);
	return len == expected;
}

/*
 * Reads all chunks of a model in order, and checks their checksums; visit gets
 * each.  Called within SPI.
 */
void
lbrec_visit_chunks(const ModelRow *row, CheckReport report, void *report_arg,
				   ChunkVisitor visit, void *arg)
{
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(row->id),
		Int32GetDatum((int32) TENSOR_CHUNK_BYTES)};
	MemoryContext context = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "lbrec chunk",
											   ALLOCSET_DEFAULT_SIZES);
	Portal		portal;

	/* an overlong chunk is not brought into memory */
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
			report(name, chunk, "Its type is unknown.", report_arg);
			shape.type = TENSOR_BYTES;
		}
		else if (!isnull)
		{
			content = VARDATA_ANY(DatumGetByteaPP(data));
			if (crc != (int64) lbrec_chunk_crc(row->id, name, chunk, &shape,
											   content, len))
			{
				report(name, chunk, "Its checksum does not match.",
					   report_arg);
				content = NULL;
			}
		}
		visit(name, &shape, chunk, content, len, arg);
		SPI_freetuptable(SPI_tuptable);
		MemoryContextSwitchTo(old);
		MemoryContextReset(each);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(each);
	MemoryContextSwitchTo(context);
}
