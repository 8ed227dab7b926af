/*
 * cut.c
 *		Removes rows from a stored tensor.
 *
 * The chunks are read in order, and the remaining bytes are written back a
 * chunk at a time, so only two chunks are in memory.  All chunks are
 * rewritten, because each checksum covers the number of rows.
 */
#include "pg/store/cut.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

/* The remaining bytes on their way back. */
typedef struct Remainder
{
	ModelRow   *model;
	const char *name;
	TensorShape shape;
	SPIPlanPtr	update;
	bytea	   *chunk;
	Size		len;			/* number of bytes in it */
	int32		next;			/* number of the chunk to write next */
} Remainder;

/* Overwrites the chunk of that number with the current one. */
static void
flush(Remainder *r)
{
	uint32		crc = lbrec_chunk_crc(r->model->id, r->name, r->next,
									  &r->shape, VARDATA(r->chunk), r->len);
	Datum		values[6];

	CHECK_FOR_INTERRUPTS();
	SET_VARSIZE(r->chunk, VARHDRSZ + r->len);
	values[0] = Int64GetDatum(r->model->id);
	values[1] = CStringGetTextDatum(r->name);
	values[2] = Int32GetDatum(r->next);
	values[3] = Int64GetDatum(r->shape.rows);
	values[4] = Int64GetDatum((int64) crc);
	values[5] = PointerGetDatum(r->chunk);
	if (SPI_execute_plan(r->update, values, NULL, false, 0) != SPI_OK_UPDATE ||
		SPI_processed != 1)
		elog(ERROR, "could not update lbrec.tensor");
	r->model->checksum += lbrec_chunk_hash(crc, r->next);
	r->next++;
	r->len = 0;
}

static void
add_bytes(Remainder *r, const char *data, Size len)
{
	while (len > 0)
	{
		Size		n = Min(len, TENSOR_CHUNK_BYTES - r->len);

		memcpy(VARDATA(r->chunk) + r->len, data, n);
		r->len += n;
		data += n;
		len -= n;
		if (r->len == TENSOR_CHUNK_BYTES)
			flush(r);
	}
}

/* Deletes the chunks after the last one written. */
static void
drop_rest(const Remainder *r)
{
	Oid			types[] = {INT8OID, TEXTOID, INT4OID};
	Datum		values[] = {Int64GetDatum(r->model->id),
		CStringGetTextDatum(r->name), Int32GetDatum(r->next)};

	if (SPI_execute_with_args("DELETE FROM lbrec.tensor "
							  "WHERE model OPERATOR(pg_catalog.=) $1 "
							  "AND name OPERATOR(pg_catalog.=) $2 "
							  "AND chunk OPERATOR(pg_catalog.>=) $3",
							  3, types, values, NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete from lbrec.tensor");
}

/*
 * Removes rows from a tensor of the given shape, which must have them, and
 * updates the model's checksum in *model; the caller updates lbrec.model.
 * Reads with the active snapshot.  Called within SPI.
 */
void
lbrec_cut_tensor(ModelRow *model, const char *name, const TensorShape *shape,
				 const TensorCut *cut)
{
	Oid			types[] = {INT8OID, TEXTOID, INT4OID, INT8OID, INT8OID,
		BYTEAOID};
	TensorShape rows = *shape;
	Size		size = lbrec_tensor_size(shape);
	Size		from;
	Size		until;
	char	   *data = palloc(TENSOR_CHUNK_BYTES);
	Size		done = 0;
	int32		chunk = 0;
	Remainder	r = {.model = model, .name = name, .shape = *shape};

	rows.rows = cut->at;
	from = lbrec_tensor_size(&rows);
	rows.rows = cut->at + cut->rows;
	until = lbrec_tensor_size(&rows);
	Assert(until <= size);
	Assert(cut->less == 0 || shape->type == TENSOR_INT8);
	r.shape.rows -= cut->rows;
	r.chunk = palloc(VARHDRSZ + TENSOR_CHUNK_BYTES);
	r.update = SPI_prepare("UPDATE lbrec.tensor "
						   "SET rows = $4, crc32c = $5, data = $6 "
						   "WHERE model OPERATOR(pg_catalog.=) $1 "
						   "AND name OPERATOR(pg_catalog.=) $2 "
						   "AND chunk OPERATOR(pg_catalog.=) $3",
						   6, types);
	if (r.update == NULL)
		elog(ERROR, "could not prepare the update of lbrec.tensor");
	do
	{
		Size		len = lbrec_load_chunk(model, name, shape, chunk, data);
		Size		before = Min(Max(from, done) - done, len);
		Size		behind = Min(Max(until, done) - done, len);

		model->checksum -=
			lbrec_chunk_hash(lbrec_chunk_crc(model->id, name, chunk, shape,
											 data, len), chunk);
		for (Size at = behind; cut->less != 0 && at < len; at += sizeof(int64))
		{
			int64		value;

			memcpy(&value, data + at, sizeof(value));
			value -= cut->less;
			memcpy(data + at, &value, sizeof(value));
		}
		add_bytes(&r, data, before);
		add_bytes(&r, data + behind, len - behind);
		done += len;
		chunk++;
	} while (done < size);
	/* an empty tensor has one chunk, too */
	if (r.len > 0 || r.next == 0)
		flush(&r);
	if (r.next < chunk)
		drop_rest(&r);
	SPI_freeplan(r.update);
	pfree(r.chunk);
	pfree(data);
}
