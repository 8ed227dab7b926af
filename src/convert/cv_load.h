/*
 * cv_load.h
 *		Listens to COPY rows, in batches that a target takes.
 */
#ifndef CV_LOAD_H
#define CV_LOAD_H

#include "cv.h"

/* Parts that a first load leaves until its end; see cv_sql_bulk_begin. */
typedef enum CvBulk
{
	CV_BULK_KEYLESS,			/* listen has no key */
	CV_BULK_FIRST				/* recordings are collected apart */
} CvBulk;

/*
 * Where the load goes: a script or a server.  Each returns false after it has
 * told the user what is wrong; then the load is over.  SQL is in the form
 * that cv_sql.h tells: no semicolon, "@." for the tables' schema.
 */
typedef struct CvTarget
{
	bool		direct;			/* listens need no merge: no key, and a
								 * transaction */
	bool		direct_recordings;	/* recordings need none for the same
									 * reason */
	bool		binary;			/* COPY of listens is binary */
	bool		counts_rows;	/* exec can say how many rows it wrote */

	/* Runs one statement; *rows may be NULL. */
	bool		(*exec) (struct CvTarget *target, const char *sql,
						 int64_t *rows);

	/* Runs a DO statement: psql puts nothing into those. */
	bool		(*block) (struct CvTarget *target, const char *sql);

	/*
	 * Fails unless the tables may be written to.  Called before they are
	 * made, and before each merge.
	 */
	bool		(*check) (struct CvTarget *target);

	/*
	 * bulk_begin finds out whether this is a first load and begins or
	 * continues one; exec_either runs one of two statements, the first in
	 * such a load; bulk_end brings keys and recordings where they belong,
	 * *rows are duplicates that it deleted from listen.
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
	CV_TABLE_LISTEN,			/* COPY rows alone */
	CV_TABLE_RECORDING
} CvTable;

/* Listens drawn at random from those of a member, each as likely. */
#define CV_SAMPLE 32

typedef struct CvSample
{
	int64_t		seen;			/* listens that were drawn from */
	int			n;
	int64_t		user_id[CV_SAMPLE];
	int64_t		listened_at[CV_SAMPLE];
	CvUuid		recording_msid[CV_SAMPLE];
} CvSample;

typedef struct CvLoad CvLoad;

/* by_month: listen is partitioned, and its partitions are created. */
extern CvLoad *cv_load_create(CvTarget *target, CvTable table, bool by_month);
extern void cv_load_free(CvLoad *load);

/* Also fills lbrec_user; before cv_load_begin(). */
extern void cv_load_user_names(CvLoad *load);

/* Creates the tables alone. */
extern bool cv_load_tables(CvTarget *target, bool by_month);

/* Creates the tables that are missing, and those that a batch needs. */
extern bool cv_load_begin(CvLoad *load);

/* From now on listens go to this table, one of cv_sql.h's two. */
extern void cv_load_into(CvLoad *load, const char *listen_table);

extern bool cv_load_listen(CvLoad *load, const CvListen *listen);

/* Begins a new sample. */
extern void cv_load_sample_begin(CvLoad *load);
extern const CvSample *cv_load_sample(const CvLoad *load);

/* Merges the rows of the open batch, if there are any. */
extern bool cv_load_flush(CvLoad *load);

/* The last batch, and the end of a first load. */
extern bool cv_load_end(CvLoad *load);

/* Rows that the target said were written; -1 for a target that cannot say. */
extern int64_t cv_load_written(const CvLoad *load);

/*
 * True if the recordings seen outgrew the memory for them, so that rows of
 * --table recording may repeat.
 */
extern bool cv_load_forgot(const CvLoad *load);

#endif							/* CV_LOAD_H */
