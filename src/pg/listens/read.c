/*
 * read.c
 *		Reads the listens of a query through a cursor.
 *
 * The query runs once, with the caller's rights, in batches of FETCH_ROWS rows
 * whose memory is freed after each batch.  It leaves the vocabularies and 16
 * bytes a listen, in a file if they exceed lbrec.spool_mem.  The cursor is
 * closed before training begins, but the calling statement keeps its snapshot,
 * so a long training holds back vacuum as any long statement does.
 *
 * The executor passes each row to our own receiver, which reads the keys from
 * the slot: SPI's receiver would form a tuple of every row, which we would
 * have to deform again.  The receiver runs under the portal's resource owner,
 * so it must not create resources that outlive a batch; rows are numbered
 * between batches.
 *
 * Looking up keys takes most of the remaining time, mostly waiting for memory,
 * so slots and then keys are prefetched.
 *
 * The transaction is read-only while the query runs, so that training on a
 * query cannot write.
 */
#include "pg/listens/read.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "port/pg_bitutils.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"

#include "pg/listens/dataset.h"
#include "pg/listens/feature_codes.h"
#include "pg/listens/features.h"
#include "pg/listens/items.h"
#include "pg/listens/order.h"
#include "pg/listens/query.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/server/progress.h"
#include "pg/server/time.h"

/* Small enough that a batch stays in the processor's cache. */
#define FETCH_ROWS 1024

/* Rows to prefetch ahead, for slots and for keys. */
#define SLOT_AHEAD 24
#define KEY_AHEAD 12

/* The columns that every query of listens must have, and how to read them. */
typedef struct ListenColumns
{
	int			user;
	int			time;
	int			recording;
	Oid			user_type;
	Oid			time_type;
} ListenColumns;

static int
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("the query of listens has no column \"%s\"", name),
			 errdetail(LBREC_LISTEN_COLUMNS),
			 errhint("Rename a column with AS, for example SELECT account AS user_id.")));
	return -1;					/* keep compiler quiet */
}

static void
wrong_type(TupleDesc desc, int column, const char *expected, const char *hint)
{
	Form_pg_attribute att = TupleDescAttr(desc, column);

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of the query of listens has type %s",
					NameStr(att->attname), format_type_be(att->atttypid)),
			 errdetail("Expected is %s.", expected),
			 errhint("%s", hint)));
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
		wrong_type(desc, c.user, "bigint, integer or smallint",
				   "Cast the column in the query, or number the users in a table of their own.");
	if (c.time_type != TIMESTAMPTZOID && c.time_type != TIMESTAMPOID &&
		!is_integer(c.time_type))
		wrong_type(desc, c.time, "timestamp with time zone, timestamp, or an integer of seconds since 1970",
				   "Cast the column in the query.");
	if (getBaseType(TupleDescAttr(desc, c.recording)->atttypid) != UUIDOID)
		wrong_type(desc, c.recording, "uuid", LBREC_UUID_HINT);
	return c;
}

static void
null_value(int64 row, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("column \"%s\" of the query of listens is null in row %lld",
					column, (long long) row),
			 errdetail("A listen needs its user, its time and its recording."),
			 errhint("Filter such rows out, for example WHERE %s IS NOT NULL.",
					 column)));
}

static int64
time_value(int64 row, Datum value, Oid type)
{
	int64		t;

	if (is_integer(type))
	{
		if (!lbrec_seconds_time(&t, integer_value(value, type)))
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("column \"listened_at\" of the query of listens is out of range in row %lld",
							(long long) row),
					 errdetail("It is %lld; an integer is read as seconds since 1970, up to the year 9999.",
							   (long long) integer_value(value, type)),
					 errhint("Divide it by 1000 in the query if it counts milliseconds.")));
		return t;
	}
	t = DatumGetTimestampTz(value);
	if (TIMESTAMP_NOT_FINITE(t))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("column \"listened_at\" of the query of listens is infinite in row %lld",
						(long long) row),
				 errdetail("Times are inputs of the model, so they must be finite."),
				 errhint("Filter such rows out, for example WHERE isfinite(listened_at).")));
	t = lbrec_unix_time(t);
	if (t > LBREC_LAST_TIME)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("column \"listened_at\" of the query of listens is out of range in row %lld",
						(long long) row),
				 errdetail("It is %s; times may reach to the year 9999.",
						   timestamptz_to_str(lbrec_timestamp(t))),
				 errhint("to_timestamp() takes seconds: divide milliseconds by 1000.")));
	return t;
}

/* The keys of a row before they are numbered. */
typedef struct RowKeys
{
	int64		user;
	int64		time;
	pg_uuid_t	recording;
	uint32		user_hash;
	uint32		recording_hash;
} RowKeys;

/* A further column's values in a batch, and how to copy them. */
typedef struct FeatureColumn
{
	int			attno;
	bool		byval;
	int16		length;
	Datum	   *values;			/* (FETCH_ROWS) */
	bool	   *nulls;			/* (FETCH_ROWS) */
} FeatureColumn;

typedef struct Reader
{
	DestReceiver dest;			/* must be first: the executor knows only this */
	Dataset    *data;
	ListenColumns columns;
	int			n_columns;		/* number of leading columns that are read */
	int			n_features;		/* of listens: they come before those of items */
	FeatureColumn features[MAX_FEATURES];
	int64		until;			/* listens after this are skipped */
	int64		since;			/* earlier listens are passed over */
	int			n;				/* rows in the batch */
	RowKeys    *keys;			/* (FETCH_ROWS) */
	Listen	   *listens;		/* (FETCH_ROWS) */
	MemoryContext batch;		/* holds values of further columns */
	MemoryContext context;		/* holds value_times */
	int64	   *value_times[2]; /* by code of recordings, of users: time of
								 * the listen that gave their values */
	int64		n_value_times[2];
	bool		has_features[2];	/* for recordings, for users */
} Reader;

/*
 * Receives a row from the executor.  Its memory may be a page that is released
 * with the next row, so values other than numbers are copied, but not
 * detoasted: few of them are kept.
 */
static bool
take_row(TupleTableSlot *slot, DestReceiver *self)
{
	Reader	   *reader = (Reader *) self;
	const ListenColumns *c = &reader->columns;
	RowKeys    *row = &reader->keys[reader->n];
	int64		number = reader->data->n_listens + reader->data->n_later +
		reader->data->n_earlier + reader->n + 1;
	const Datum *values;
	const bool *nulls;
	MemoryContext old;

	slot_getsomeattrs(slot, reader->n_columns);
	values = slot->tts_values;
	nulls = slot->tts_isnull;
	if (nulls[c->user])
		null_value(number, "user_id");
	if (nulls[c->time])
		null_value(number, "listened_at");
	if (nulls[c->recording])
		null_value(number, "recording_msid");
	row->user = integer_value(values[c->user], c->user_type);
	row->time = time_value(number, values[c->time], c->time_type);
	if (row->time > reader->until)
	{
		reader->data->n_later++;
		return true;
	}
	if (row->time < reader->since)
	{
		reader->data->n_earlier++;
		return true;
	}
	row->recording = *DatumGetUUIDP(values[c->recording]);
	if (reader->n_features > 0)
	{
		old = MemoryContextSwitchTo(reader->batch);
		for (int i = 0; i < reader->n_features; i++)
		{
			FeatureColumn *f = &reader->features[i];

			f->nulls[reader->n] = nulls[f->attno];
			if (!nulls[f->attno])
				f->values[reader->n] = f->byval ? values[f->attno] :
					datumCopy(values[f->attno], false, f->length);
		}
		MemoryContextSwitchTo(old);
	}
	reader->n++;
	return true;
}

static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
end_rows(DestReceiver *self)
{
}

static void
make_reader(Reader *reader, Dataset *data, TupleDesc desc)
{
	reader->dest.receiveSlot = take_row;
	reader->dest.rStartup = start_rows;
	reader->dest.rShutdown = end_rows;
	reader->dest.rDestroy = end_rows;
	reader->dest.mydest = DestTuplestore;	/* the rows go to no client */
	reader->data = data;
	reader->n_columns = Max(Max(reader->columns.user, reader->columns.time),
							reader->columns.recording) + 1;
	while (reader->n_features < data->n_features &&
		   !data->features[reader->n_features].of_items)
		reader->n_features++;
	for (int i = 0; i < reader->n_features; i++)
	{
		FeatureColumn *f = &reader->features[i];
		Form_pg_attribute att = TupleDescAttr(desc, data->features[i].attno);

		f->attno = data->features[i].attno;
		f->byval = att->attbyval;
		f->length = att->attlen;
		f->values = palloc(FETCH_ROWS * sizeof(Datum));
		f->nulls = palloc(FETCH_ROWS * sizeof(bool));
		reader->n_columns = Max(reader->n_columns, f->attno + 1);
		reader->has_features[data->features[i].of_user] = true;
	}
	reader->context = CurrentMemoryContext;
	reader->n_value_times[0] = data->n_known_recordings + 1;
	reader->n_value_times[1] = data->n_known_users + 1;
	reader->keys = palloc(FETCH_ROWS * sizeof(RowKeys));
	reader->listens = palloc(FETCH_ROWS * sizeof(Listen));
	reader->batch = AllocSetContextCreate(CurrentMemoryContext,
										  "lbrec rows",
										  ALLOCSET_DEFAULT_SIZES);
}

/*
 * Stores the values of row i for a user or a recording if it is their earliest
 * listen so far; at equal times, the smallest known values.  So the order of
 * rows does not matter.
 */
static void
keep_features(Reader *reader, int i, bool of_user, int32 code, int32 known)
{
	Dataset    *data = reader->data;
	int64		time = reader->keys[i].time;
	bool		is_new = code >= reader->n_value_times[of_user];
	int64	   *kept;

	if (code <= known)
		return;
	if (is_new)
	{
		reader->n_value_times[of_user] = code + 1;
		if ((code & (code - 1)) == 0 || reader->value_times[of_user] == NULL)
		{
			Size		bytes = (Size) pg_nextpower2_64(code + 1) * 2 * sizeof(int64);

			reader->value_times[of_user] = reader->value_times[of_user] ?
				repalloc_huge(reader->value_times[of_user], bytes) :
				MemoryContextAllocHuge(reader->context, bytes);
		}
	}
	kept = &reader->value_times[of_user][code];
	if (!is_new && time > *kept)
		return;
	for (int k = 0; k < reader->n_features; k++)
	{
		Feature    *f = &data->features[k];
		const FeatureColumn *column = &reader->features[k];

		if (f->of_user != of_user)
			continue;
		if (is_new)
			lbrec_append_value(f, column->values[i], column->nulls[i],
							   data->context);
		else
			lbrec_replace_value(f, code, column->values[i], column->nulls[i],
								time == *kept, data->context);
	}
	*kept = time;
}

/*
 * Looks up or adds the keys of row i, and stores features of users and
 * recordings.
 */
static void
number_row(Reader *reader, int i)
{
	Dataset    *data = reader->data;
	const RowKeys *row = &reader->keys[i];
	Listen	   *listen = &reader->listens[i];
	bool		new_user;
	bool		new_recording;

	listen->time = row->time;
	listen->user = lbrec_vocabulary_code(data->users, &row->user,
										 sizeof(row->user), row->user_hash,
										 &new_user);
	listen->recording = lbrec_vocabulary_code(data->recordings,
											  &row->recording, UUID_LEN,
											  row->recording_hash,
											  &new_recording);
	lbrec_reserve_plays(data, listen->recording);
	if (data->listed)
		lbrec_reserve_listed(data, listen->recording);
	data->recording_listens[listen->recording]++;
	if (reader->has_features[1])
		keep_features(reader, i, true, listen->user, data->n_known_users);
	if (reader->has_features[0])
		keep_features(reader, i, false, listen->recording,
					  data->n_known_recordings);
	data->first_time = Min(data->first_time, listen->time);
	data->last_time = Max(data->last_time, listen->time);
}

/* Prefetches slots of a later row, and keys of a nearer one. */
static inline void
fetch_ahead(Reader *reader, int i)
{
	Dataset    *data = reader->data;

	if (i + SLOT_AHEAD < reader->n)
	{
		RowKeys    *row = &reader->keys[i + SLOT_AHEAD];

		row->user_hash = lbrec_vocabulary_prefetch(data->users, &row->user,
												   sizeof(row->user));
		row->recording_hash =
			lbrec_vocabulary_prefetch(data->recordings, &row->recording,
									  UUID_LEN);
	}
	if (i + KEY_AHEAD >= 0 && i + KEY_AHEAD < reader->n)
	{
		const RowKeys *row = &reader->keys[i + KEY_AHEAD];
		int32		recording =
			lbrec_vocabulary_prefetch_key(data->recordings,
										  row->recording_hash);

		lbrec_vocabulary_prefetch_key(data->users, row->user_hash);
		__builtin_prefetch(&data->recording_listens[recording], 1);
	}
}

static void
number_batch(Reader *reader)
{
	Dataset    *data = reader->data;

	for (int i = -SLOT_AHEAD; i < 0; i++)
		fetch_ahead(reader, i);
	for (int i = 0; i < reader->n; i++)
	{
		fetch_ahead(reader, i);
		number_row(reader, i);
	}
	lbrec_spool_append(data->listens, reader->listens, reader->n);
	data->n_listens += reader->n;
}

/*
 * Computes mean and standard deviation over all listens, as Keras'
 * Normalization does.
 */
static void
summarize_times(Dataset *data)
{
	double		sum = 0;
	double		squares = 0;
	double		origin = data->first_time / 1e6;
	SpoolScan	scan;

	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			double		x = scan.block[i].time / 1e6 - origin;

			sum += x;
			squares += x * x;
		}
	sum /= data->n_listens;
	data->time_mean = origin + sum;
	data->time_deviation = Max(sqrt(Max(squares / data->n_listens - sum * sum,
										0)), 1e-7);
}

static Query *
only_query(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return linitial_node(Query, source->query_list);
}

/*
 * Refuses a statement that returns rows and modifies data: a cursor may be
 * opened on it, but the executor would fail later with an unhelpful error.
 */
static void
refuse_modifying(const Query *query)
{
	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("the query of listens must not modify data"),
				 errdetail(query->hasModifyingCTE ?
						   "It has a data-modifying statement in WITH." :
						   "It is a data-modifying statement."),
				 errhint("Modify first, then give a query that only reads.")));
}

static void
run_query(Dataset *data, const ListenSource *source)
{
	SPIPlanPtr	plan;
	Portal		portal;
	Reader		reader = {0};
	ItemsQuery	items;
	TimestampTz start = GetCurrentTimestamp();
	bool		was_read_only = XactReadOnly;
	ErrorContextCallback explain = {error_context_stack,
		lbrec_explain_no_listens, unconstify(char *, source->listens)};

	SPI_connect();
	error_context_stack = &explain;
	plan = SPI_prepare_cursor(data->query, 0, NULL, CURSOR_OPT_NO_SCROLL);
	error_context_stack = explain.previous;
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan) ||
		only_query(plan)->commandType == CMD_UTILITY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
				 errmsg("listens must be one query that returns rows"),
				 errdetail(LBREC_LISTEN_COLUMNS),
				 errhint("Give the name of a table or a single SELECT.")));
	refuse_modifying(only_query(plan));
	XactReadOnly = true;
	error_context_stack = &explain;
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	error_context_stack = explain.previous;
	reader.columns = find_listen_columns(portal->tupDesc);
	if (source->with_features)
	{
		int			taken[3] = {reader.columns.user, reader.columns.time,
			reader.columns.recording};

		lbrec_find_features(data, portal->tupDesc, taken, source);
		if (source->items)
			lbrec_plan_catalogue(&items, data, source);
		lbrec_check_features(data, source);
	}
	if (source->prepare)
		source->prepare(data, source->prepare_arg);
	data->n_known_users = lbrec_vocabulary_size(data->users);
	data->n_known_recordings = lbrec_vocabulary_size(data->recordings);
	lbrec_begin_features(data);
	make_reader(&reader, data, portal->tupDesc);
	reader.until = source->bounded ? source->until : PG_INT64_MAX;
	reader.since = source->has_since ? source->since : PG_INT64_MIN;
	for (;;)
	{
		MemoryContext old;
		uint64		fetched;

		CHECK_FOR_INTERRUPTS();
		if (lbrec_progress_due())
			lbrec_progress("reading", -1, data->n_listens * 1e6 /
						   (GetCurrentTimestamp() - start + 1));
		reader.n = 0;
		error_context_stack = &explain;
		fetched = PortalRunFetch(portal, FETCH_FORWARD, FETCH_ROWS,
								 &reader.dest);
		error_context_stack = explain.previous;
		if (fetched == 0)
			break;
		/* frees detoasted values with the batch */
		old = MemoryContextSwitchTo(reader.batch);
		number_batch(&reader);
		MemoryContextSwitchTo(old);
		MemoryContextReset(reader.batch);
	}
	SPI_cursor_close(portal);
	if (source->with_features && source->items && data->n_listens > 0)
		lbrec_read_items(&items, data);
	XactReadOnly = was_read_only;
	SPI_finish();
}

/* Reads all listens of a table or query into context. */
Dataset *
lbrec_read_listens(const ListenSource *source, MemoryContext context)
{
	Dataset    *data = lbrec_empty_dataset(context);
	MemoryContext old = MemoryContextSwitchTo(context);

	data->query = lbrec_listens_query(source->listens, "listens");
	MemoryContextSwitchTo(old);

	run_query(data, source);

	if (data->n_listens == 0 && data->n_later + data->n_earlier > 0)
		return data;
	if (data->n_listens == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("the query of listens returned no rows"),
				 errdetail("The query was: %s", data->query),
				 errhint("Load listens with lbrec-convert, or widen the query.")));
	lbrec_progress_phase("sorting");
	lbrec_order_dataset(data);
	summarize_times(data);
	lbrec_finish_features(data, source->number_buckets);
	return data;
}
