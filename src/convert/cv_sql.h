/*
 * cv_sql.h
 *		The SQL that the converter writes, in one place.
 */
#ifndef CV_SQL_H
#define CV_SQL_H

/* Statements without semicolons; lists end with NULL. */
extern const char *const cv_sql_tables[];
extern const char *const cv_sql_staging[];
extern const char *const cv_sql_merge[];

/* Which of cv_sql_merge writes listens: its row count is the new ones. */
#define CV_SQL_MERGE_LISTENS 2

#define CV_SQL_COPY_LISTENS \
	"COPY lbrec_new_listen (user_id, listened_at, recording_msid) FROM STDIN"
#define CV_SQL_COPY_RECORDINGS \
	"COPY lbrec_new_recording (recording_msid, artist_name, track_name, " \
	"release_name, recording_mbid, release_mbid, artist_mbids) FROM STDIN"

#endif							/* CV_SQL_H */
