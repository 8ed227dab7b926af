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
extern const char *const cv_sql_session[];
extern const char *const cv_sql_staging[];
extern const char *const cv_sql_ledger[];
extern const char *const cv_sql_replace[];

extern const char *const cv_sql_recording_table;
extern void cv_sql_listen_table(CvBuf *sql, const char *table, bool key,
								bool by_month);
extern void cv_sql_listen_index(CvBuf *sql, const char *table);

extern const char *const cv_sql_merge_recordings;
extern const char *const cv_sql_merge_identifiers;
extern void cv_sql_merge_listens(CvBuf *sql, const char *table, bool sorted);
extern const char *const cv_sql_empty_staging;

/* The first load: without the key, which is built at the end. */
extern const char *const cv_sql_bulk_begin;
extern const char *const cv_sql_is_bulk;
extern const char *const cv_sql_add_key;
extern const char *const cv_sql_delete_duplicates;

/*
 * Partitions by month: a number for the one that a time belongs to, and its
 * definition.
 */
#define CV_SQL_MONTHS 1170
extern int	cv_sql_month(int64_t micros);
extern void cv_sql_partition(CvBuf *sql, const char *table, int month);

#define CV_SQL_COPY_RECORDINGS \
	"COPY lbrec_new_recording (recording_msid, artist_name, track_name, " \
	"release_name, recording_mbid, release_mbid, artist_mbids) FROM STDIN"

#endif							/* CV_SQL_H */
