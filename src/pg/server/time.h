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

/*
 * The range of times of listens: from PostgreSQL's first to the end of the
 * year 9999.  Milliseconds mistaken for seconds lie outside, and no difference
 * of two such times overflows.
 */
#define LBREC_FIRST_TIME \
	((DATETIME_MIN_JULIAN - UNIX_EPOCH_JDATE) * USECS_PER_DAY)
#define LBREC_LAST_TIME (INT64CONST(253402300800) * USECS_PER_SEC - 1)

/*
 * Returns microseconds since 1970 of a timestamp; infinities stay the
 * extremes.
 */
static inline int64
lbrec_unix_time(TimestampTz t)
{
	return TIMESTAMP_NOT_FINITE(t) ? t : t + LBREC_UNIX_EPOCH;
}

/* Returns the timestamp of a time in microseconds since 1970. */
static inline TimestampTz
lbrec_timestamp(int64 time)
{
	return TIMESTAMP_NOT_FINITE(time) ? time : time - LBREC_UNIX_EPOCH;
}

extern int64 lbrec_argument_time(TimestampTz t, const char *argument);
extern bool lbrec_seconds_time(int64 *time, int64 seconds);

#endif							/* LBREC_SERVER_TIME_H */
