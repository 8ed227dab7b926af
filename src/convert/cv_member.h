/*
 * cv_member.h
 *		The state of a run, and the way of a member's bytes to its format.
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

/* The columns of a table of listens that are read. */
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
	int			names_line;		/* the line with the names; -1: none */
	char		delimiter;
} CvColumns;

typedef struct Run
{
	const CvOptions *options;
	CvReader   *reader;
	CvJson	   *json;
	CvTarget   *target;
	CvLoad	   *load;
	CvLedger   *ledger;			/* NULL: a script */
	CvBuf		listen_options; /* those that the ledger has to know */
	CvCounts   *counts;
	bool		reach_known;
	int64_t		reach;			/* of the dumps loaded before, here or there */

	/* the input */
	CvBuf		input;			/* its name */
	CvPlace		place;
	CvDefaults	defaults;
	bool		found;			/* it has a member of ours */
	bool		done;			/* the ledger says: all of it is loaded */
	bool		late_told;		/* of a TIMESTAMP behind listens */
	CvDump		dump;
	CvBuf		dump_name;

	/* the member */
	CvBuf		member;			/* its name */
	bool		is_archive;
	int64_t		size;
	const CvFormat *format;		/* NULL: not yet known, or left alone */
	bool		format_known;
	bool		in_rows;		/* between begin_rows and end_rows */
	CvCounts	before;
	int64_t		written_before;
	CvSplit		split;
	CvBuf		document;		/* of a format that is read whole */
	CvBuf		scratch;		/* of a line */
	CvBuf		names;			/* mended ones of a listen */
	CvColumns	columns;		/* cv_csv.c's */
	bool		names_seen;
	CvBuf		rows;			/* cv_feedback.c's, not yet sent */
	CvCsvPlace	csv;			/* cv_canonical.c's */
} Run;

/* head: the member's beginning.  Its bytes come again by cv_member_data(). */
extern bool cv_member_begin(Run *run, const CvHead *head);
extern bool cv_member_data(Run *run, const char *data, size_t len);
extern bool cv_member_end(Run *run);

/*
 * For formats: loads a listen, or counts and keeps what is none.  line is
 * kept of a reject.
 */
extern bool cv_take_listen(Run *run, CvReason reason, const CvListen *listen,
						   const char *line, size_t len);

#endif							/* CV_MEMBER_H */
