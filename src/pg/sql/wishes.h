/*
 * wishes.h
 *		Arguments that select the recordings of a list.
 */
#ifndef LBREC_SQL_WISHES_H
#define LBREC_SQL_WISHES_H

#include "pg/image/image.h"
#include "pg/serve/arguments.h"
#include "pg/serve/filter.h"
#include "pg/serve/select.h"

/* The positions of a function's arguments; NO_ARGUMENT: none. */
typedef struct WishPlaces
{
	int			exclude_listened;
	int			exclude;
	int			candidates;
	int			filter;
	int			min_listens;
	int			max_listens;
	int			per_artist;
	int			artist_column;
	int			diversity;
} WishPlaces;

extern void lbrec_leave_out(RecordingList *excluded, const RecordingList *more);
extern void lbrec_read_conditions(Conditions *conditions,
								  FunctionCallInfo fcinfo,
								  const WishPlaces *at, const char *listens,
								  const int64 *user_id);
extern void lbrec_read_wishes(Wanted *wanted, FunctionCallInfo fcinfo,
							  const WishPlaces *at,
							  const ServingModel *serving);

#endif							/* LBREC_SQL_WISHES_H */
