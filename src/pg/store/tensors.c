/*
 * tensors.c
 *		Reads models, and knows how a tensor is stored.
 *
 * A tensor is stored in chunks of TENSOR_CHUNK_BYTES, far from the 1 GB limit
 * of a field and without compression: trained weights do not compress.  Each
 * chunk's checksum covers the model, the name, the place and the shape too, so
 * a valid chunk in the wrong place is detected.
 */
#include "pg/store/tensors.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"

#include "core/model/lb_tower.h"

#include "pg/store/versions.h"

#ifdef WORDS_BIGENDIAN
#error "tensors are stored in little-endian order"
#endif

static const struct
{
	const char *name;
	int			size;
}			tensor_types[] = {
	[TENSOR_FLOAT4] = {"float4", 4},
	[TENSOR_INT4] = {"int4", 4},
	[TENSOR_INT8] = {"int8", 8},
	[TENSOR_UUID] = {"uuid", UUID_LEN},
	[TENSOR_BYTES] = {"bytes", 1},
};

const char *
lbrec_tensor_type_name(TensorType type)
{
	return tensor_types[type].name;
}

/* Finds the type of that name; false if there is none. */
bool
lbrec_tensor_type(const char *name, TensorType *type)
{
	for (int i = 0; i < lengthof(tensor_types); i++)
		if (strcmp(tensor_types[i].name, name) == 0)
		{
			*type = i;
			return true;
		}
	return false;
}

/*
 * True if the product of these sizes, which may be forged, does not overflow.
 */
bool
lbrec_shape_in_range(const TensorShape *shape)
{
	return shape->rows >= 0 && shape->cols >= 1 &&
		shape->rows <= (int64) PG_INT32_MAX * 64 &&
		shape->cols <= LB_MAX_LAYER_WIDTH &&
		lbrec_tensor_size(shape) / TENSOR_CHUNK_BYTES < PG_INT32_MAX;
}

Size
lbrec_tensor_size(const TensorShape *shape)
{
	return (Size) shape->rows * shape->cols * tensor_types[shape->type].size;
}

uint32
lbrec_chunk_crc(int64 model, const char *name, int32 chunk,
				const TensorShape *shape, const char *data, Size len)
{
	pg_crc32c	crc;
	int64		numbers[5] = {model, chunk, shape->type, shape->rows,
		shape->cols};

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, numbers, sizeof(numbers));
	COMP_CRC32C(crc, name, strlen(name));
	COMP_CRC32C(crc, data, len);
	FIN_CRC32C(crc);
	return crc;
}

/*
 * Returns a chunk's summand in its model's checksum, which is the sum over all
 * chunks, modulo 2^64.  The chunk's own checksum covers its tensor's name.
 */
uint64
lbrec_chunk_hash(uint32 crc, int32 chunk)
{
	return hash_bytes_uint32_extended(crc, chunk);
}

/*
 * Raises an error if the chunks differ from those saved with the model's row:
 * if one is missing or extra, or was changed together with its own checksum.
 * Called within SPI.
 */
void
lbrec_check_sum(const ModelRow *model)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(model->id)};
	uint64		sum = 0;

	if (SPI_execute_with_args("SELECT chunk, crc32c FROM lbrec.tensor "
							  "WHERE model OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read lbrec.tensor");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		int32		chunk = DatumGetInt32(SPI_getbinval(tuple, desc, 1,
														&isnull));
		int64		crc = DatumGetInt64(SPI_getbinval(tuple, desc, 2,
													  &isnull));

		sum += lbrec_chunk_hash((uint32) crc, chunk);
	}
	SPI_freetuptable(SPI_tuptable);
	if ((int64) sum == model->checksum)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("version %d of model \"%s\" is not what was saved",
					model->version, model->name),
			 errdetail("The checksums of its chunks do not add up to that in lbrec.model."),
			 errhint("Activate another version with lbrec_activate, restore the model from a backup, or train it again.")));
}

/* Runs a query on one tensor's rows with ($1 model, $2 name). */
static void
select_tensor(const char *sql, SPIPlanPtr *plan, int64 model,
			  const char *name, int32 chunk)
{
	Datum		values[3];

	if (*plan == NULL)
	{
		Oid			types[] = {INT8OID, TEXTOID, INT4OID};
		SPIPlanPtr	made = SPI_prepare(sql, 3, types);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the reading of tensors");
		*plan = made;
	}
	values[0] = Int64GetDatum(model);
	values[1] = CStringGetTextDatum(name);
	values[2] = Int32GetDatum(chunk);
	if (SPI_execute_plan(*plan, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read lbrec.tensor");
	pfree(DatumGetPointer(values[1]));
}

/*
 * Reads the shape in a tensor's first chunk; false if there is no such tensor.
 * The chunk is not verified yet, so the last chunk that the shape implies must
 * exist before memory is allocated for it.
 */
bool
lbrec_tensor_shape(const ModelRow *model, const char *name,
				   TensorShape *shape)
{
	static SPIPlanPtr plan = NULL;
	static SPIPlanPtr last_plan = NULL;
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;
	char	   *type;
	Size		last;

	select_tensor("SELECT type, rows, cols FROM lbrec.tensor "
				  "WHERE model OPERATOR(pg_catalog.=) $1 "
				  "AND name OPERATOR(pg_catalog.=) $2 "
				  "AND chunk OPERATOR(pg_catalog.=) $3",
				  &plan, model->id, name, 0);
	if (SPI_processed == 0)
		return false;
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	type = SPI_getvalue(tuple, desc, 1);
	shape->rows = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
	shape->cols = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
	if (!lbrec_tensor_type(type, &shape->type))
		lbrec_damaged(model, name, 0, "Its type is unknown.");
	if (!lbrec_shape_in_range(shape))
		lbrec_damaged(model, name, 0, "Its shape is out of range.");
	SPI_freetuptable(SPI_tuptable);
	last = Max(lbrec_tensor_size(shape), 1);
	last = (last - 1) / TENSOR_CHUNK_BYTES;
	select_tensor("SELECT FROM lbrec.tensor "
				  "WHERE model OPERATOR(pg_catalog.=) $1 "
				  "AND name OPERATOR(pg_catalog.=) $2 "
				  "AND chunk OPERATOR(pg_catalog.=) $3",
				  &last_plan, model->id, name, (int32) last);
	if (SPI_processed == 0)
		lbrec_damaged(model, name, (int32) last, "The chunk is missing.");
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/*
 * Copies one chunk of a tensor of the given shape to out, and verifies its
 * length and checksum.  Returns the length.
 */
Size
lbrec_load_chunk(const ModelRow *model, const char *name,
				 const TensorShape *shape, int32 chunk, char *out)
{
	static SPIPlanPtr plan = NULL;
	Size		len = Min(lbrec_tensor_size(shape) -
						  (Size) chunk * TENSOR_CHUNK_BYTES,
						  TENSOR_CHUNK_BYTES);
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;
	Datum		stored;
	bytea	   *data;
	int64		crc;

	select_tensor("SELECT crc32c, data FROM lbrec.tensor "
				  "WHERE model OPERATOR(pg_catalog.=) $1 "
				  "AND name OPERATOR(pg_catalog.=) $2 "
				  "AND chunk OPERATOR(pg_catalog.=) $3",
				  &plan, model->id, name, chunk);
	if (SPI_processed != 1)
		lbrec_damaged(model, name, chunk, "The chunk is missing.");
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	crc = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	stored = SPI_getbinval(tuple, desc, 2, &isnull);
	data = DatumGetByteaPP(stored);
	if (VARSIZE_ANY_EXHDR(data) != len)
		lbrec_damaged(model, name, chunk,
					  psprintf("It has %zu bytes instead of %zu.",
							   (size_t) VARSIZE_ANY_EXHDR(data), (size_t) len));
	if (crc != (int64) lbrec_chunk_crc(model->id, name, chunk, shape,
									   VARDATA_ANY(data), len))
		lbrec_damaged(model, name, chunk, "Its checksum does not match.");
	memcpy(out, VARDATA_ANY(data), len);
	/* a detoasted copy is not freed with SPI's memory, so free it here */
	if (data != (bytea *) DatumGetPointer(stored))
		pfree(data);
	SPI_freetuptable(SPI_tuptable);
	return len;
}

/*
 * Copies a tensor of the given shape to out, lbrec_tensor_size() bytes; visit,
 * unless NULL, gets each chunk.
 */
void
lbrec_load_tensor(const ModelRow *model, const char *name,
				  const TensorShape *shape, char *out, ChunkVisitor visit,
				  void *arg)
{
	Size		size = lbrec_tensor_size(shape);
	Size		done = 0;
	int32		chunk = 0;

	do
	{
		Size		len;

		CHECK_FOR_INTERRUPTS();
		len = lbrec_load_chunk(model, name, shape, chunk, out + done);
		if (visit)
			visit(name, shape, chunk, out + done, len, arg);
		done += len;
		chunk++;
	} while (done < size);
}
