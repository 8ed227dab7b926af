/*
 * cv_ledger.h
 *		Records which members a server has, so that none is loaded twice.
 */
#ifndef CV_LEDGER_H
#define CV_LEDGER_H

#include "cv_db.h"

typedef struct CvLedger CvLedger;

typedef enum CvDumpKind
{
	CV_DUMP_OTHER,				/* an export or a file: loaded again each time */
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
	const char *options;		/* the options that decide which listens are
								 * loaded */
	bool		replace;		/* make it the content of listen */
	bool		by_month;
	bool		force;			/* let an older dump replace a newer one */
	bool		reload;			/* forget that it was loaded before */
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
 * Call this when the tables exist.  It forgets members of the ledger whose
 * listens the tables lack, with a warning for each dump.
 */
extern bool cv_ledger_verify(CvLedger *ledger);

/*
 * Returns the newest time that finished dumps cover; *known is false if there
 * is none.
 */
extern bool cv_ledger_reach(CvLedger *ledger, bool *known, int64_t *reach);

/*
 * Begins a dump.  With use->replace, its listens must go to CV_SQL_NEXT until
 * cv_ledger_dump_end() makes them the content of listen.  *done is true if it
 * is the content already.
 */
extern bool cv_ledger_dump_begin(CvLedger *ledger, const CvDump *dump,
								 const CvDumpUse *use, bool *done);
extern bool cv_ledger_dump_end(CvLedger *ledger);

/* Sets *known to true if the member was loaded before. bytes is its size. */
extern bool cv_ledger_knows(CvLedger *ledger, const char *member,
							int64_t bytes, bool *known);

/* These begin and end the transaction of a member. */
extern bool cv_ledger_member_begin(CvLedger *ledger);
extern bool cv_ledger_member_end(CvLedger *ledger, const char *member,
								 const CvMemberCounts *counts,
								 const CvSample *sample);

/*
 * Return the numbers of rows that a replacement removed and added, or -1 if
 * there was none.
 */
extern int64_t cv_ledger_removed(const CvLedger *ledger);
extern int64_t cv_ledger_added(const CvLedger *ledger);

#endif							/* CV_LEDGER_H */
