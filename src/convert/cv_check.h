/*
 * cv_check.h
 *		Checks that existing tables are safe to write to.
 */
#ifndef CV_CHECK_H
#define CV_CHECK_H

#include "cv.h"

/*
 * SQLSTATE of the errors that our own blocks raise: these messages need no
 * "the server refused" in front.
 */
#define CV_OUR_ERROR "LB001"

/* The comment on a table listen without its key during a first load. */
#define CV_NO_KEY \
	"lbrec-convert is loading; its primary key comes back at the end"

/*
 * A DO block for a target's block(), which raises an error unless
 *
 *	- the schema, the tables of our names, their partitions and the tables
 *	  that reference them, and all functions, operators and types that a row
 *	  of those would call, belong to the loader, the database's owner, a
 *	  superuser, or the owner of a table or schema in trusted[0 .. n - 1];
 *	- listen and recording, where they exist, have our columns in types that
 *	  hold what we write, and unique indexes that keep a second load out.
 *
 * Tables that are missing pass.
 */
extern void cv_check_sql(CvBuf *sql, const char *const *trusted, int n);

/*
 * A block that locks those tables for writing until the transaction ends:
 * under that lock no trigger, constraint or column changes.
 */
extern const char *const cv_check_lock;

#endif							/* CV_CHECK_H */
