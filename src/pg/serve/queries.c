/*
 * queries.c
 *		Reads listens and recordings from the caller's queries.
 *
 * Queries that a caller gives (listens, filter) run first, before a model is
 * opened: they may call lbrec functions themselves, and a model that was
 * opened is valid only until the next one is.  They run with the caller's
 * rights and read-only, so row security applies.  A model's stored training
 * query is never run here: it would run with the rights of each caller.
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

#include "pg/listens/default.h"
#include "pg/listens/query.h"

/*
 * Names the argument in errors of a caller's query: the query around it, which
 * selects columns, is not the caller's text.
 */
static void
explain_columns(void *arg)
{
	const char *argument = arg;

	if (geterrcode() == ERRCODE_UNDEFINED_COLUMN)
		errcontext("argument %s, which needs the %s", argument,
				   strcmp(argument, "listens") == 0 ?
				   "columns user_id, listened_at and recording_msid" :
				   strcmp(argument, "rankings") == 0 ?
				   "columns user_id, recording_msid and rank" :
				   "column recording_msid");
	else
		errcontext("argument %s", argument);
}

/* Names the argument in errors of its rows, such as a division by zero. */
static void
explain_rows(void *arg)
{
	errcontext("argument %s", (const char *) arg);
}

/*
 * Plans a query that contains the caller's query, the argument of that name.
 * Called within SPI.
 */
SPIPlanPtr
lbrec_prepare_reading(const char *sql, const char *argument, int n_args,
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

/* Returns the type of a plan's first column. */
Oid
lbrec_column_type(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return getBaseType(TupleDescAttr(source->resultDesc, 0)->atttypid);
}

/*
 * Runs such a plan.  Its rows go to dest, or to SPI_tuptable if that is NULL.
 */
void
lbrec_execute_reading(SPIPlanPtr plan, const char *argument, int n_args,
					  const Oid *types, const Datum *values,
					  DestReceiver *dest)
{
	ParamListInfo params = makeParamList(n_args);
	SPIExecuteOptions options = {.params = params, .read_only = true,
		.dest = dest};
	bool		was_read_only = XactReadOnly;
	ErrorContextCallback explain = {error_context_stack, explain_rows,
		unconstify(char *, argument)};

	if (lbrec_column_type(plan) != UUIDOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"recording_msid\" of %s is not of type uuid",
						argument),
				 errdetail("Recordings are identified by their MSID or MBID."),
				 errhint(LBREC_UUID_HINT)));
	for (int i = 0; i < n_args; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}

	/*
	 * SPI's own read_only does not cover functions in the query.  An error
	 * restores this with the (sub)transaction.
	 */
	XactReadOnly = true;
	error_context_stack = &explain;
	if (SPI_execute_plan_extended(plan, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not run the query of %s", argument);
	error_context_stack = explain.previous;
	XactReadOnly = was_read_only;
}

/*
 * Receives the first column of rows directly: a filter may return all
 * recordings, and copying its rows would cost more than the search.
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

/* Reads the first column of a query's rows. */
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
	lbrec_execute_reading(lbrec_prepare_reading(sql, argument, n_args, types),
						  argument, n_args, types, values, &r.pub);
	SPI_finish();
	return r.list;
}

/*
 * Reads the recordings of a user from a table or query of listens; NULL means
 * the default table, whose absence is an error.
 */
RecordingList
lbrec_listened_recordings(const char *listens, int64 user_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(user_id)};

	/* an index can serve this condition below the subquery */
	return run_reading(psprintf("SELECT DISTINCT l.recording_msid FROM (%s\n) AS l "
								"WHERE l.user_id OPERATOR(pg_catalog.=) $1",
								lbrec_listens_columns(listens ? listens : lbrec_needed_listens(),
													  "listens", "user_id, recording_msid")),
					   "listens", 1, types, values);
}

/* Reads the column recording_msid of a query. */
RecordingList
lbrec_query_recordings(const char *query, const char *argument)
{
	return run_reading(psprintf("SELECT f.recording_msid FROM (%s\n) AS f",
								lbrec_listens_columns(query, argument,
													  "recording_msid")),
					   argument, 0, NULL, NULL);
}

/* Receives rows of recording_msid, user_id and rank. */
typedef struct RankingReceiver
{
	DestReceiver pub;
	RankingRows rows;
	Vocabulary *users;
	Oid			types[2];		/* types of user_id and rank */
	int			n;				/* rows not yet in the spool */
	Listen		batch[256];
} RankingReceiver;

static void
start_rankings(DestReceiver *self, int operation, TupleDesc desc)
{
	RankingReceiver *r = (RankingReceiver *) self;

	for (int i = 0; i < 2; i++)
	{
		Oid			type = TupleDescAttr(desc, 1 + i)->atttypid;

		r->types[i] = getBaseType(type);
		if (r->types[i] != INT8OID && r->types[i] != INT4OID &&
			r->types[i] != INT2OID)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of rankings has type %s",
							i == 0 ? "user_id" : "rank",
							format_type_be(type)),
					 errdetail("Expected is bigint, integer or smallint."),
					 errhint(i == 0 ? "Cast the column in the query." :
							 "Number a user's rows from 1 on, for example rank() OVER (PARTITION BY user_id ORDER BY score DESC).")));
	}
}

static int64
integer_value(Datum d, Oid type)
{
	return type == INT8OID ? DatumGetInt64(d) :
		type == INT4OID ? DatumGetInt32(d) : DatumGetInt16(d);
}

static bool
receive_ranking(TupleTableSlot *slot, DestReceiver *self)
{
	RankingReceiver *r = (RankingReceiver *) self;
	Listen	   *row = &r->batch[r->n];
	int64		user;

	slot_getallattrs(slot);
	user = integer_value(slot->tts_values[1], r->types[0]);
	row->user = lbrec_vocabulary_find(r->users, &user, sizeof(user));
	if (row->user == 0)
		return true;
	row->recording = lbrec_vocabulary_add(r->rows.recordings,
										  DatumGetUUIDP(slot->tts_values[0]),
										  UUID_LEN);
	row->time = integer_value(slot->tts_values[2], r->types[1]);
	if (++r->n == lengthof(r->batch))
	{
		lbrec_spool_append(r->rows.spool, r->batch, r->n);
		r->n = 0;
	}
	return true;
}

/*
 * Reads rankings of users (a vocabulary of user_id) from a query.  Rows of
 * other users and rows with a null are skipped.  The result is in context, or
 * in a temporary file.
 */
RankingRows
lbrec_query_rankings(const char *query, Vocabulary *users,
					 MemoryContext context)
{
	RankingReceiver r = {.users = users};
	char	   *sql;

	r.pub.receiveSlot = receive_ranking;
	r.pub.rStartup = start_rankings;
	r.pub.rShutdown = end_keys;
	r.pub.rDestroy = end_keys;
	r.pub.mydest = DestTuplestore;
	r.rows.spool = lbrec_spool_create(context, lbrec_spool_rows());
	r.rows.recordings = lbrec_vocabulary_create(context, UUID_LEN);
	SPI_connect();
	sql = psprintf("SELECT f.recording_msid, f.user_id, f.rank FROM (%s\n) AS f "
				   "WHERE f.recording_msid IS NOT NULL AND f.user_id IS NOT NULL AND f.rank IS NOT NULL "
				   "ORDER BY f.user_id, f.rank, f.recording_msid",
				   lbrec_listens_columns(query, "rankings", "user_id, recording_msid, rank"));
	lbrec_execute_reading(lbrec_prepare_reading(sql, "rankings", 0, NULL),
						  "rankings", 0, NULL, NULL, &r.pub);
	SPI_finish();
	lbrec_spool_append(r.rows.spool, r.batch, r.n);
	return r.rows;
}
