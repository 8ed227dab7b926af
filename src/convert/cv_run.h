/*
 * cv_run.h
 *		From inputs to a target: the whole run.
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
	bool		reload;			/* load what the ledger knows, too */
	bool		user_names;		/* users get numbers by their names */
	bool		has_user_id;	/* for inputs that do not name their user */
	int64_t		user_id;
} CvOptions;

typedef struct CvResult
{
	CvCounts	counts;
	int64_t		written;		/* -1: the target cannot say */
	int64_t		removed;		/* by a replacement; -1: there was none */
	bool		finished;
} CvResult;

/* ledger is NULL, or the target is the database's. */
extern void cv_run(const CvOptions *options, char *const *paths, int n_paths,
				   CvTarget *target, CvLedger *ledger, CvResult *result);

#endif							/* CV_RUN_H */
