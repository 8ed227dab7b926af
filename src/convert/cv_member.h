/*
 * cv_member.h
 *		The state of a run, and what is done with a member of each kind.
 */
#ifndef CV_MEMBER_H
#define CV_MEMBER_H

#include "cv_canonical.h"
#include "cv_json.h"
#include "cv_kind.h"
#include "cv_load.h"
#include "cv_reader.h"
#include "cv_report.h"
#include "cv_run.h"
#include "cv_split.h"
#include "cv_sql.h"
#include "cv_text.h"

typedef struct Run
{
	const CvOptions *options;
	CvReader   *reader;
	CvJson	   *json;
	CvTarget   *target;
	CvLoad	   *load;
	CvLedger   *ledger;			/* NULL: a script */
	CvBuf		listen_options; /* what the ledger has to know of them */
	CvCounts   *counts;
	bool		reach_known;
	int64_t		reach;			/* of the dumps loaded before, here or there */

	/* the input */
	CvBuf		input;			/* its name */
	CvPlace		place;
	CvDefaults	defaults;
	bool		found;			/* it has a member of ours */
	bool		done;			/* the ledger says: all of it is loaded */
	CvDump		dump;
	CvBuf		dump_name;

	/* the member */
	CvBuf		member;			/* its name */
	bool		is_archive;
	int64_t		size;
	CvKind		kind;
	bool		kind_known;
	bool		in_rows;		/* between begin_rows and end_rows */
	CvCounts	before;
	int64_t		written_before;
	CvSplit		split;
	CvBuf		document;		/* of a kind that is read whole */
	CvColumns	columns;		/* of Libre.fm's CSV */
	CvBuf		scratch;
	CvCsvPlace	csv;			/* of canonical data */
} Run;

/* head: the member's first bytes.  They come again by cv_member_data(). */
extern bool cv_member_begin(Run *run, const char *head, size_t len);
extern bool cv_member_data(Run *run, const char *data, size_t len);
extern bool cv_member_end(Run *run);

#endif							/* CV_MEMBER_H */
