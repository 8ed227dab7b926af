/*
 * cv_load.h
 *		Turns listens into COPY rows, in batches for a target.
 */
#ifndef CV_LOAD_H
#define CV_LOAD_H

#include "cv.h"

/* Parts that a first load postpones to its end; see cv_sql_bulk_begin. */
typedef enum CvBulk
{
	CV_BULK_KEYLESS,			/* listen has no key */
	CV_BULK_FIRST				/* recordings are collected in a table of
								 * their own */
} CvBulk;

/*
 * The destination of a load: a script or a server.  Each function returns
 * false after reporting an error; then the load is over.  SQL is written as
 * cv_sql.h describes: no semicolon, "@."  for the tables' schema.
 */
typedef struct CvTarget
{
	bool		direct;			/* listens need no merge: no key, and one
								 * transaction */
	bool		direct_recordings;	/* recordings need no merge, for the same
									 * reason */
	bool		binary;			/* COPY of listens is binary */
	bool		counts_rows;	/* exec can return the number of rows written */

	/* Runs one statement; *rows may be NULL. */
	bool		(*exec) (struct CvTarget *target, const char *sql,
						 int64_t *rows);

	/* Runs a DO statement. psql expands no variables inside it. */
	bool		(*block) (struct CvTarget *target, const char *sql);

	/*
	 * Fails unless the tables are safe to write to.  Called before they are
	 * created, and before each merge.
	 */
	bool		(*check) (struct CvTarget *target);

	/*
	 * bulk_begin finds out whether this is a first load, and begins or
	 * continues one.  exec_either runs the first of two statements in such a
	 * load, else the second.  bulk_end builds the keys and merges the
	 * recordings; *rows is the number of duplicates deleted from listen.
	 */
	bool		(*bulk_begin) (struct CvTarget *target);
	bool		(*exec_either) (struct CvTarget *target, CvBulk bulk,
								const char *first, const char *later,
								int64_t *rows);
	bool		(*bulk_end) (struct CvTarget *target, int64_t *rows);

	bool		(*copy_begin) (struct CvTarget *target, const char *sql);
	bool		(*copy_data) (struct CvTarget *target, const char *data,
							  size_t len);
	bool		(*copy_end) (struct CvTarget *target);
} CvTarget;

typedef enum CvTable
{
	CV_TABLE_BOTH,				/* batches with their merge */
	CV_TABLE_LISTEN,			/* COPY rows of listen alone */
	CV_TABLE_RECORDING
} CvTable;

/* Size of the uniform random sample of a member's listens. */
#define CV_SAMPLE 32

typedef struct CvSample
{
	int64_t		seen;			/* listens so far, sampled or not */
	int			n;
	int64_t		user_id[CV_SAMPLE];
	int64_t		listened_at[CV_SAMPLE];
	CvUuid		recording_msid[CV_SAMPLE];
} CvSample;

typedef struct CvLoad CvLoad;

/* by_month: listen is partitioned, and missing partitions are created. */
extern CvLoad *cv_load_create(CvTarget *target, CvTable table, bool by_month);
extern void cv_load_free(CvLoad *load);

/* Makes the load fill lbrec_user, too. Call it before cv_load_begin(). */
extern void cv_load_user_names(CvLoad *load);

/* Creates the tables and does nothing else. */
extern bool cv_load_tables(CvTarget *target, bool by_month);

/* Creates missing tables, and the temporary tables of a batch. */
extern bool cv_load_begin(CvLoad *load);

/* Sends later listens to this table, one of the two in cv_sql.h. */
extern void cv_load_into(CvLoad *load, const char *listen_table);

extern bool cv_load_listen(CvLoad *load, const CvListen *listen);

/* Begins a new sample. */
extern void cv_load_sample_begin(CvLoad *load);
extern const CvSample *cv_load_sample(const CvLoad *load);

/* Merges the rows of the open batch, if there are any. */
extern bool cv_load_flush(CvLoad *load);

/* Merges the last batch and finishes a first load. */
extern bool cv_load_end(CvLoad *load);

/* Returns the number of rows written, or -1 if the target cannot count. */
extern int64_t cv_load_written(const CvLoad *load);

/*
 * True if the memory for recordings overflowed, so that --table recording may
 * repeat rows.
 */
extern bool cv_load_forgot(const CvLoad *load);

#endif							/* CV_LOAD_H */
