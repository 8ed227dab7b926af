/*
 * time.h
 *		Times: microseconds since 1970 here, since 2000 in PostgreSQL.
 */
#ifndef LBREC_SERVER_TIME_H
#define LBREC_SERVER_TIME_H

#include "pg/server/lbrec.h"

#include "utils/timestamp.h"

#define LBREC_UNIX_EPOCH \
	(((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * USECS_PER_DAY)

/* Microseconds since 1970 of a timestamp; infinities stay the extremes. */
static inline int64
lbrec_unix_time(TimestampTz t)
{
	return TIMESTAMP_NOT_FINITE(t) ? t : t + LBREC_UNIX_EPOCH;
}

/* The timestamp of a time in microseconds since 1970. */
static inline TimestampTz
lbrec_timestamp(int64 time)
{
	return TIMESTAMP_NOT_FINITE(time) ? time : time - LBREC_UNIX_EPOCH;
}

#endif							/* LBREC_SERVER_TIME_H */
