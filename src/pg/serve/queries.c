/*
 * queries.c
 *		Listens and recordings that a caller's queries return.
 *
 * Queries that a caller gives (listens, filter) run first, before a model is
 * opened: they may call lbrec functions themselves, and a model that was
 * opened is valid only until the next one is.  They run with the caller's
 * rights and read-only, so row security applies.  The training query that is
 * stored with a model is never run here: it would run with the rights of
 * whoever asks for a recommendation.
 */
#include "pg/serve/queries.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"

#include "pg/listens/default.h"
#include "pg/listens/query.h"
#include "pg/server/time.h"

/*
 * The columns are asked for by a query around the caller's; that one of them
 * is not there would be told in words that the caller did not write.
 */
static void
explain_columns(void *arg)
{
	const char *argument = arg;

	if (geterrcode() == ERRCODE_UNDEFINED_COLUMN)
		errcontext("argument %s, which needs the %s", argument,
				   strcmp(argument, "listens") == 0 ?
				   "columns user_id, listened_at and recording_msid" :
				   "column recording_msid");
}

static SPIPlanPtr
prepare_reading(const char *sql, const char *argument, int n_args,
				Oid *types)
{
	ErrorContextCallback explain = {error_context_stack, explain_columns,
		unconstify(char *, argument)};
	SPIPlanPtr	plan;
	List	   *sources;

	error_context_stack = &explain;
	plan = SPI_prepare(sql, n_args, types);
	error_context_stack = explain.previous;
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	sources = SPI_plan_get_plan_sources(plan);
	if (!SPI_is_cursor_plan(plan) ||
		linitial_node(Query, ((CachedPlanSource *) linitial(sources))->query_list)->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be one query that only reads", argument),
				 errdetail("Its result is read; several statements, or one that modifies data, cannot be."),
				 errhint("Give a single SELECT.")));
	return plan;
}

/* The type of a plan's first column. */
static Oid
column_type(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return getBaseType(TupleDescAttr(source->resultDesc, 0)->atttypid);
}

/*
 * Runs a query of the caller's.  Its rows go to dest, or to SPI_tuptable when
 * that is NULL.
 */
static void
execute_reading(const char *sql, const char *argument, int n_args, Oid *types,
				Datum *values, DestReceiver *dest)
{
	SPIPlanPtr	plan = prepare_reading(sql, argument, n_args, types);
	ParamListInfo params = makeParamList(n_args);
	SPIExecuteOptions options = {.params = params, .read_only = true,
		.dest = dest};
	bool		was_read_only = XactReadOnly;

	if (column_type(plan) != UUIDOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"recording_msid\" of %s is not of type uuid",
						argument),
				 errdetail("Recordings are known by their MSID or MBID."),
				 errhint(LBREC_UUID_HINT)));
	for (int i = 0; i < n_args; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}

	/*
	 * SPI's own read_only does not reach what functions in the query do.  An
	 * error restores this with the (sub)transaction.
	 */
	XactReadOnly = true;
	if (SPI_execute_plan_extended(plan, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not run the query of %s", argument);
	XactReadOnly = was_read_only;
}

/*
 * Takes the first column of a query's rows, as they come: a filter may have
 * as many as there are recordings, and copies of its rows would cost more
 * than the search.
 */
typedef struct KeyReceiver
{
	DestReceiver pub;
	RecordingList list;
	int64		allocated;
} KeyReceiver;

static void
start_keys(DestReceiver *self, int operation, TupleDesc desc)
{
}

static bool
receive_key(TupleTableSlot *slot, DestReceiver *self)
{
	KeyReceiver *r = (KeyReceiver *) self;
	bool		isnull;
	Datum		d = slot_getattr(slot, 1, &isnull);

	if (isnull)
		return true;
	if (r->list.n == r->allocated)
	{
		r->allocated *= 2;
		r->list.keys = repalloc_huge(r->list.keys, r->allocated *
									 sizeof(pg_uuid_t));
	}
	r->list.keys[r->list.n++] = *DatumGetUUIDP(d);
	return true;
}

static void
end_keys(DestReceiver *self)
{
}

/* The first column of a query's rows. */
static RecordingList
run_reading(const char *sql, const char *argument, int n_args, Oid *types,
			Datum *values)
{
	KeyReceiver r = {.allocated = 64};

	r.pub.receiveSlot = receive_key;
	r.pub.rStartup = start_keys;
	r.pub.rShutdown = end_keys;
	r.pub.rDestroy = end_keys;
	r.pub.mydest = DestTuplestore;
	r.list.keys = palloc(r.allocated * sizeof(pg_uuid_t));
	SPI_connect();
	execute_reading(sql, argument, n_args, types, values, &r.pub);
	SPI_finish();
	return r.list;
}

static int64
seconds_time(int64 seconds)
{
	int64		time;

	if (!lbrec_seconds_time(&time, seconds))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("column \"listened_at\" of the query of listens is out of range"),
				 errdetail("It is %lld; an integer is read as seconds since 1970, up to the year 9999.",
						   (long long) seconds),
				 errhint("Divide it by 1000 in the query if it counts milliseconds.")));
	return time;
}

/* listened_at, as lbrec_train takes it, in microseconds since 1970 */
static int64
listen_time(Datum d, Oid type)
{
	switch (type)
	{
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return lbrec_argument_time(DatumGetTimestampTz(d),
									   "column \"listened_at\" of the query of listens");
		case INT8OID:
			return seconds_time(DatumGetInt64(d));
		case INT4OID:
			return seconds_time(DatumGetInt32(d));
		case INT2OID:
			return seconds_time(DatumGetInt16(d));
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the query of listens has type %s",
							"listened_at", format_type_be(type)),
					 errdetail("Expected is a timestamp, or an integer of seconds since 1970."),
					 errhint("Cast the column in the query.")));
	}
	return 0;					/* keep compiler quiet */
}

/* A time, in microseconds since 1970, as a column of that type has it. */
static Datum
time_datum(int64 time, Oid type)
{
	if (type == INT8OID || type == INT4OID || type == INT2OID)
		return Int64GetDatum(time / USECS_PER_SEC -
							 (time % USECS_PER_SEC < 0));
	return TimestampTzGetDatum(lbrec_timestamp(time));
}

/*
 * The latest listens of a user, as of now: none after until, if that is not
 * NULL.  A listened_at of a type that listen_time() refuses is told by it.
 */
ListenList
lbrec_user_listens(const char *listens, int64 user_id, const int64 *until)
{
	MemoryContext context = CurrentMemoryContext;
	const char *query = lbrec_listens_columns(listens, "user_id, listened_at, recording_msid");
	const char *bound = "";
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(user_id), (Datum) 0};
	ListenList	list = {0};
	Oid			type;

	SPI_connect();
	if (until)
	{
		type = column_type(prepare_reading(psprintf("SELECT l.listened_at FROM (%s\n) AS l",
													query),
										   "listens", 0, NULL));
		if (type == TIMESTAMPTZOID || type == TIMESTAMPOID)
			types[1] = type;
		values[1] = time_datum(*until, type);
		if (types[1] == type || type == INT4OID || type == INT2OID)
			bound = "AND l.listened_at OPERATOR(pg_catalog.<=) $2 ";
	}
	execute_reading(psprintf("SELECT l.recording_msid, l.listened_at FROM (%s\n) AS l "
							 "WHERE l.user_id OPERATOR(pg_catalog.=) $1 %s"
							 "AND l.recording_msid IS NOT NULL AND l.listened_at IS NOT NULL "
							 "ORDER BY l.listened_at DESC, l.recording_msid LIMIT 10000",
							 query, bound),
					"listens", 2, types, values, NULL);
	type = getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, 2));
	list.keys = MemoryContextAlloc(context, Max(SPI_processed, 1) *
								   sizeof(pg_uuid_t));
	list.times = MemoryContextAlloc(context, Max(SPI_processed, 1) *
									sizeof(int64));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		list.keys[list.n] = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 1,
														 &isnull));
		list.times[list.n++] = listen_time(SPI_getbinval(tuple, desc, 2,
														 &isnull), type);
	}
	SPI_finish();
	return list;
}

/*
 * What a user has in a table or query of listens, as of now; NULL: in the
 * default, and it is an error that there is none.
 */
RecordingList
lbrec_listened_recordings(const char *listens, int64 user_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(user_id)};

	/* the condition reaches an index below the subquery */
	return run_reading(psprintf("SELECT DISTINCT l.recording_msid FROM (%s\n) AS l "
								"WHERE l.user_id OPERATOR(pg_catalog.=) $1",
								lbrec_listens_columns(listens ? listens : lbrec_needed_listens(),
													  "user_id, recording_msid")),
					   "listens", 1, types, values);
}

/* The column recording_msid of a query. */
RecordingList
lbrec_query_recordings(const char *query, const char *argument)
{
	return run_reading(psprintf("SELECT f.recording_msid FROM (%s\n) AS f",
								lbrec_listens_columns(query, "recording_msid")),
					   argument, 0, NULL, NULL);
}
