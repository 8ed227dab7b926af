/*
 * write.c
 *		Writes a version's row and its tensors, for training and import.
 *
 * Everything is written in the caller's transaction, with the caller's rights;
 * others see the model after COMMIT.
 */
#include "pg/store/write.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"

#include "pg/store/tensors.h"
#include "pg/store/versions.h"

/* First key of the advisory lock that serialises savers of one name. */
#define LOCK_CLASS 0x6c627265	/* "lbre" */

/*
 * Writes the row of the next version of a name, without the checksum, which is
 * known after the tensors.  *config becomes the row's config in jsonb's text
 * form.  Called within SPI.
 */
void
lbrec_begin_model(TensorWriter *writer, int32 *version, char **config,
				  const NewModel *model)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID,
		INT8OID, BOOLOID, INT4OID, INT4OID};
	Oid			tensor_types[] = {INT8OID, TEXTOID, INT4OID, TEXTOID, INT8OID,
		INT4OID, INT8OID, BYTEAOID};
	Datum		values[9];
	bool		isnull;

	values[0] = CStringGetTextDatum(model->name);
	values[1] = CStringGetTextDatum(model->query);
	values[2] = CStringGetTextDatum(model->config);
	values[3] = Int64GetDatum(model->n_listens);
	values[4] = Int64GetDatum(model->n_users);
	values[5] = Int64GetDatum(model->n_recordings);
	values[6] = BoolGetDatum(model->activate);
	values[7] = Int32GetDatum(LOCK_CLASS);
	values[8] = Int32GetDatum((int32) hash_bytes((const unsigned char *) model->name,
												 strlen(model->name)));

	/*
	 * Two savers of one name would compute the same version, so the second
	 * waits for the first one's transaction.  A separate statement takes the
	 * lock, because the next statement's snapshot must include the first
	 * saver's commit.
	 */
	if (SPI_execute_with_args("SELECT pg_catalog.pg_advisory_xact_lock($8, $9)",
							  9, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock the name of a model");
	if (SPI_execute_with_args(
							  "INSERT INTO lbrec.model (name, version, activation, query, config,"
							  " n_listens, n_users, n_recordings, checksum) "
							  "SELECT $1, 1 OPERATOR(pg_catalog.+) COALESCE(pg_catalog.max(m.version), 0), "
							  "CASE WHEN $7 THEN " NEXT_ACTIVATION " ELSE 0 END, "
							  "$2, $3::pg_catalog.jsonb, $4, $5, $6, 0 "
							  "FROM lbrec.model AS m WHERE m.name OPERATOR(pg_catalog.=) $1 "
							  "RETURNING id, config, version",
							  9, types, values, NULL, false, 1) != SPI_OK_INSERT_RETURNING ||
		SPI_processed != 1)
		elog(ERROR, "could not insert into lbrec.model");
	memset(writer, 0, sizeof(TensorWriter));
	writer->id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
											 SPI_tuptable->tupdesc, 1,
											 &isnull));
	*config = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	*version = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
										   SPI_tuptable->tupdesc, 3,
										   &isnull));
	if (model->activate)
		lbrec_settle_default(model->name, model->make_default);
	writer->insert = SPI_prepare("INSERT INTO lbrec.tensor (model, name, chunk,"
								 " type, rows, cols, crc32c, data) "
								 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
								 8, tensor_types);
	if (writer->insert == NULL)
		elog(ERROR, "could not prepare the insertion into lbrec.tensor");
}

void
lbrec_write_chunk(TensorWriter *writer, const char *name,
				  const TensorShape *shape, int32 chunk, const char *data,
				  Size len)
{
	bytea	   *piece = palloc(VARHDRSZ + len);
	uint32		crc;
	Datum		values[8];

	CHECK_FOR_INTERRUPTS();
	SET_VARSIZE(piece, VARHDRSZ + len);
	memcpy(VARDATA(piece), data, len);
	crc = lbrec_chunk_crc(writer->id, name, chunk, shape, VARDATA(piece),
						  len);
	values[0] = Int64GetDatum(writer->id);
	values[1] = CStringGetTextDatum(name);
	values[2] = Int32GetDatum(chunk);
	values[3] = CStringGetTextDatum(lbrec_tensor_type_name(shape->type));
	values[4] = Int64GetDatum(shape->rows);
	values[5] = Int32GetDatum(shape->cols);
	values[6] = Int64GetDatum((int64) crc);
	values[7] = PointerGetDatum(piece);
	if (SPI_execute_plan(writer->insert, values, NULL, false, 0) !=
		SPI_OK_INSERT)
		elog(ERROR, "could not insert into lbrec.tensor");
	writer->checksum += lbrec_chunk_hash(crc, chunk);
	pfree(piece);
}

void
lbrec_end_model(const TensorWriter *writer)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(writer->id),
		Int64GetDatum((int64) writer->checksum)};

	if (SPI_execute_with_args("UPDATE lbrec.model SET checksum = $2 "
							  "WHERE id OPERATOR(pg_catalog.=) $1",
							  2, types, values, NULL, false, 0) != SPI_OK_UPDATE ||
		SPI_processed != 1)
		elog(ERROR, "could not update lbrec.model");
}
