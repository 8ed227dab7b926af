/*
 * cv_run.h
 *		Carries out a whole run, from the inputs to the target.
 */
#ifndef CV_RUN_H
#define CV_RUN_H

#include "cv_ledger.h"
#include "cv_load.h"
#include "cv_report.h"

typedef struct CvOptions
{
	CvTable		table;
	bool		by_month;		/* listen is partitioned */
	bool		replace;		/* a full dump becomes the content of listen */
	bool		leave_out_early;
	bool		force;			/* accept an unknown SCHEMA_SEQUENCE */
	bool		reload;			/* load dumps and members that the ledger has,
								 * too */
	bool		user_names;		/* users get their numbers from their names */
	bool		has_user_id;	/* user number for inputs that name no user */
	int64_t		user_id;
} CvOptions;

typedef struct CvResult
{
	CvCounts	counts;
	int64_t		written;		/* listens written; -1: the target cannot say */
	int64_t		removed;		/* listens that a replacement removed; -1:
								 * none ran */
	bool		finished;
} CvResult;

/*
 * ledger is NULL for a script, else it belongs to the same server as target.
 */
extern void cv_run(const CvOptions *options, char *const *paths, int n_paths,
				   CvTarget *target, CvLedger *ledger, CvResult *result);

#endif							/* CV_RUN_H */
