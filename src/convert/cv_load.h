/*
 * cv_load.h
 *		Listens to COPY text, in batches that a target takes.
 */
#ifndef CV_LOAD_H
#define CV_LOAD_H

#include "cv.h"

/*
 * Where the load goes: a script or a server.  Each returns false after it has
 * told the user what is wrong; then the load is over.
 */
typedef struct CvTarget
{
	bool		direct;			/* listens need no merge: no key, and a
								 * transaction */
	bool		counts_rows;	/* exec can say how many rows it wrote */

	/* Runs one statement without its semicolon; *rows may be NULL. */
	bool		(*exec) (struct CvTarget *target, const char *sql,
						 int64_t *rows);

	/*
	 * A first load may go without the key of listen (cv_sql.c).  bulk_begin
	 * finds out and takes it away; exec_either runs one of two statements,
	 * the first in such a load; bulk_end brings the key back, *rows are
	 * duplicates that it deleted.
	 */
	bool		(*bulk_begin) (struct CvTarget *target);
	bool		(*exec_either) (struct CvTarget *target, const char *bulk,
								const char *keyed, int64_t *rows);
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

typedef struct CvLoad CvLoad;

/* by_month: listen is partitioned, and its partitions are created. */
extern CvLoad *cv_load_create(CvTarget *target, CvTable table, bool by_month);
extern void cv_load_free(CvLoad *load);

/* Creates the tables alone. */
extern bool cv_load_tables(CvTarget *target, bool by_month);

/* Creates the tables that are missing, and those that a batch needs. */
extern bool cv_load_begin(CvLoad *load);

/* From now on listens go to this table, one of cv_sql.h's two. */
extern void cv_load_into(CvLoad *load, const char *listen_table);

extern bool cv_load_listen(CvLoad *load, const CvListen *listen);

/* Merge what is in the open batch, if anything. */
extern bool cv_load_flush(CvLoad *load);

/* The last batch, and the key if the load went without. */
extern bool cv_load_end(CvLoad *load);

/* Rows that the target said were written; -1 for a target that cannot say. */
extern int64_t cv_load_written(const CvLoad *load);

/*
 * The recordings seen outgrew the memory for them, so rows of --table
 * recording may repeat.
 */
extern bool cv_load_forgot(const CvLoad *load);

#endif							/* CV_LOAD_H */
