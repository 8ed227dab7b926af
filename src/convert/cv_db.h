/*
 * cv_db.h
 *		A target that is a server.
 */
#ifndef CV_DB_H
#define CV_DB_H

#include "cv_load.h"

#include <libpq-fe.h>

typedef struct CvDb CvDb;

/* NULL after saying why not. */
extern CvDb *cv_db_connect(const char *conninfo);
extern void cv_db_free(CvDb *db);
extern CvTarget *cv_db_target(CvDb *db);

/*
 * To be called before anything else: finds the schema, makes the session
 * safe, looks at the tables that are there, creates the ledger, and waits
 * until no other converter loads.  trusted: see cv_check_sql().
 */
extern bool cv_db_begin(CvDb *db, const char *const *trusted, int n);

/*
 * True in *by_month if listen is partitioned by ranges of listened_at; asked
 * for what a listen is not that is there, an error.
 */
extern bool cv_db_by_month(CvDb *db, bool *by_month);

/*
 * A transaction that writes to the tables.  Holds a lock under which their
 * triggers, constraints and columns stay, and looks at those.  Its end tells
 * whether the lock on other converters held.
 */
extern bool cv_db_write_begin(CvDb *db);
extern bool cv_db_write_end(CvDb *db);

/* Makes the keys that a first load went without. */
extern bool cv_db_bulk_end(CvDb *db, int64_t *duplicates);
extern bool cv_db_keyless(const CvDb *db);
extern bool cv_db_first(const CvDb *db);

/*
 * Statements with text parameters, in the form that cv_sql.h tells.  NULL or
 * false after telling why.
 */
extern PGresult *cv_db_query(CvDb *db, const char *sql, int n,
							 const char *const *values);
extern bool cv_db_run(CvDb *db, const char *sql, int n,
					  const char *const *values, int64_t *rows);

/* The first column of the first row; false in *found if there is none. */
extern bool cv_db_ask(CvDb *db, const char *sql, int n,
					  const char *const *values, bool *found, char *answer,
					  size_t size);

#endif							/* CV_DB_H */
