/*
 * cv_ledger.h
 *		Records the members that a server has, so that none is loaded twice.
 */
#ifndef CV_LEDGER_H
#define CV_LEDGER_H

#include "cv_db.h"

typedef struct CvLedger CvLedger;

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

/* How a dump is to be loaded. */
typedef struct CvDumpUse
{
	const char *options;		/* those that decide which listens are loaded */
	bool		replace;		/* it becomes the content of listen */
	bool		by_month;
	bool		force;			/* replace by an older one */
	bool		reload;			/* forget that it was loaded */
} CvDumpUse;

typedef struct CvMemberCounts
{
	int64_t		bytes;
	int64_t		lines;
	int64_t		listens;
	int64_t		written;
	int64_t		rejected;
} CvMemberCounts;

extern CvLedger *cv_ledger_create(CvDb *db);
extern void cv_ledger_free(CvLedger *ledger);

/*
 * To be called when the tables are there: forgets what the ledger says and
 * the tables do not have, with a warning for each dump.
 */
extern bool cv_ledger_verify(CvLedger *ledger);

/* The newest moment that finished dumps reach; false in *known if none. */
extern bool cv_ledger_reach(CvLedger *ledger, bool *known, int64_t *reach);

/*
 * A dump begins.  With use->replace its listens must go to CV_SQL_NEXT until
 * cv_ledger_dump_end() makes them the content of listen.  True in *done if it
 * is that content already.
 */
extern bool cv_ledger_dump_begin(CvLedger *ledger, const CvDump *dump,
								 const CvDumpUse *use, bool *done);
extern bool cv_ledger_dump_end(CvLedger *ledger);

/* True in *known if the member was loaded.  bytes: its size. */
extern bool cv_ledger_knows(CvLedger *ledger, const char *member,
							int64_t bytes, bool *known);

/* The member's transaction. */
extern bool cv_ledger_member_begin(CvLedger *ledger);
extern bool cv_ledger_member_end(CvLedger *ledger, const char *member,
								 const CvMemberCounts *counts,
								 const CvSample *sample);

/* Rows that a replacement removed and added; -1 if there was none. */
extern int64_t cv_ledger_removed(const CvLedger *ledger);
extern int64_t cv_ledger_added(const CvLedger *ledger);

#endif							/* CV_LEDGER_H */
