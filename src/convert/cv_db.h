/*
 * cv_db.h
 *		The target for a server: loads through libpq.
 */
#ifndef CV_DB_H
#define CV_DB_H

#include "cv_load.h"

#include <libpq-fe.h>

typedef struct CvDb CvDb;

/* Returns NULL after reporting the reason. */
extern CvDb *cv_db_connect(const char *conninfo);
extern void cv_db_free(CvDb *db);
extern CvTarget *cv_db_target(CvDb *db);

/*
 * Call this first.  It finds the schema, makes the session safe, checks the
 * existing tables, creates the ledger, and waits until no other converter
 * loads.  trusted: see cv_check_sql().
 */
extern bool cv_db_begin(CvDb *db, const char *const *trusted, int n);

/*
 * Sets *by_month to true if listen is partitioned by ranges of listened_at.
 * An existing listen that differs from the request is an error.
 */
extern bool cv_db_by_month(CvDb *db, bool *by_month);

/*
 * Begins a transaction that writes to the tables.  It takes a lock that keeps
 * their triggers, constraints and columns unchanged, and checks those.
 * Committing fails if the lock against other converters was lost.
 */
extern bool cv_db_write_begin(CvDb *db);
extern bool cv_db_write_end(CvDb *db);

/* Builds the keys that a first load leaves out. */
extern bool cv_db_bulk_end(CvDb *db, int64_t *duplicates);
extern bool cv_db_keyless(const CvDb *db);
extern bool cv_db_first(const CvDb *db);

/*
 * Run statements with text parameters, written as cv_sql.h describes.  They
 * return NULL or false after reporting an error.
 */
extern PGresult *cv_db_query(CvDb *db, const char *sql, int n,
							 const char *const *values);
extern bool cv_db_run(CvDb *db, const char *sql, int n,
					  const char *const *values, int64_t *rows);

/*
 * Returns the first column of the first row; *found is false if there is no
 * row.
 */
extern bool cv_db_ask(CvDb *db, const char *sql, int n,
					  const char *const *values, bool *found, char *answer,
					  size_t size);

#endif							/* CV_DB_H */
