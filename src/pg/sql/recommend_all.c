/*
 * recommend_all.c
 *		lbrec_recommend_all(): returns the best recordings for many users.
 *
 * Users are ranked in tiles, on all threads, each tile when its first row is
 * needed.  Rows are returned one a call, so if the executor takes them one by
 * one (in a select list, through a cursor), it can also stop early.  The first
 * tile is small, for a caller that wants few rows, and tiles grow to a size at
 * which the search is fast.  Memory is that of one tile.
 *
 * The state between calls, with the pin on the model, is in the call's
 * multi-call context.  It is freed when the executor ends or shuts down the
 * node, and after an error.  Threads live for one tile, so none waits for a
 * slow client.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/model/toplist.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/listener.h"
#include "pg/serve/select.h"
#include "pg/server/declaration.h"
#include "pg/server/kernels.h"
#include "pg/sql/calls.h"
#include "pg/sql/wishes.h"

PG_FUNCTION_INFO_V1(lbrec_recommend_all);

static const WishPlaces wish_places = {
	.exclude_listened = NO_ARGUMENT,
	.exclude = RECOMMEND_ALL_EXCLUDE,
	.candidates = RECOMMEND_ALL_CANDIDATES,
	.filter = RECOMMEND_ALL_FILTER,
	.min_listens = RECOMMEND_ALL_MIN_LISTENS,
	.max_listens = RECOMMEND_ALL_MAX_LISTENS,
	.per_artist = RECOMMEND_ALL_PER_ARTIST,
	.artist_column = RECOMMEND_ALL_ARTIST_COLUMN,
	.diversity = RECOMMEND_ALL_DIVERSITY
};

/* Users ranked together: in the first tile, and limit. */
#define FIRST_TILE 8
#define LARGEST_TILE 256

/* Limit for the lists of a tile in bytes, unless one user's are larger. */
#define TILE_BYTES (64 * 1024 * 1024)

/* Smaller tiles are done before threads would have started. */
#define TILE_FOR_THREADS 32

typedef struct Batch
{
	const ServingModel *serving;
	Moment		moment;
	int32		k;
	Wanted		wanted;			/* of each list */
	bool		wishes;			/* lists have more conditions than their
								 * length */
	int			largest;		/* users of the largest tile */
	bool		all;			/* all users of the model, or those in the
								 * array */
	int64	   *chosen;
	int64		n_users;
	int64		next;			/* first user after this tile */

	/* The tile, in a memory context of its own: */
	MemoryContext tile;
	int			n;				/* number of its users */
	int			size;			/* its capacity */
	int64	   *users;
	Listener   *listeners;
	RankedList *lists;
	int			user;			/* user of the next row */
	int64		rank;			/* rank of the next row, from 0 */

	RankedList	popular;		/* the list of all unknown users */
	Datum		basis[BASIS_FEATURES + 1];
} Batch;

/* Collects the elements of an array that are not null. */
static void
read_users(Batch *b, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &values, &nulls, &n);
	b->chosen = palloc_extended(Max(n, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			b->chosen[b->n_users++] = DatumGetInt64(values[i]);
	pfree(values);
	pfree(nulls);
}

static Batch *
begin(FunctionCallInfo fcinfo)
{
	Batch	   *b = palloc0(sizeof(Batch));
	Conditions	conditions = {0};
	int64		row = sizeof(int64) + sizeof(float);

	b->k = PG_ARGISNULL(RECOMMEND_ALL_K) ? 10 : PG_GETARG_INT32(RECOMMEND_ALL_K);
	b->moment = lbrec_moment(fcinfo, RECOMMEND_ALL_AT,
							 RECOMMEND_ALL_LISTENS, RECOMMEND_ALL_FRESH);
	lbrec_read_conditions(&conditions, fcinfo, &wish_places, NULL, NULL);
	b->serving = lbrec_open_argument(fcinfo, RECOMMEND_ALL_MODEL, RECOMMEND_ALL_VERSION);
	b->k = lbrec_bounded_k(b->k, b->serving->tower.n_recordings);
	b->wanted.k = b->k;
	lbrec_read_wishes(&b->wanted, fcinfo, &wish_places, b->serving);
	b->wanted.allowed = lbrec_filter_candidates(b->serving, &conditions);
	b->wishes = b->wanted.allowed.bits || b->wanted.allowed.list ||
		b->wanted.groups || b->wanted.diversity > 0;
	b->all = PG_ARGISNULL(RECOMMEND_ALL_USERS);
	if (b->all)
		b->n_users = b->serving->tower.n_users;
	else
		read_users(b, PG_GETARG_ARRAYTYPE_P(RECOMMEND_ALL_USERS));
	b->largest = (int) Max(1, Min(LARGEST_TILE, TILE_BYTES / (b->k * row)));
	b->size = Min(FIRST_TILE, b->largest);
	b->tile = AllocSetContextCreate(CurrentMemoryContext, "lbrec tile of users",
									ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < lengthof(b->basis); i++)
		b->basis[i] = CStringGetTextDatum(lbrec_basis_name(i));
	return b;
}

/*
 * Finds the tile's listeners, and the queries (m, D) of those with one; at (m)
 * has their indices in the tile.  Returns m.
 */
static int
identify(Batch *b, float *queries, int *at, LbThreads *pool)
{
	const ServingModel *serving = b->serving;
	Size		D = serving->image->D;
	int32	   *codes = palloc(b->n * sizeof(int32));
	int64	   *times = palloc(b->n * sizeof(int64));
	LbSpan	   *histories = palloc(b->n * sizeof(LbSpan));
	int			m = 0;
	int			known;

	for (int u = 0; u < b->n; u++)
	{
		Listener   *listener = &b->listeners[u];
		int32		code = lbrec_warm_user(serving, b->users[u]);

		listener->basis = BASIS_POPULAR;
		CHECK_FOR_INTERRUPTS();
		if (code == 0)
			continue;
		if (!lbrec_know(listener, serving, code, b->users[u], &b->moment))
		{
			listener->basis = BASIS_POPULAR;
			continue;
		}
		times[m] = b->moment.time;
		histories[m] = listener->history;
		at[m] = u;
		codes[m++] = code;
	}
	known = m;
	for (int u = 0; u < b->n; u++)
	{
		Listener   *listener = &b->listeners[u];

		CHECK_FOR_INTERRUPTS();
		if (lbrec_warm_user(serving, b->users[u]) != 0 ||
			!lbrec_fold_in(listener, serving, b->users[u], &b->moment))
			continue;
		memcpy(queries + m * D, listener->query, D * sizeof(float));
		at[m++] = u;
	}
	if (known > 0)
	{
		TowerRows	rows = {.n = known, .users = codes, .times = times,
			.histories = histories};

		lbrec_tower_vectors(queries, &serving->tower, &rows, pool,
							CurrentMemoryContext);
	}
	return m;
}

/* Makes the lists of users with a query, one by one, as lbrec_recommend does. */
static void
select_lists(Batch *b, const float *queries, const int *at, int m)
{
	Size		D = b->serving->image->D;

	for (int i = 0; i < m; i++)
	{
		Listener   *listener = &b->listeners[at[i]];

		CHECK_FOR_INTERRUPTS();
		listener->query = queries + i * D;
		lbrec_find_related(&listener->scorer);
		b->lists[at[i]] = lbrec_select(b->serving, listener, &b->wanted);
		lbrec_free_related(&listener->scorer);
	}
}

/* Makes the lists of users with a query, in a batch. */
static void
rank(Batch *b, const float *queries, const int *at, int m, LbThreads *pool)
{
	const ServingModel *serving = b->serving;
	TopRequest	request = {
		.set = {.c = serving->tower.candidates, .n = serving->tower.n_recordings,
			.D = serving->image->D, .index = serving->index},
			.m = m, .queries = queries, .k = b->k, .pool = pool
		};
	const Scorer **scorers = palloc(m * sizeof(Scorer *));
	RankedList *lists = palloc(m * sizeof(RankedList));

	for (int i = 0; i < m; i++)
		scorers[i] = &b->listeners[at[i]].scorer;
	request.scorers = scorers;
	lbrec_top_lists(lists, &request);
	for (int i = 0; i < m; i++)
		b->lists[at[i]] = lists[i];
}

/* Makes the one list of all users without listens. */
static RankedList
popular_list(Batch *b)
{
	Listener	unknown;
	MemoryContext old;

	if (b->popular.ids == NULL)
	{
		old = MemoryContextSwitchTo(GetMemoryChunkContext(b));
		lbrec_popular_listener(&unknown, b->serving, &b->moment);
		b->popular = lbrec_select(b->serving, &unknown, &b->wanted);
		MemoryContextSwitchTo(old);
	}
	return b->popular;
}

/* Ranks the next tile, which must have a user. */
static void
next_tile(Batch *b)
{
	MemoryContext old = MemoryContextSwitchTo(b->tile);
	MemoryContext working;
	LbThreads  *pool = NULL;
	float	   *queries;
	int		   *at;
	int			m;

	MemoryContextReset(b->tile);
	b->n = (int) Min(b->size, b->n_users - b->next);
	b->size = Min(b->size * 4, b->largest);
	b->user = 0;
	b->rank = 0;
	b->users = palloc(b->n * sizeof(int64));
	b->listeners = palloc0(b->n * sizeof(Listener));
	b->lists = palloc0(b->n * sizeof(RankedList));
	for (int u = 0; u < b->n; u++)
		b->users[u] = b->all ? b->serving->tower.user_keys[b->next + u] :
			b->chosen[b->next + u];
	b->next += b->n;
	at = palloc(b->n * sizeof(int));
	queries = lbrec_alloc_aligned(b->tile, (Size) b->n * b->serving->image->D *
								  sizeof(float), "queries");
	working = AllocSetContextCreate(b->tile, "lbrec threads of a tile",
									ALLOCSET_SMALL_SIZES);
	if (b->n >= TILE_FOR_THREADS)
		pool = lbrec_start_threads(working);
	m = identify(b, queries, at, pool);
	if (b->wishes)
		select_lists(b, queries, at, m);
	else if (m > 0)
		rank(b, queries, at, m, pool);
	MemoryContextDelete(working);

	for (int u = 0; u < b->n; u++)
		if (b->listeners[u].basis == BASIS_POPULAR)
			b->lists[u] = popular_list(b);
	MemoryContextSwitchTo(old);
}

/* returns false if there are no more rows */
static bool
next_row(Batch *b, Datum *values)
{
	const RankedList *list;

	while (b->user >= b->n || b->rank >= b->lists[b->user].n)
	{
		if (b->user < b->n)
		{
			b->user++;
			b->rank = 0;
		}
		else if (b->next >= b->n_users)
			return false;
		else
			next_tile(b);
	}
	list = &b->lists[b->user];
	values[0] = Int64GetDatum(b->users[b->user]);
	values[1] = Int32GetDatum((int32) (b->rank + 1));
	values[2] = UUIDPGetDatum(&b->serving->tower.recording_keys[list->ids[b->rank]]);
	values[3] = Float4GetDatum(list->scores[b->rank]);
	values[4] = b->basis[lbrec_row_basis(b->serving,
										 b->listeners[b->user].basis,
										 list->ids[b->rank])];
	b->rank++;
	return true;
}

/*
 * lbrec_recommend_all(k, model, users, at, listens, version, fresh, exclude,
 * candidates, filter, min_listens, max_listens, per_artist, artist_column,
 * diversity)
 */
Datum
lbrec_recommend_all(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	Datum		values[5];
	bool		nulls[5] = {false, false, false, false, false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc	desc;

		lbrec_check_declaration(fcinfo, RECOMMEND_ALL_ARGS,
								lengthof(values));
		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		call->tuple_desc = BlessTupleDesc(desc);
		call->user_fctx = begin(fcinfo);
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	CHECK_FOR_INTERRUPTS();
	if (!next_row(call->user_fctx, values))
		SRF_RETURN_DONE(call);
	SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc,
															values, nulls)));
}
