/*
 * cv_sql.h
 *		All SQL that the converter writes.
 */
#ifndef CV_SQL_H
#define CV_SQL_H

#include "cv.h"

/*
 * The target of listens: the table itself, or one whose rows will replace its
 * rows.
 */
#define CV_SQL_LISTEN "listen"
#define CV_SQL_NEXT "lbrec_next_listen"

/* Suffix of a dump's name in the ledger while it loads beside listen. */
#define CV_SQL_REPLACING " (replacing)"

/*
 * Statements have no semicolon; lists end with NULL.  Targets replace "@."  by
 * the schema of the tables and a point, "@n" by the schema's name as a
 * literal.  A block is a DO statement.
 */
extern void cv_sql_expand(CvBuf *to, const char *sql, const char *prefix,
						  const char *literal);

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
extern void cv_sql_merge_listens(CvBuf *sql, const char *table, bool keyed);
extern const char *const cv_sql_empty_staging;

/*
 * For --user-names: the tables, and statements that replace user numbers by
 * those of lbrec_user, in the batch and in listen.
 */
extern const char *const cv_sql_users[];
extern const char *const cv_sql_merge_users;
extern const char *const cv_sql_number_batch;
extern const char *const cv_sql_number_first;
extern const char *const cv_sql_number_listens;
extern const char *const cv_sql_number_rest;

/* For the first load; _begin and _first_end are blocks. */
extern const char *const cv_sql_bulk_begin;
extern const char *const cv_sql_is_bulk;
extern const char *const cv_sql_first_recordings;
extern const char *const cv_sql_first_end;
extern const char *const cv_sql_add_key;
extern const char *const cv_sql_delete_duplicates;

/*
 * Forgets ledger members whose sample is missing from listen_table or
 * recording.  first: look in the table where a first load collects recordings.
 * Result: a row for each dump with its number of such members.
 */
extern void cv_sql_forget(CvBuf *sql, const char *listen_table, bool first);

/*
 * Partitions by month: the number of the month of a time, and a block that
 * creates its partition.
 */
#define CV_SQL_MONTHS 1170
extern int	cv_sql_month(int64_t micros);
extern void cv_sql_partition(CvBuf *sql, const char *table, int month);

#define CV_SQL_COPY_COLUMNS \
	" (recording_msid, artist_name, track_name, release_name, " \
	"recording_mbid, release_mbid, artist_mbids) FROM STDIN"
#define CV_SQL_COPY_RECORDINGS \
	"COPY pg_temp.lbrec_new_recording" CV_SQL_COPY_COLUMNS
#define CV_SQL_COPY_USERS \
	"COPY pg_temp.lbrec_new_user (user_id, user_name, name_id) FROM STDIN"
#define CV_SQL_COPY_FIRST "COPY @.lbrec_first_recording" CV_SQL_COPY_COLUMNS

#endif							/* CV_SQL_H */
