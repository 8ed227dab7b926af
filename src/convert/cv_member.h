/*
 * cv_member.h
 *		The state of a run, and the functions that pass a member's bytes to its
 *		format.
 */
#ifndef CV_MEMBER_H
#define CV_MEMBER_H

#include "cv_canonical.h"
#include "cv_format.h"
#include "cv_import.h"
#include "cv_json.h"
#include "cv_load.h"
#include "cv_reader.h"
#include "cv_report.h"
#include "cv_run.h"
#include "cv_split.h"
#include "cv_sql.h"
#include "cv_text.h"

/* The columns that are read from a table of listens. */
typedef enum CvColumn
{
	CV_COLUMN_TIME,
	CV_COLUMN_ARTIST,
	CV_COLUMN_TRACK,
	CV_COLUMN_ALBUM,
	CV_COLUMN_MBID,
	CV_COLUMNS
} CvColumn;

typedef struct CvColumns
{
	int			at[CV_COLUMNS]; /* number of the field; -1: none */
	int			names_line;		/* line number of the header; -1: none */
	char		delimiter;
} CvColumns;

typedef struct Run
{
	const CvOptions *options;
	CvReader   *reader;
	CvJson	   *json;
	CvTarget   *target;
	CvLoad	   *load;
	CvLedger   *ledger;			/* NULL for a script */
	CvBuf		listen_options; /* the options that the ledger records */
	CvCounts   *counts;
	bool		reach_known;
	int64_t		reach;			/* newest time that dumps before this one
								 * cover */

	/* The input */
	CvBuf		input;			/* name */
	CvPlace		place;
	CvDefaults	defaults;
	bool		found;			/* it has a member of a known format */
	bool		done;			/* the ledger has all of it */
	bool		late_told;		/* the warning about a late TIMESTAMP was
								 * given */
	CvDump		dump;
	CvBuf		dump_name;

	/* The member */
	CvBuf		member;			/* name */
	bool		is_archive;
	int64_t		size;
	const CvFormat *format;		/* NULL: not known yet, or skipped */
	bool		format_known;
	bool		in_rows;		/* between begin_rows and end_rows */
	CvCounts	before;
	int64_t		written_before;
	CvSplit		split;
	CvBuf		document;		/* bytes of a format that is read whole */
	CvBuf		scratch;		/* temporary text of a line */
	CvBuf		names;			/* mended names of a listen */
	CvColumns	columns;		/* cv_csv.c's */
	bool		names_seen;
	CvBuf		rows;			/* cv_feedback.c's rows, not yet sent */
	CvCsvPlace	csv;			/* cv_canonical.c's */
} Run;

/* head is the member's beginning. cv_member_data() gets its bytes again. */
extern bool cv_member_begin(Run *run, const CvHead *head);
extern bool cv_member_data(Run *run, const char *data, size_t len);
extern bool cv_member_end(Run *run);

/*
 * Formats call this for each line.  It loads a listen, or counts the line by
 * its reason.  Rejected lines are kept.
 */
extern bool cv_take_listen(Run *run, CvReason reason, const CvListen *listen,
						   const char *line, size_t len);

#endif							/* CV_MEMBER_H */
