/*
 * queries.h
 *		Listens and recordings that a caller's queries return.
 */
#ifndef LBREC_SERVE_QUERIES_H
#define LBREC_SERVE_QUERIES_H

#include "pg/server/lbrec.h"

#include "core/scan/lb_scan.h"

/* Recordings that a query returned. */
typedef struct RecordingList
{
	int64		n;
	pg_uuid_t  *keys;
} RecordingList;

/* A user's listens, latest first, times in microseconds since 1970. */
typedef struct ListenList
{
	int64		n;
	pg_uuid_t  *keys;
	int64	   *times;
} ListenList;

extern ListenList lbrec_user_listens(const char *listens, int64 user_id,
									 const int64 *until);
extern RecordingList lbrec_listened_recordings(const char *listens,
											   int64 user_id);
extern RecordingList lbrec_query_recordings(const char *query,
											const char *argument);

#endif							/* LBREC_SERVE_QUERIES_H */
