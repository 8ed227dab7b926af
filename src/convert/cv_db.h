/*
 * cv_db.h
 *		A target that is a server, and the ledger of what was loaded there.
 */
#ifndef CV_DB_H
#define CV_DB_H

#include "cv_load.h"

typedef struct CvDb CvDb;

typedef enum CvDumpKind
{
	CV_DUMP_OTHER,				/* an export, a file: loaded each time anew */
	CV_DUMP_FULL,
	CV_DUMP_INCREMENTAL
} CvDumpKind;

typedef struct CvDump
{
	CvDumpKind	kind;
	const char *name;
	bool		has_from;
	bool		has_to;
	int64_t		from;			/* START_TIMESTAMP */
	int64_t		to;				/* TIMESTAMP or END_TIMESTAMP */
} CvDump;

typedef struct CvMemberCounts
{
	int64_t		bytes;
	int64_t		lines;
	int64_t		listens;
	int64_t		written;
	int64_t		rejected;
} CvMemberCounts;

/* NULL after saying why not. */
extern CvDb *cv_db_connect(const char *conninfo);
extern void cv_db_free(CvDb *db);
extern CvTarget *cv_db_target(CvDb *db);

/*
 * To be called before tables are created: one converter at a time.  Tells
 * whether listen is there and partitioned, in which case *by_month becomes
 * true.
 */
extern bool cv_db_lock(CvDb *db, bool *by_month);

/* After they are: the ledger. */
extern bool cv_db_prepare(CvDb *db);

/* The newest moment that finished dumps reach; false in *known if none. */
extern bool cv_db_reach(CvDb *db, bool *known, int64_t *reach);

/*
 * A dump begins.  With replace its listens must go to CV_SQL_NEXT until
 * cv_db_dump_end() makes them the content of listen.  *done: it was finished
 * before and nothing was loaded since.
 */
extern bool cv_db_dump_begin(CvDb *db, const CvDump *dump, bool replace,
							 bool by_month, bool force, bool *done);
extern bool cv_db_member_known(CvDb *db, const char *member, int64_t bytes,
							   bool *known);
extern bool cv_db_member_begin(CvDb *db);
extern bool cv_db_member_end(CvDb *db, const char *member,
							 const CvMemberCounts *counts);
extern bool cv_db_dump_end(CvDb *db);

/* What a replacement did; -1 if there was none. */
extern int64_t cv_db_removed(const CvDb *db);
extern int64_t cv_db_added(const CvDb *db);

#endif							/* CV_DB_H */
