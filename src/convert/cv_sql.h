/*
 * cv_sql.h
 *		The SQL that the converter writes, in one place.
 */
#ifndef CV_SQL_H
#define CV_SQL_H

#include "cv.h"

/* Where listens go: the table itself, or what is to replace its content. */
#define CV_SQL_LISTEN "listen"
#define CV_SQL_NEXT "lbrec_next_listen"

/* Statements without semicolons; lists end with NULL. */
extern const char *const cv_sql_staging[];
extern const char *const cv_sql_ledger[];
extern const char *const cv_sql_replace[];

extern const char *const cv_sql_recording_table;
extern void cv_sql_listen_table(CvBuf *sql, const char *table, bool by_month);
extern void cv_sql_listen_index(CvBuf *sql, const char *table);

extern const char *const cv_sql_merge_recordings;
extern const char *const cv_sql_merge_identifiers;
extern void cv_sql_merge_listens(CvBuf *sql, const char *table);
extern const char *const cv_sql_empty_staging;

/*
 * Partitions by month: a number for the one that a time belongs to, and its
 * definition.
 */
#define CV_SQL_MONTHS 1170
extern int	cv_sql_month(int64_t micros);
extern void cv_sql_partition(CvBuf *sql, const char *table, int month);

#define CV_SQL_COPY_LISTENS \
	"COPY lbrec_new_listen (user_id, listened_at, recording_msid) FROM STDIN"
#define CV_SQL_COPY_RECORDINGS \
	"COPY lbrec_new_recording (recording_msid, artist_name, track_name, " \
	"release_name, recording_mbid, release_mbid, artist_mbids) FROM STDIN"

#endif							/* CV_SQL_H */
