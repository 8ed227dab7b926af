/*
 * popular.c
 *		lbrec_popular(): returns the most played recordings of a period.
 *
 * The model has counts by week (listens/weeks.c), so no listens are read. The
 * totals serve as scores in the search that makes every list.
 */
#include "pg/server/lbrec.h"

#include "utils/builtins.h"
#include "utils/uuid.h"

#include "pg/image/image.h"
#include "pg/listens/weeks.h"
#include "pg/serve/arguments.h"
#include "pg/serve/filter.h"
#include "pg/serve/listener.h"
#include "pg/serve/select.h"
#include "pg/server/kernels.h"
#include "pg/server/srf.h"
#include "pg/server/time.h"
#include "pg/sql/calls.h"
#include "pg/sql/wishes.h"

PG_FUNCTION_INFO_V1(lbrec_popular);

static const WishPlaces wish_places = {
	NO_ARGUMENT, NO_ARGUMENT, NO_ARGUMENT, POPULAR_FILTER, NO_ARGUMENT,
	NO_ARGUMENT, POPULAR_PER_ARTIST, POPULAR_ARTIST_COLUMN, NO_ARGUMENT
};

/* The first and the last week to count. */
typedef struct Span
{
	int32		first;
	int32		last;
} Span;

static Span
read_span(FunctionCallInfo fcinfo)
{
	Span		span = {PG_INT32_MIN, PG_INT32_MAX};
	int64		since = PG_INT64_MIN;
	int64		until = PG_INT64_MAX;

	if (!PG_ARGISNULL(POPULAR_SINCE))
	{
		since = lbrec_argument_time(PG_GETARG_TIMESTAMPTZ(POPULAR_SINCE),
									"since");
		span.first = lbrec_week_of(since);
	}
	if (!PG_ARGISNULL(POPULAR_UNTIL))
	{
		until = lbrec_argument_time(PG_GETARG_TIMESTAMPTZ(POPULAR_UNTIL),
									"until");
		span.last = lbrec_week_of(until == PG_INT64_MIN ? until : until - 1);
	}
	if (since >= until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since is not before until"),
				 errdetail("Listens count from since up to until."),
				 errhint("Leave out until to count up to the last listen.")));
	return span;
}

/* Returns the listens of a recording in these weeks. */
static int64
count_listens(const TwoTower *tower, int64 candidate, const Span *span)
{
	int64		listens = 0;

	for (int64 i = tower->week_offsets[candidate];
		 i < tower->week_offsets[candidate + 1]; i++)
	{
		int32		week = tower->week_counts[2 * i];

		if (week >= span->first && week <= span->last)
			listens += tower->week_counts[2 * i + 1];
	}
	return listens;
}

/* lbrec_popular(k, since, until, filter, per_artist, artist_column, model, version) */
Datum
lbrec_popular(PG_FUNCTION_ARGS)
{
	static const float one = 1;
	RowSink		sink = lbrec_begin_rows(fcinfo, POPULAR_ARGS, 3);
	Conditions	conditions = {0};
	Span		span = read_span(fcinfo);
	Listener	listener = {.basis = BASIS_POPULAR, .D = 1, .query = &one};
	Wanted		wanted = {0};
	const ServingModel *serving;
	const TwoTower *tower;
	float	   *counts;
	RankedList	list;

	lbrec_read_conditions(&conditions, fcinfo, &wish_places, NULL, NULL);
	serving = lbrec_open_argument(fcinfo, POPULAR_MODEL, POPULAR_VERSION);
	tower = &serving->tower;
	wanted.k = lbrec_bounded_k(PG_ARGISNULL(POPULAR_K) ? 10 :
							   PG_GETARG_INT32(POPULAR_K),
							   tower->n_recordings);
	lbrec_read_wishes(&wanted, fcinfo, &wish_places, serving);
	wanted.allowed = lbrec_filter_candidates(serving, &conditions);
	counts = lbrec_alloc_aligned(CurrentMemoryContext,
								 tower->n_recordings * sizeof(float),
								 "numbers of listens");
	for (int64 i = 0; i < tower->n_recordings; i++)
	{
		CHECK_FOR_INTERRUPTS();
		counts[i] = (float) count_listens(tower, i, &span);
	}
	listener.vectors = counts;
	list = lbrec_select(serving, &listener, &wanted);
	for (int64 i = 0; i < list.n && counts[list.ids[i]] > 0; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = UUIDPGetDatum(&tower->recording_keys[list.ids[i]]);
		values[2] = Int64GetDatum(count_listens(tower, list.ids[i], &span));
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
