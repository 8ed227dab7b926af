/*
 * import.c
 *		lbrec_import(): makes a model of the rows of lbrec_export (records.h).
 *
 * Imported records are untrusted.  No memory is allocated for a size stated in
 * a record before the bytes are there, chunks are written as they come, and
 * the first wrong record is an error, which rolls all writes back.  A checksum
 * is no signature: anybody can compute one, so at the end the model must pass
 * lbrec_check's tests.
 */
#include "pg/server/lbrec.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "pg/image/image.h"
#include "pg/image/ready.h"
#include "pg/listens/query.h"
#include "pg/model/validate.h"
#include "pg/server/declaration.h"
#include "pg/store/records.h"
#include "pg/store/tensors.h"
#include "pg/store/versions.h"
#include "pg/store/write.h"
#include "pg/train/warm.h"

PG_FUNCTION_INFO_V1(lbrec_import);

/*
 * PostgreSQL reads JSON without checking for a cancel.  With these limits on
 * bytes and values, that takes a fraction of 100 ms.  A manifest lists some
 * hundred tensors; the text of the query is the longest thing in it.
 */
#define MAX_JSON_BYTES (16 * 1024 * 1024)
#define MAX_JSON_VALUES 100000
#define MAX_TENSORS 10000

typedef struct Incoming
{
	char	   *name;
	TensorShape shape;
} Incoming;

typedef struct Import
{
	int64		seq;			/* number of the current record */
	pg_crc32c	crc;
	char	   *as;				/* the requested name, or NULL */
	bool		activate;
	bool		ended;
	ModelRow	row;
	TensorWriter writer;
	Validator	validator;
	int			n_tensors;
	Incoming   *tensors;
	int			tensor;			/* place of the next chunk */
	int32		chunk;
} Import;

static void
bad_record(const Import *import, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("row %lld of the model to import cannot be used",
					(long long) import->seq),
			 errdetail("%s", detail),
			 errhint("Export the model again, or copy the file again.")));
}

static void
in_record(void *arg)
{
	errcontext("row %lld of the model to import",
			   (long long) ((Import *) arg)->seq);
}

/* Checks a record's header. Returns its data and its kind. */
static const char *
open_record(Import *import, const char *record, Size len, RecordKind *kind)
{
	RecordHeader h;

	if (len < sizeof(h))
		bad_record(import, psprintf("It has %zu bytes, less than its header.",
									(size_t) len));
	memcpy(&h, record, sizeof(h));
	if (memcmp(h.magic, RECORD_MAGIC, sizeof(h.magic)) != 0)
		bad_record(import, "It does not begin as a row of lbrec_export does.");
	if (h.byte_order == OTHER_BYTE_ORDER)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the model to import was written in another byte order"),
				 errdetail("Rows of lbrec_export are little-endian."),
				 errhint("Convert it with the program that wrote it.")));
	if (h.byte_order != BYTE_ORDER_MARK)
		bad_record(import, "Its byte order mark is damaged.");
	if (h.version != FORMAT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the model to import has format version %u",
						h.version),
				 errdetail("This is lbrec %s, which reads version %d.",
						   LBREC_VERSION, FORMAT_VERSION),
				 errhint("Import it where a newer lbrec is installed, or export it with this one.")));
	if (h.crc != lbrec_record_crc(record, len))
		bad_record(import, "Its checksum does not match.");
	if (h.seq != import->seq)
		bad_record(import, psprintf("It is row %lld: rows are missing, doubled or out of order.",
									(long long) h.seq));
	*kind = h.kind;
	if (h.kind != RECORD_END)
		COMP_CRC32C(import->crc, &h.crc, sizeof(h.crc));
	return record + sizeof(h);
}

/* Returns a value of the last query's first row, which must not be null. */
static char *
needed(const Import *import, int column, const char *what)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, column);

	if (value == NULL)
		bad_record(import, psprintf("It does not tell the model's %s.", what));
	return value;
}

/* Does what pg_strtoint64() does, which PostgreSQL 14 lacks. */
static int64
to_int8(const char *text)
{
	return DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
}

/* Checks a JSON text of len bytes before PostgreSQL reads it. */
static void
check_json(const Import *import, const char *data, Size len)
{
	bool		in_string = false;
	int			values = 0;

	for (Size i = 0; i < len; i++)
	{
		char		c = data[i];

		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string &&
				 (c == ',' || c == ':' || c == '[' || c == '{') &&
				 ++values > MAX_JSON_VALUES)
			bad_record(import, psprintf("It has more than %d values.",
										MAX_JSON_VALUES));
	}
	if (len == 0 || !pg_verifymbstr(data, (int) len, true))
		bad_record(import, "It is no text in this database's encoding.");
}

static void
read_tensors(Import *import, Datum manifest)
{
	Oid			types[] = {TEXTOID};
	uint64		n;

	if (SPI_execute_with_args("SELECT t.name, t.type, t.rows, t.cols "
							  "FROM pg_catalog.jsonb_to_recordset($1::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'tensors') "
							  "AS t (name pg_catalog.text, type pg_catalog.text, "
							  "rows pg_catalog.int8, cols pg_catalog.int4)",
							  1, types, &manifest, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a list of tensors");
	n = SPI_processed;
	if (n < 1 || n > MAX_TENSORS)
		bad_record(import, psprintf("It lists %llu tensors.",
									(unsigned long long) n));
	import->n_tensors = (int) n;
	import->tensors = palloc0(n * sizeof(Incoming));
	for (uint64 i = 0; i < n; i++)
	{
		Incoming   *t = &import->tensors[i];
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *type = SPI_getvalue(tuple, desc, 2);
		char	   *rows = SPI_getvalue(tuple, desc, 3);
		char	   *cols = SPI_getvalue(tuple, desc, 4);

		t->name = SPI_getvalue(tuple, desc, 1);
		if (t->name == NULL || type == NULL || rows == NULL || cols == NULL ||
			!lbrec_tensor_type(type, &t->shape.type))
			bad_record(import, psprintf("Tensor %llu has no name, or no known type or shape.",
										(unsigned long long) i));
		t->shape.rows = to_int8(rows);
		t->shape.cols = pg_strtoint32(cols);
		if (!lbrec_shape_in_range(&t->shape))
			bad_record(import, psprintf("Tensor \"%s\" is %s x %s, which is out of range.",
										t->name, rows, cols));
		if (i > 0 && strcmp(t[-1].name, t->name) >= 0)
			bad_record(import, psprintf("Tensor \"%s\" is out of order.",
										t->name));
	}
}

static void
bad_tensor(const char *tensor, int32 chunk, const char *problem, void *arg)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("tensor \"%s\" of the model to import cannot be used",
					tensor),
			 errdetail("%s", problem),
			 errhint("Run lbrec_check in the source database, then export again.")));
}

static void
read_manifest(Import *import, const char *data, Size len)
{
	Oid			types[] = {TEXTOID};
	Oid			text_types[] = {INT8OID, TEXTOID};
	Datum		manifest;
	Datum		values[2];
	NewModel	model = {.activate = import->activate};
	char	   *comment;
	char	   *encoding;
	char	   *config;

	check_json(import, data, len);
	manifest = PointerGetDatum(cstring_to_text_with_len(data, (int) len));
	if (SPI_execute_with_args("SELECT m.j OPERATOR(pg_catalog.->>) 'encoding', "
							  "m.j OPERATOR(pg_catalog.->>) 'name', m.j OPERATOR(pg_catalog.->>) 'query', "
							  "m.j OPERATOR(pg_catalog.->>) 'config', m.j OPERATOR(pg_catalog.->>) 'comment', "
							  "(m.j OPERATOR(pg_catalog.->>) 'n_listens')::pg_catalog.int8, "
							  "(m.j OPERATOR(pg_catalog.->>) 'n_users')::pg_catalog.int8, "
							  "(m.j OPERATOR(pg_catalog.->>) 'n_recordings')::pg_catalog.int8 "
							  "FROM (SELECT $1::pg_catalog.jsonb AS j) AS m",
							  1, types, &manifest, NULL, true, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not read a manifest");
	encoding = needed(import, 1, "encoding");
	if (strcmp(encoding, GetDatabaseEncodingName()) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the model to import has texts in encoding \"%s\"",
						encoding),
				 errdetail("This database has encoding \"%s\".",
						   GetDatabaseEncodingName()),
				 errhint("Import it into a database of its own encoding.")));
	model.name = import->as ? import->as : needed(import, 2, "name");
	lbrec_check_name(model.name);
	model.query = needed(import, 3, "query");
	model.config = needed(import, 4, "config");
	comment = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 5);
	model.n_listens = to_int8(needed(import, 6, "number of listens"));
	model.n_users = to_int8(needed(import, 7, "number of users"));
	model.n_recordings = to_int8(needed(import, 8, "number of recordings"));
	read_tensors(import, manifest);

	lbrec_begin_model(&import->writer, &import->row.version, &config, &model);
	import->row.id = import->writer.id;
	strlcpy(import->row.name, model.name, sizeof(import->row.name));
	import->row.n_users = model.n_users;
	import->row.n_recordings = model.n_recordings;
	lbrec_validator_init(&import->validator, config, model.n_users,
						 model.n_recordings, bad_tensor, NULL);
	import->validator.passes_over = true;
	values[0] = Int64GetDatum(import->row.id);
	if (comment)
	{
		values[1] = CStringGetTextDatum(comment);
		if (SPI_execute_with_args("UPDATE lbrec.model SET comment = $2 "
								  "WHERE id OPERATOR(pg_catalog.=) $1",
								  2, text_types, values, NULL, false,
								  0) != SPI_OK_UPDATE)
			elog(ERROR, "could not update lbrec.model");
	}
}

/* Inserts a JSON array of rows; $1 is the model. */
static const char *const insert_rows[] = {
	[RECORD_EPOCHS] =
		"INSERT INTO lbrec.epoch (model, epoch, loss, test_loss,"
		" top_1, top_5, top_10, top_50, top_100, recall_20,"
		" ndcg_20, ndcg_100, mrr, seconds, listens_per_second) "
		"SELECT $1, epoch, loss, test_loss, top_1, top_5, top_10, top_50, top_100, "
		"recall_20, ndcg_20, ndcg_100, mrr, seconds, listens_per_second "
		"FROM pg_catalog.jsonb_populate_recordset(NULL::lbrec.epoch, "
		"$2::pg_catalog.jsonb)",
		[RECORD_EVALUATIONS] =
		"INSERT INTO lbrec.evaluation (name, version, model, kind, measured, listens,"
		" split, first_listen, last_listen, recommender, k, top_k_accuracy, ndcg, mrr,"
		" new_recall, new_ndcg, coverage, mean_popularity, listens_evaluated,"
		" unknown_recordings, users_evaluated) "
		"SELECT m.name, m.version, m.id, v.kind, v.measured, v.listens, v.split,"
		" v.first_listen, v.last_listen, v.recommender, v.k, v.top_k_accuracy, v.ndcg,"
		" v.mrr, v.new_recall, v.new_ndcg, v.coverage, v.mean_popularity,"
		" v.listens_evaluated, v.unknown_recordings, v.users_evaluated "
		"FROM lbrec.model AS m, "
		"pg_catalog.jsonb_populate_recordset(NULL::lbrec.evaluation, "
		"$2::pg_catalog.jsonb) AS v "
		"WHERE m.id OPERATOR(pg_catalog.=) $1"
	};

/* Inserts the measures of the training, or of evaluations. */
static void
take_rows(const Import *import, RecordKind kind, const char *data, Size len)
{
	Oid			types[] = {INT8OID, TEXTOID};
	Datum		values[2];

	if (import->tensor > 0 || import->chunk > 0)
		bad_record(import, "Measures stand before the tensors.");
	check_json(import, data, len);
	values[0] = Int64GetDatum(import->row.id);
	values[1] = PointerGetDatum(cstring_to_text_with_len(data, (int) len));
	if (SPI_execute_with_args(insert_rows[kind], 2, types, values, NULL,
							  false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert a model's measures");
}

static void
take_chunk(Import *import, const char *data, Size len)
{
	const Incoming *t;
	ChunkPlace	place;
	Size		size;
	Size		done;

	if (len < sizeof(place))
		bad_record(import, "It is too short to hold a part of a tensor.");
	memcpy(&place, data, sizeof(place));
	data += sizeof(place);
	len -= sizeof(place);
	if (import->tensor >= import->n_tensors)
		bad_record(import, "All tensors were there before it.");
	t = &import->tensors[import->tensor];
	if (place.tensor != import->tensor || place.chunk != import->chunk)
		bad_record(import, psprintf("It is chunk %u of tensor %u, where chunk %d of tensor %d (\"%s\") is due.",
									place.chunk, place.tensor, import->chunk,
									import->tensor, t->name));
	size = lbrec_tensor_size(&t->shape);
	done = (Size) import->chunk * TENSOR_CHUNK_BYTES;
	if (len != Min(size - done, TENSOR_CHUNK_BYTES))
		bad_record(import, psprintf("It has %zu bytes of \"%s\" instead of %zu.",
									(size_t) len, t->name,
									(size_t) Min(size - done, TENSOR_CHUNK_BYTES)));
	/* ignores fields that a later version may have added */
	if (lbrec_validate_chunk(&import->validator, t->name, &t->shape,
							 import->chunk, data, len))
		lbrec_write_chunk(&import->writer, t->name, &t->shape, import->chunk,
						  data, len);
	import->chunk++;
	if (done + len >= size)
	{
		import->tensor++;
		import->chunk = 0;
	}
}

static void
take_end(Import *import, const char *data, Size len)
{
	EndRecord	end;

	if (len != sizeof(end))
		bad_record(import, "It is the last row, but has another length than that.");
	memcpy(&end, data, sizeof(end));
	FIN_CRC32C(import->crc);
	if (import->tensor < import->n_tensors)
		bad_record(import, psprintf("It is the last row, but tensor \"%s\" is not complete.",
									import->tensors[import->tensor].name));
	if (end.records != import->seq + 1 || end.crc != import->crc ||
		end.zero != 0)
		bad_record(import, "It does not belong to the rows before it.");
	import->ended = true;
}

static void
take_record(Import *import, Datum datum)
{
	Size		len = toast_raw_datum_size(datum) - VARHDRSZ;
	Size		most = import->seq == 0 ? MAX_JSON_BYTES :
	TENSOR_CHUNK_BYTES + sizeof(RecordHeader) + sizeof(ChunkPlace);
	const char *record;
	RecordKind	kind;
	const char *data;

	if (import->ended)
		bad_record(import, "The row before it was the last one.");
	/* before it is brought into memory */
	if (len > most)
		bad_record(import, psprintf("It has %zu bytes; %zu are the most that it can have.",
									(size_t) len, (size_t) most));
	record = VARDATA_ANY(DatumGetByteaPP(datum));
	data = open_record(import, record, len, &kind);
	len -= sizeof(RecordHeader);
	if ((kind == RECORD_MANIFEST) != (import->seq == 0))
		bad_record(import, "The first row, and no other, tells what follows.");
	if (kind == RECORD_MANIFEST)
		read_manifest(import, data, len);
	else if (kind == RECORD_EPOCHS || kind == RECORD_EVALUATIONS)
		take_rows(import, kind, data, len);
	else if (kind == RECORD_CHUNK)
		take_chunk(import, data, len);
	else if (kind == RECORD_END)
		take_end(import, data, len);
	else
		bad_record(import, psprintf("It is of unknown kind %u.", kind));
}

/* Opens a cursor on the rows, in order; the caller's query may only read. */
static Portal
open_rows(const char *rows)
{
	SPIPlanPtr	plan;
	Portal		portal;

	plan = SPI_prepare_cursor(psprintf("SELECT r.chunk FROM (%s\n) AS r ORDER BY r.seq",
									   lbrec_listens_query(rows, "rows")),
							  0, NULL, CURSOR_OPT_NO_SCROLL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be one query that only reads", "rows"),
				 errdetail("Its result is read; several statements, or one that modifies data, cannot be."),
				 errhint("Give the name of a table, or a single SELECT.")));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	if (TupleDescAttr(portal->tupDesc, 0)->atttypid != BYTEAOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"chunk\" of the rows to import is not of type bytea"),
				 errdetail("Rows are (seq bigint, chunk bytea), as lbrec_export gives them."),
				 errhint("Copy the file into a table with these columns.")));
	return portal;
}

/*
 * lbrec_import(rows, model, activate): makes a new version of the name in the
 * rows, or of another; returns its number.
 */
Datum
lbrec_import(PG_FUNCTION_ARGS)
{
	Import		import = {0};
	MemoryContext each;
	ErrorContextCallback context = {.callback = in_record, .arg = &import};
	bool		was_read_only = XactReadOnly;
	Portal		portal;

	lbrec_check_declaration(fcinfo, 3, 0);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "rows"),
				 errhint("Give the name of a table with the rows of lbrec_export.")));
	PreventCommandIfReadOnly("lbrec_import()");
	PreventCommandIfParallelMode("lbrec_import()");
	import.as = PG_ARGISNULL(1) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	import.activate = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	if (import.as)
		lbrec_check_name(import.as);
	INIT_CRC32C(import.crc);
	SPI_connect();
	each = AllocSetContextCreate(CurrentMemoryContext, "lbrec import",
								 ALLOCSET_DEFAULT_SIZES);
	portal = open_rows(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	for (;;)
	{
		SPITupleTable *rows;
		MemoryContext old;
		Datum		record;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		/* an error restores this with the (sub)transaction */
		XactReadOnly = true;
		SPI_cursor_fetch(portal, true, 1);
		XactReadOnly = was_read_only;
		if (SPI_processed == 0)
			break;
		rows = SPI_tuptable;
		record = SPI_getbinval(rows->vals[0], rows->tupdesc, 1, &isnull);
		if (isnull)
			bad_record(&import, "It is null.");
		/* the header of the first row is needed to the end */
		old = import.seq == 0 ? CurrentMemoryContext :
			MemoryContextSwitchTo(each);
		context.previous = error_context_stack;
		error_context_stack = &context;
		take_record(&import, record);
		error_context_stack = context.previous;
		MemoryContextSwitchTo(old);
		MemoryContextReset(each);
		SPI_freetuptable(rows);
		import.seq++;
	}
	SPI_cursor_close(portal);
	if (!import.ended)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the model to import ends after %lld rows",
						(long long) import.seq),
				 errdetail("The last row, which ends every export, is missing."),
				 errhint("Copy the whole file.")));
	lbrec_end_model(&import.writer);

	/* make this statement's rows visible */
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	lbrec_validator_end(&import.validator);
	lbrec_validate_rows(&import.validator, &import.row);
	import.row.checksum = (int64) import.writer.checksum;
	lbrec_check_image(&import.row);
	lbrec_check_warm(&import.row);
	PopActiveSnapshot();
	SPI_finish();
	if (import.activate)
		lbrec_prepare_image(import.row.name);
	PG_RETURN_INT32(import.row.version);
}
