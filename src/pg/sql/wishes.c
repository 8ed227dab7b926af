/*
 * wishes.c
 *		Arguments that select the recordings of a list.
 */
#include "pg/sql/wishes.h"

#include "utils/array.h"
#include "utils/builtins.h"

#include "pg/serve/arguments.h"
#include "pg/serve/queries.h"

/* True if the function has the argument and the call sets it. */
static bool
is_given(FunctionCallInfo fcinfo, int place)
{
	return place != NO_ARGUMENT && !PG_ARGISNULL(place);
}

/* Adds recordings to a list of excluded ones. */
void
lbrec_leave_out(RecordingList *excluded, const RecordingList *more)
{
	int64		n = excluded->n + more->n;
	Size		bytes = Max(n, 1) * sizeof(pg_uuid_t);

	excluded->keys = excluded->keys ?
		repalloc_huge(excluded->keys, bytes) :
		palloc_extended(bytes, MCXT_ALLOC_HUGE);
	memcpy(excluded->keys + excluded->n, more->keys,
		   more->n * sizeof(pg_uuid_t));
	excluded->n = n;
}

/*
 * Reads exclude_listened, exclude, candidates, filter, min_listens and
 * max_listens.  It runs the caller's queries, so no model may be open.
 * user_id NULL: no listens can be excluded.
 */
void
lbrec_read_conditions(Conditions *conditions, FunctionCallInfo fcinfo,
					  const WishPlaces *at, const char *listens,
					  const int64 *user_id)
{
	if (user_id && is_given(fcinfo, at->exclude_listened) &&
		PG_GETARG_BOOL(at->exclude_listened))
		conditions->listened = lbrec_listened_recordings(listens, *user_id);
	if (is_given(fcinfo, at->exclude))
		conditions->excluded =
			lbrec_array_recordings(PG_GETARG_ARRAYTYPE_P(at->exclude),
								   "exclude");
	if (is_given(fcinfo, at->candidates))
		conditions->candidates =
			lbrec_array_recordings(PG_GETARG_ARRAYTYPE_P(at->candidates),
								   "candidates");
	if (is_given(fcinfo, at->filter))
		conditions->filter =
			lbrec_query_recordings(text_to_cstring(PG_GETARG_TEXT_PP(at->filter)),
								   "filter");
	conditions->bounded = is_given(fcinfo, at->min_listens) ||
		is_given(fcinfo, at->max_listens);
	conditions->least = !is_given(fcinfo, at->min_listens) ? 0 :
		PG_GETARG_INT64(at->min_listens);
	conditions->most = !is_given(fcinfo, at->max_listens) ? PG_INT64_MAX :
		PG_GETARG_INT64(at->max_listens);
}

/* reads per_artist, artist_column and diversity */
void
lbrec_read_wishes(Wanted *wanted, FunctionCallInfo fcinfo,
				  const WishPlaces *at, const ServingModel *serving)
{
	if (is_given(fcinfo, at->diversity))
	{
		wanted->diversity = PG_GETARG_FLOAT8(at->diversity);
		if (!(wanted->diversity >= 0 && wanted->diversity <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("diversity is %g, outside of its range",
							wanted->diversity),
					 errdetail("It is from 0, best scores only, to 1, most different only."),
					 errhint("Try 0.3.")));
	}
	if (is_given(fcinfo, at->per_artist))
	{
		char	   *column = !is_given(fcinfo, at->artist_column) ? "artist_name" :
		text_to_cstring(PG_GETARG_TEXT_PP(at->artist_column));

		wanted->per_group = PG_GETARG_INT32(at->per_artist);
		if (wanted->per_group < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("per_artist is %d, but must be at least 1",
							wanted->per_group),
					 errdetail("It is the number of recordings of one artist that a list may have."),
					 errhint("Leave it out for no limit.")));
		wanted->groups = lbrec_grouping(serving, column, &wanted->n_groups);
		if (wanted->groups == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("model \"%s\" was not trained with a column \"%s\" of recordings",
							serving->image->row.name, column),
					 errdetail("per_artist needs to know each recording's artist from the query of listens."),
					 errhint("Train with that column, or name another one of text with artist_column.")));
	}
}
