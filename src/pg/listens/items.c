/*
 * items.c
 *		Reads the recordings of a catalogue, with their features.
 *
 * The query of items returns recordings, played or not; its further columns
 * are their features.  Recordings without listens join the vocabulary with no
 * plays, so every later step knows them: they are candidates like others, and
 * their vectors come from their features (src/pg/train/ensemble.c).
 *
 * Items are read after the listens.  Their values replace those of an older
 * model; if a recording has several rows, the smallest values count, so the
 * order of rows does not matter.
 */
#include "pg/listens/items.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "pg/listens/dataset.h"
#include "pg/listens/feature_codes.h"
#include "pg/listens/features.h"
#include "pg/listens/order.h"
#include "pg/listens/query.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/server/progress.h"

#define FETCH_ROWS 1024

#define ITEM_COLUMNS \
	"A query of items has the column recording_msid (uuid) and at least one more, a feature."

#define ITEM_HINT \
	"For example: items => 'SELECT recording_msid, artist_name FROM recording'."

/* Makes room for the plays of a code. */
void
lbrec_reserve_plays(Dataset *data, int32 code)
{
	int64		old = data->recording_listens_allocated;

	if (code < old)
		return;
	while (code >= data->recording_listens_allocated)
		data->recording_listens_allocated *= 2;
	data->recording_listens =
		repalloc_huge(data->recording_listens,
					  data->recording_listens_allocated * sizeof(int64));
	memset(data->recording_listens + old, 0,
		   (data->recording_listens_allocated - old) * sizeof(int64));
}

/* Makes a dataset without rows; it lives in context. */
Dataset *
lbrec_empty_dataset(MemoryContext context)
{
	Dataset    *data = MemoryContextAllocZero(context, sizeof(Dataset));
	MemoryContext old = MemoryContextSwitchTo(context);

	data->context = context;
	data->listens = lbrec_spool_create(context, lbrec_spool_rows());
	data->users = lbrec_vocabulary_create(context, sizeof(int64));
	data->recordings = lbrec_vocabulary_create(context, UUID_LEN);
	data->recording_listens_allocated = 65536;
	data->recording_listens = palloc0(data->recording_listens_allocated *
									  sizeof(int64));
	data->first_time = PG_INT64_MAX;
	data->last_time = PG_INT64_MIN;
	MemoryContextSwitchTo(old);
	return data;
}

/* Makes room for the values of a code. */
void
lbrec_reserve_listed(Dataset *data, int32 code)
{
	int64		old = data->listed_allocated;

	if (code < old)
		return;
	data->listed_allocated = Max(old, 65536);
	while (code >= data->listed_allocated)
		data->listed_allocated *= 2;
	data->listed = old > 0 ?
		repalloc_huge(data->listed, data->listed_allocated) :
		MemoryContextAllocHuge(data->context, data->listed_allocated);
	memset(data->listed + old, 0, data->listed_allocated - old);
}

static void
explain_items(void *arg)
{
	errcontext("argument items");
}

/* Finds recording_msid among the columns. */
static int
find_recording(TupleDesc desc)
{
	int			found = -1;

	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname),
				   "recording_msid") == 0)
			found = i;
	if (found < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the query of items has no column \"recording_msid\""),
				 errdetail(ITEM_COLUMNS), errhint(ITEM_HINT)));
	if (getBaseType(TupleDescAttr(desc, found)->atttypid) != UUIDOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"recording_msid\" of the query of items has type %s",
						format_type_be(TupleDescAttr(desc, found)->atttypid)),
				 errdetail("Expected is uuid."), errhint(LBREC_UUID_HINT)));
	if (desc->natts < 2)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the query of items has no column beside \"recording_msid\""),
				 errdetail("A recording that nobody has played is known by its features alone."),
				 errhint(ITEM_HINT)));
	return found;
}

/*
 * Plans the query of items and finds its columns; those of listens are known
 * already.  Called within SPI.
 */
void
lbrec_plan_catalogue(ItemsQuery *query, Dataset *data, const ListenSource *source)
{
	ErrorContextCallback explain = {error_context_stack, explain_items};
	char	   *sql = lbrec_listens_query(source->items, "items");
	CachedPlanSource *planned;

	error_context_stack = &explain;
	query->plan = SPI_prepare_cursor(sql, 0, NULL, CURSOR_OPT_NO_SCROLL);
	error_context_stack = explain.previous;
	if (query->plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	planned = linitial(SPI_plan_get_plan_sources(query->plan));
	if (!SPI_is_cursor_plan(query->plan) ||
		linitial_node(Query, planned->query_list)->commandType != CMD_SELECT ||
		linitial_node(Query, planned->query_list)->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("items must be one query that only reads"),
				 errdetail(ITEM_COLUMNS), errhint(ITEM_HINT)));
	query->recording = find_recording(planned->resultDesc);
	lbrec_find_item_features(data, planned->resultDesc, query->recording,
							 source);
}

/* Sets a feature to unknown for all recordings that have no value yet. */
static void
fill_up(Dataset *data)
{
	int32		n = lbrec_vocabulary_size(data->recordings);

	for (int i = 0; i < data->n_features; i++)
	{
		Feature    *f = &data->features[i];

		while (!f->of_user && n > 0 && f->n <= n)
		{
			CHECK_FOR_INTERRUPTS();
			lbrec_append_value(f, (Datum) 0, true, data->context);
		}
	}
}

/* Stores the values of a row for its recording, which may be new. */
static void
take_item(Dataset *data, const ItemsQuery *query, HeapTuple tuple,
		  TupleDesc desc, int64 row)
{
	bool		isnull;
	Datum		key = SPI_getbinval(tuple, desc, query->recording + 1, &isnull);
	int32		before = lbrec_vocabulary_size(data->recordings);
	int32		code;

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"recording_msid\" of the query of items is null in row %lld",
						(long long) row),
				 errdetail("An item is known by its recording."),
				 errhint("Filter such rows out, for example WHERE recording_msid IS NOT NULL.")));
	code = lbrec_vocabulary_add(data->recordings, DatumGetUUIDP(key),
								UUID_LEN);
	lbrec_reserve_plays(data, code);
	lbrec_reserve_listed(data, code);
	for (int i = 0; i < data->n_features; i++)
	{
		Feature    *f = &data->features[i];
		Datum		value = (Datum) 0;

		if (f->of_user || (!f->of_items && code <= before))
			continue;
		isnull = true;
		if (f->of_items)
			value = SPI_getbinval(tuple, desc, f->attno + 1, &isnull);
		if (code > before)
			lbrec_append_value(f, value, isnull, data->context);
		else
			lbrec_replace_value(f, code, value, isnull, data->listed[code],
								data->context);
	}
	data->listed[code] = true;
}

/* Reads the items, after the listens. Called within SPI, read-only. */
void
lbrec_read_items(const ItemsQuery *query, Dataset *data)
{
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext,
												"lbrec items",
												ALLOCSET_DEFAULT_SIZES);
	int64		rows = 0;
	Portal		portal;
	ErrorContextCallback explain = {error_context_stack, explain_items};

	lbrec_reserve_listed(data, lbrec_vocabulary_size(data->recordings));
	fill_up(data);
	lbrec_progress_phase("reading items");
	error_context_stack = &explain;
	portal = SPI_cursor_open(NULL, query->plan, NULL, NULL, true);
	error_context_stack = explain.previous;
	for (;;)
	{
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		error_context_stack = &explain;
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		error_context_stack = explain.previous;
		if (SPI_processed == 0)
			break;
		old = MemoryContextSwitchTo(batch);
		for (uint64 i = 0; i < SPI_processed; i++)
			take_item(data, query, SPI_tuptable->vals[i],
					  SPI_tuptable->tupdesc, ++rows);
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
	if (rows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("the query of items returned no rows"),
				 errdetail("It names the recordings of the catalogue."),
				 errhint("Widen the query, or leave items out.")));
}

/*
 * Reads a catalogue without listens, for a model that source->prepare knows;
 * the result lives in context.
 */
Dataset *
lbrec_read_catalogue(const ListenSource *source, MemoryContext context)
{
	Dataset    *data = lbrec_empty_dataset(context);
	bool		was_read_only = XactReadOnly;
	ItemsQuery	query;

	SPI_connect();
	lbrec_plan_catalogue(&query, data, source);
	XactReadOnly = true;
	source->prepare(data, source->prepare_arg);
	lbrec_check_features(data, source);
	data->n_known_users = lbrec_vocabulary_size(data->users);
	data->n_known_recordings = lbrec_vocabulary_size(data->recordings);
	lbrec_begin_features(data);
	lbrec_read_items(&query, data);
	XactReadOnly = was_read_only;
	SPI_finish();
	lbrec_order_dataset(data);
	lbrec_finish_features(data, source->number_buckets);
	return data;
}
