/*
 * user_listens.c
 *		Reads one user's listens during a call.
 *
 * Each answer for a known user reads the user's plays since the training.
 * Planning such a query takes longer than running it, so plans are kept over
 * calls.  A plan is dropped when any table, view or function of the database
 * changes: column types may differ, or an index may be new. (PostgreSQL would
 * replan, too, but with the old parameter types.)
 */
#include "pg/serve/user_listens.h"

#include "access/parallel.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "pg/listens/query.h"
#include "pg/serve/indexed.h"
#include "pg/serve/queries.h"
#include "pg/server/time.h"

/* Limit of listens read for a user, the latest. */
#define MOST_LISTENS 10000

/* Limit of plans that a session keeps. */
#define MAX_KEPT 8

/* A plan, and the role, table and path that it is valid for. */
typedef struct KeptPlan
{
	char	   *listens;
	char	   *search_path;
	Oid			role;			/* matters if "$user" is in the path */
	SPIPlanPtr	plan;
	Oid			time_type;		/* type of listened_at */
	ListensPath path;
	MemoryContext context;		/* memory of the path and the texts */
	uint64		made;			/* number of catalog changes before it */
	uint64		used;			/* larger is more recent */
	int			running;		/* calls in progress: the query may call lbrec
								 * functions itself */
} KeptPlan;

static KeptPlan kept[MAX_KEPT];
static uint64 n_changes;
static uint64 clock_hand;

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

/* Returns listened_at in microseconds since 1970, as lbrec_train reads it. */
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

static bool
is_integer(Oid type)
{
	return type == INT8OID || type == INT4OID || type == INT2OID;
}

static bool
is_timestamp(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID;
}

/* Returns the first value of a time column after the time. */
static Datum
first_after(const int64 *time, Oid type)
{
	if (is_integer(type))
		return Int64GetDatum(time == NULL ? PG_INT64_MIN :
							 *time / USECS_PER_SEC -
							 (*time % USECS_PER_SEC < 0) + 1);
	return TimestampTzGetDatum(time == NULL ? DT_NOBEGIN :
							   lbrec_timestamp(*time) + 1);
}

/* Returns the last value of a time column not after the time. */
static Datum
last_until(const int64 *time, Oid type)
{
	if (is_integer(type))
		return Int64GetDatum(time == NULL ? PG_INT64_MAX :
							 *time / USECS_PER_SEC -
							 (*time % USECS_PER_SEC < 0));
	return TimestampTzGetDatum(time == NULL ? DT_NOEND :
							   lbrec_timestamp(*time));
}

static void
note_relation(Datum arg, Oid relation)
{
	n_changes++;
}

static void
note_object(Datum arg, int cache, uint32 hash)
{
	n_changes++;
}

static void
forget(KeptPlan *k)
{
	if (k->plan)
		SPI_freeplan(k->plan);
	if (k->context)
		MemoryContextDelete(k->context);
	memset(k, 0, sizeof(KeptPlan));
}

/*
 * Plans the query of a user's listens into an empty place.  Called within SPI.
 */
static void
make_plan(KeptPlan *k, const char *listens, bool keep)
{
	const char *query = lbrec_listens_columns(listens, "listens", "user_id, listened_at, recording_msid");
	Oid			types[] = {INT8OID, INT8OID, INT8OID};
	uint64		changes = n_changes;
	SPIPlanPtr	columns = lbrec_prepare_reading(psprintf("SELECT l.listened_at, l.user_id FROM (%s\n) AS l",
														 query),
												"listens", 0, NULL);
	Oid			type = lbrec_column_type(columns);
	bool		bounded = is_integer(type) || is_timestamp(type);
	MemoryContext old;
	SPIPlanPtr	plan;

	if (is_timestamp(type))
		types[1] = types[2] = type;
	plan = lbrec_prepare_reading(psprintf("SELECT l.recording_msid, l.listened_at FROM (%s\n) AS l "
										  "WHERE l.user_id OPERATOR(pg_catalog.=) $1 %s"
										  "AND l.recording_msid IS NOT NULL AND l.listened_at IS NOT NULL "
										  "ORDER BY l.listened_at DESC, l.recording_msid LIMIT %d",
										  query, bounded ?
										  "AND l.listened_at OPERATOR(pg_catalog.>=) $2 "
										  "AND l.listened_at OPERATOR(pg_catalog.<=) $3 " : "",
										  MOST_LISTENS),
								 "listens", 3, types);
	k->context = AllocSetContextCreate(keep ? CacheMemoryContext :
									   CurrentMemoryContext,
									   "lbrec plan of listens",
									   ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(k->context);
	k->listens = pstrdup(listens);
	k->search_path = pstrdup(namespace_search_path);
	k->path = lbrec_listens_path(columns);
	MemoryContextSwitchTo(old);
	k->role = GetUserId();
	k->time_type = type;
	k->made = changes;
	SPI_freeplan(columns);
	if (keep && SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	k->plan = plan;
}

static bool
is_for(const KeptPlan *k, const char *listens)
{
	return k->plan && k->made == n_changes && k->role == GetUserId() &&
		strcmp(k->listens, listens) == 0 &&
		strcmp(k->search_path, namespace_search_path) == 0;
}

/*
 * Returns the plan for a user's listens, kept or new.  If all places have
 * running queries, a new plan goes into spare and lives until SPI_finish().
 */
static KeptPlan *
get_plan(const char *listens, KeptPlan *spare)
{
	static bool listening = false;
	KeptPlan   *place = NULL;

	if (!listening)
	{
		CacheRegisterRelcacheCallback(note_relation, (Datum) 0);
		CacheRegisterSyscacheCallback(PROCOID, note_object, (Datum) 0);
		CacheRegisterSyscacheCallback(TYPEOID, note_object, (Datum) 0);
		listening = true;
	}
	for (int i = 0; i < MAX_KEPT; i++)
		if (is_for(&kept[i], listens))
		{
			kept[i].used = ++clock_hand;
			return &kept[i];
		}
	for (int i = 0; i < MAX_KEPT; i++)
		if (kept[i].running == 0 &&
			(place == NULL || kept[i].used < place->used))
			place = &kept[i];
	if (place == NULL)
	{
		memset(spare, 0, sizeof(KeptPlan));
		make_plan(spare, listens, false);
		return spare;
	}
	forget(place);
	make_plan(place, listens, true);
	place->used = ++clock_hand;
	return place;
}

/*
 * Reads a user's latest listens in a period from the table or query of
 * listens.  Reports the error if listen_time() refuses the type of
 * listened_at.
 */
ListenList
lbrec_user_listens(const char *listens, int64 user_id, ListenPeriod period)
{
	MemoryContext context = CurrentMemoryContext;
	ListenList	list = {0};
	KeptPlan	spare;
	KeptPlan   *k;
	Oid			types[] = {INT8OID, INT8OID, INT8OID};
	Datum		values[3];
	Oid			type;

	SPI_connect();
	k = get_plan(listens, &spare);
	if (is_timestamp(k->time_type))
		types[1] = types[2] = k->time_type;
	values[0] = Int64GetDatum(user_id);
	values[1] = first_after(period.after, k->time_type);
	values[2] = last_until(period.until, k->time_type);
	k->running++;
	PG_TRY();
	{
		lbrec_execute_reading(k->plan, "listens", 3, types, values, NULL);
	}
	PG_FINALLY();
	{
		k->running--;
	}
	PG_END_TRY();
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

/* True if a table or query of listens has a column listened_at. */
bool
lbrec_listens_have_times(const char *listens)
{
	CachedPlanSource *source;
	bool		found = false;

	SPI_connect();
	source = linitial(SPI_plan_get_plan_sources(lbrec_prepare_reading(psprintf("SELECT * FROM (%s\n) AS l",
																			   lbrec_listens_query(listens, "listens")),
																	  "listens", 0, NULL)));
	for (int i = 0; source->resultDesc && i < source->resultDesc->natts; i++)
		found |= strcmp(NameStr(TupleDescAttr(source->resultDesc, i)->attname),
						"listened_at") == 0;
	SPI_finish();
	return found;
}

/*
 * True if reading one user's later listens from the default table is cheap
 * enough for every call.  If not, a notice says so once in a session.
 */
bool
lbrec_default_is_cheap(const char *listens)
{
	static bool told = false;
	KeptPlan	spare;
	KeptPlan   *k;
	char	   *statement;
	bool		cheap;

	SPI_connect();
	k = get_plan(listens, &spare);
	cheap = lbrec_path_is_cheap(&k->path);
	if (!cheap && !told && !IsParallelWorker())
	{
		told = true;
		statement = lbrec_missing_index(&k->path);
		ereport(NOTICE,
				(errmsg("listens after the training do not count"),
				 errdetail("Without an index that leads with the user and the time, each call would read all of %s.",
						   listens),
				 statement ? errhint("%s;", statement) :
				 errhint("Give the table or query of listens as the argument listens.")));
	}
	SPI_finish();
	return cheap;
}
