/*
 * time.c
 *		Refuses times outside the range of listens.
 */
#include "pg/server/time.h"

/*
 * Returns the time in the argument of that name, in microseconds since 1970.
 * Infinities become the ends of the accepted range.
 */
int64
lbrec_argument_time(TimestampTz t, const char *argument)
{
	int64		time;

	if (TIMESTAMP_IS_NOBEGIN(t))
		return LBREC_FIRST_TIME;
	if (TIMESTAMP_IS_NOEND(t))
		return LBREC_LAST_TIME;
	time = lbrec_unix_time(t);
	if (time > LBREC_LAST_TIME)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s is beyond the year 9999", argument),
				 errdetail("Milliseconds read as seconds give such times."),
				 errhint("to_timestamp() takes seconds: divide milliseconds by 1000.")));
	return time;
}

/* True if a listen may have this time, in seconds since 1970. */
bool
lbrec_seconds_time(int64 *time, int64 seconds)
{
	if (seconds > LBREC_LAST_TIME / USECS_PER_SEC ||
		seconds < LBREC_FIRST_TIME / USECS_PER_SEC)
		return false;
	*time = seconds * USECS_PER_SEC;
	return true;
}
