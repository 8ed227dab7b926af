/*
 * query.h
 *		Turns the argument listens, a table or a query, into a query.
 */
#ifndef LBREC_LISTENS_QUERY_H
#define LBREC_LISTENS_QUERY_H

#include "pg/server/lbrec.h"

/* The columns that every query of listens must have, for errdetail(). */
#define LBREC_LISTEN_COLUMNS \
	"A query of listens has the columns user_id (bigint), listened_at (timestamp with time zone) and recording_msid (uuid)."

/* The hint for a recording key that is no uuid. */
#define LBREC_UUID_HINT \
	"In the query, use lbrec_key(x), which makes a key of a bigint or a text."

extern char *lbrec_listens_query(const char *source, const char *argument);
extern char *lbrec_listens_columns(const char *source, const char *argument,
								   const char *columns);
extern void lbrec_explain_no_listens(void *arg);

#endif							/* LBREC_LISTENS_QUERY_H */
