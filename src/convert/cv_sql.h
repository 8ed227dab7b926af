/*
 * cv_sql.h
 *		The SQL that the converter writes, in one place.
 */
#ifndef CV_SQL_H
#define CV_SQL_H

#include "cv.h"

/* The target of listens: the table itself, or one that will replace its rows. */
#define CV_SQL_LISTEN "listen"
#define CV_SQL_NEXT "lbrec_next_listen"

/* Ends the name in the ledger of a dump that is being loaded beside listen. */
#define CV_SQL_REPLACING " (replacing)"

/*
 * Statements have no semicolon; lists end with NULL.  "@." stands for the
 * schema of the tables and a point, "@n" for its name as a literal: targets
 * put them in.  A block is a DO statement.
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
 * --user-names: tables; names to numbers in lbrec_user, in the batch and in
 * listen, where a listen with the number may be there already.
 */
extern const char *const cv_sql_users[];
extern const char *const cv_sql_merge_users;
extern const char *const cv_sql_number_batch;
extern const char *const cv_sql_number_first;
extern const char *const cv_sql_number_listens;
extern const char *const cv_sql_number_rest;

/* The first load; _begin and _first_end are blocks. */
extern const char *const cv_sql_bulk_begin;
extern const char *const cv_sql_is_bulk;
extern const char *const cv_sql_first_recordings;
extern const char *const cv_sql_first_end;
extern const char *const cv_sql_add_key;
extern const char *const cv_sql_delete_duplicates;

/*
 * Forgets members of the ledger whose sample is not in listen_table and in
 * recording; first: in the table where recordings are collected.  Rows: a
 * dump, its number of such members.
 */
extern void cv_sql_forget(CvBuf *sql, const char *listen_table, bool first);

/*
 * Partitions by month: a number for the one that a time belongs to, and a
 * block that creates it.
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
