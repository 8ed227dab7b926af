/*
 * cv_format.h
 *		The formats that a member of an input can have: one table.
 *
 * To add a format, define a CvFormat in a file of its own or beside its
 * relatives, and name it in cv_format.c's list.  Its documentation is a row
 * of docs/convert.md, its test one in test/t/convert_kinds.t, its seed for the
 * fuzzers one in test/fuzz/make_corpus.pl.
 */
#ifndef CV_FORMAT_H
#define CV_FORMAT_H

#include "cv.h"

struct Run;

/* The beginning of a member, from which its format is found. */
typedef struct CvHead
{
	const char *name;			/* as in the archive or folder */
	const char *base;			/* without its folders */
	bool		archive;		/* the member is one of several */
	const char *data;			/* whole if there are no more bytes */
	size_t		len;
	const char *text;			/* behind a BOM and white space */
	size_t		text_len;
	size_t		line_len;		/* of the text's first line */
} CvHead;

/* How the bytes of a member are cut for CvFormat.piece. */
typedef enum CvCut
{
	CV_CUT_NONE,				/* nothing of it is read */
	CV_CUT_BYTES,				/* as they come */
	CV_CUT_WHOLE,				/* all of them, which are few */
	CV_CUT_LINES,
	CV_CUT_RECORDS,				/* of CSV: a quoted field may have newlines */
	CV_CUT_VALUES				/* JSON values, or the elements of an array */
} CvCut;

typedef enum CvRole
{
	CV_ROLE_LISTENS,
	CV_ROLE_METADATA,			/* it goes into tables of its own */
	CV_ROLE_FACT,				/* it tells something about other members */
	CV_ROLE_LEFT,				/* of no interest beside other members */
	CV_ROLE_REFUSED,			/* told of, and counted, beside others */
	CV_ROLE_FATAL				/* ends the run unless listens came before */
} CvRole;

typedef struct CvFormat
{
	const char *name;			/* for messages: "an answer of the API" */
	CvRole		role;
	CvCut		cut;
	const char *key;			/* CV_CUT_VALUES: the array's key in an
								 * object, or NULL */
	bool		needs_user;		/* it never names the listens' user */
	bool		names_users;	/* but their names: --user-names will do */
	bool		counts_itself;	/* a piece is not one line, but several */
	const char *hint;			/* CV_ROLE_LEFT and on: what to do */

	/* True if a member that begins so is of this format. */
	bool		(*detect) (const CvHead *head);

	/*
	 * Each may be NULL, and returns false after it has told the user why the
	 * run cannot go on.  piece: CV_PADDING readable bytes follow it.
	 */
	bool		(*begin) (struct Run *run, const CvHead *head);
	bool		(*piece) (struct Run *run, const char *piece, size_t len);
	bool		(*end) (struct Run *run);
} CvFormat;

/* The format of a member, never NULL, and in *head its beginning. */
extern const CvFormat *cv_format_of(const char *name, bool archive,
									const char *data, size_t len,
									CvHead *head);

/* Questions of detect functions about the head's text. */
extern bool cv_head_holds(const CvHead *head, const char *part);
extern bool cv_head_line_holds(const CvHead *head, const char *part);
extern bool cv_head_begins(const CvHead *head, const char *part);
extern bool cv_head_named(const CvHead *head, const char *end);

#endif							/* CV_FORMAT_H */
