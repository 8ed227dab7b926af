/*
 * user_listens.h
 *		Reads one user's listens during a call.
 */
#ifndef LBREC_SERVE_USER_LISTENS_H
#define LBREC_SERVE_USER_LISTENS_H

#include "pg/server/lbrec.h"

/* A user's listens, latest first, times in microseconds since 1970. */
typedef struct ListenList
{
	int64		n;
	pg_uuid_t  *keys;
	int64	   *times;
} ListenList;

/* A period of listens, after one time and up to another; NULL: no bound. */
typedef struct ListenPeriod
{
	const int64 *after;
	const int64 *until;
} ListenPeriod;

extern ListenList lbrec_user_listens(const char *listens, int64 user_id,
									 ListenPeriod period);
extern bool lbrec_listens_have_times(const char *listens);
extern bool lbrec_default_is_cheap(const char *listens);

#endif							/* LBREC_SERVE_USER_LISTENS_H */
