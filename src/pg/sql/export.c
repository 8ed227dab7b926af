/*
 * export.c
 *		lbrec_export(): returns a version of a model as rows (records.h).
 *
 * Chunks are read, checked and returned one at a time; a damaged model is not
 * exported.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/model/validate.h"
#include "pg/server/srf.h"
#include "pg/store/records.h"
#include "pg/store/tensors.h"
#include "pg/store/versions.h"

PG_FUNCTION_INFO_V1(lbrec_export);

typedef struct Export
{
	RowSink		sink;
	ModelRow	row;
	int64		seq;
	pg_crc32c	crc;			/* checksum over the records' checksums */
	int			tensor;
	char	   *name;			/* name of the current tensor */
} Export;

/* Returns one record: a header and its data. */
static void
put_record(Export *export, RecordKind kind, const void *head, Size head_len,
		   const char *data, Size len)
{
	Size		size = sizeof(RecordHeader) + head_len + len;
	bytea	   *record = palloc(VARHDRSZ + size);
	char	   *p = VARDATA(record);
	RecordHeader h;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	SET_VARSIZE(record, VARHDRSZ + size);
	/* A bytea's content is aligned for an int, the header needs an int64. */
	memset(&h, 0, sizeof(h));
	memcpy(h.magic, RECORD_MAGIC, sizeof(h.magic));
	h.byte_order = BYTE_ORDER_MARK;
	h.version = FORMAT_VERSION;
	h.seq = export->seq;
	h.kind = kind;
	memcpy(p, &h, sizeof(h));
	if (head_len > 0)
		memcpy(p + sizeof(h), head, head_len);
	if (len > 0)
		memcpy(p + sizeof(h) + head_len, data, len);
	h.crc = lbrec_record_crc(p, size);
	memcpy(p, &h, sizeof(h));
	COMP_CRC32C(export->crc, &h.crc, sizeof(h.crc));
	values[0] = Int64GetDatum(export->seq++);
	values[1] = PointerGetDatum(record);
	lbrec_put_row(&export->sink, values, nulls);
	pfree(record);
}

static void
damaged_model(const char *tensor, int32 chunk, const char *problem, void *arg)
{
	lbrec_damaged(&((Export *) arg)->row, tensor, Max(chunk, 0), problem);
}

static void
put_chunk(const char *name, const TensorShape *shape, int32 chunk,
		  const char *data, Size len, void *arg)
{
	Export	   *export = arg;
	ChunkPlace	place = {.chunk = chunk};

	if (export->name == NULL || strcmp(export->name, name) != 0)
	{
		export->tensor++;
		/* must outlive the chunk */
		export->name = MemoryContextStrdup(GetMemoryChunkContext(export),
										   name);
	}
	place.tensor = export->tensor;
	put_record(export, RECORD_CHUNK, &place, sizeof(place), data, len);
}

static char *
manifest_of(const ModelRow *row)
{
	Oid			types[] = {INT8OID, INT4OID, TEXTOID, TEXTOID};
	Datum		values[] = {Int64GetDatum(row->id),
		Int32GetDatum(FORMAT_VERSION), CStringGetTextDatum(LBREC_VERSION),
	CStringGetTextDatum(GetDatabaseEncodingName())};

	if (SPI_execute_with_args("SELECT pg_catalog.jsonb_build_object("
							  "'format', $2, 'lbrec', $3, 'encoding', $4, "
							  "'name', m.name, 'version', m.version, "
							  "'created', m.created, 'comment', m.comment, "
							  "'query', m.query, 'config', m.config, "
							  "'n_listens', m.n_listens, 'n_users', m.n_users, "
							  "'n_recordings', m.n_recordings, "
							  "'tensors', (SELECT COALESCE(pg_catalog.jsonb_agg("
							  "pg_catalog.jsonb_build_object('name', t.name, 'type', t.type, 'rows', t.rows, 'cols', t.cols) "
							  "ORDER BY t.name COLLATE pg_catalog.\"C\"), '[]') "
							  "FROM lbrec.tensor AS t WHERE t.model OPERATOR(pg_catalog.=) m.id "
							  "AND t.chunk OPERATOR(pg_catalog.=) 0))::pg_catalog.text "
							  "FROM lbrec.model AS m WHERE m.id OPERATOR(pg_catalog.=) $1",
							  4, types, values, NULL, true, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not read a model's row");
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/*
 * Exports the rows of a query of (place, row) in groups: JSON is read by
 * functions that check for no interrupt, so lbrec_import accepts no long one.
 */
static void
put_rows(Export *export, RecordKind kind, const char *rows)
{
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(export->row.id),
		Int32GetDatum(RECORD_MAX_ROWS)};
	SPITupleTable *table;

	if (SPI_execute_with_args(psprintf("SELECT pg_catalog.jsonb_agg(r.json ORDER BY r.place)::pg_catalog.text "
									   "FROM (%s) AS r (place, json) "
									   "GROUP BY (r.place OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) $2 "
									   "ORDER BY pg_catalog.min(r.place)", rows),
							  2, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a model's measures");
	table = SPI_tuptable;
	for (uint64 i = 0, n = SPI_processed; i < n; i++)
	{
		char	   *json = SPI_getvalue(table->vals[i], table->tupdesc, 1);

		CHECK_FOR_INTERRUPTS();
		put_record(export, kind, NULL, 0, json, strlen(json));
		pfree(json);
	}
	SPI_freetuptable(table);
}

/* Exports the measures of a model's training and of its evaluations. */
static void
put_measures(Export *export)
{
	put_rows(export, RECORD_EPOCHS,
			 "SELECT pg_catalog.row_number() OVER (ORDER BY e.epoch), "
			 "pg_catalog.to_jsonb(e) OPERATOR(pg_catalog.-) 'model'::pg_catalog.text "
			 "FROM lbrec.epoch AS e WHERE e.model OPERATOR(pg_catalog.=) $1");
	put_rows(export, RECORD_EVALUATIONS,
			 "SELECT pg_catalog.row_number() OVER (ORDER BY v.id), "
			 "pg_catalog.to_jsonb(v) OPERATOR(pg_catalog.-) '{id,name,version,model}'::pg_catalog.text[] "
			 "FROM lbrec.evaluation AS v WHERE v.model OPERATOR(pg_catalog.=) $1");
}

static void
find_version(ModelRow *row, const char *name, int32 version)
{
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[] = {CStringGetTextDatum(name), Int32GetDatum(version)};

	if (SPI_execute_with_args("SELECT id, name, version, checksum, n_users, n_recordings "
							  "FROM lbrec.model WHERE name OPERATOR(pg_catalog.=) $1 "
							  "AND version OPERATOR(pg_catalog.=) $2",
							  2, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up a model");
	if (SPI_processed == 0)
		lbrec_no_such_version(name, version);
	lbrec_read_model_row(row, SPI_tuptable, 0);
}

/* lbrec_export(model, version): by default the active version */
Datum
lbrec_export(PG_FUNCTION_ARGS)
{
	Export	   *export = palloc0(sizeof(Export));
	Validator  *validator = palloc(sizeof(Validator));
	EndRecord	end = {0};
	char	   *name;
	char	   *manifest;

	export->sink = lbrec_begin_rows(fcinfo, 2, 2);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null"),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	SPI_connect();
	if (!PG_ARGISNULL(1))
		find_version(&export->row, name, PG_GETARG_INT32(1));
	else if (!lbrec_find_model(&export->row, name))
		lbrec_no_such_model(name);
	INIT_CRC32C(export->crc);
	export->tensor = -1;
	manifest = manifest_of(&export->row);
	put_record(export, RECORD_MANIFEST, NULL, 0, manifest, strlen(manifest));
	put_measures(export);
	lbrec_validate_model(validator, &export->row, damaged_model, export,
						 put_chunk, export);
	end.records = export->seq + 1;
	end.crc = export->crc;
	FIN_CRC32C(end.crc);
	put_record(export, RECORD_END, &end, sizeof(end), NULL, 0);
	SPI_finish();
	return (Datum) 0;
}
