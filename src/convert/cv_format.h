/*
 * cv_format.h
 *		The formats that a member of an input can have: one table.
 *
 * To add a format, define a CvFormat in a file of its own or beside its
 * relatives, and name it in cv_format.c's list.  Its documentation is a row of
 * docs/convert.md, its test stands in test/t/062_convert_kinds.pl, its seed
 * for the fuzzers in test/fuzz/make_corpus.pl.
 */
#ifndef CV_FORMAT_H
#define CV_FORMAT_H

#include "cv.h"

struct Run;

/* The beginning of a member; detect functions look at it. */
typedef struct CvHead
{
	const char *name;			/* as in the archive or folder */
	const char *base;			/* without its folders */
	bool		archive;		/* the member is one of several */
	const char *data;			/* whole if there are no more bytes */
	size_t		len;
	const char *text;			/* data after a BOM and white space */
	size_t		text_len;
	size_t		line_len;		/* of the text's first line */
} CvHead;

/* How the bytes of a member are cut for CvFormat.piece. */
typedef enum CvCut
{
	CV_CUT_NONE,				/* the member is not read */
	CV_CUT_BYTES,				/* in blocks, as they arrive */
	CV_CUT_WHOLE,				/* in one piece; the member is small */
	CV_CUT_LINES,
	CV_CUT_RECORDS,				/* CSV records: a quoted field may hold
								 * newlines */
	CV_CUT_VALUES				/* JSON values, or the elements of an array */
} CvCut;

typedef enum CvRole
{
	CV_ROLE_LISTENS,
	CV_ROLE_METADATA,			/* its rows go into tables of its own */
	CV_ROLE_FACT,				/* it describes other members */
	CV_ROLE_LEFT,				/* ignored if it lies beside other members */
	CV_ROLE_REFUSED,			/* counted, with a warning, beside other
								 * members */
	CV_ROLE_FATAL				/* ends the run unless listens came before it */
} CvRole;

typedef struct CvFormat
{
	const char *name;			/* for messages: "an answer of the API" */
	CvRole		role;
	CvCut		cut;
	const char *key;			/* CV_CUT_VALUES: the array's key in an
								 * object, or NULL */
	bool		needs_user;		/* its listens never name their user */
	bool		names_users;	/* its listens name users; --user-names
								 * suffices */
	bool		counts_itself;	/* a piece holds several lines */
	const char *hint;			/* from CV_ROLE_LEFT on: tells what to do */

	/* True if a member with this head has the format. */
	bool		(*detect) (const CvHead *head);

	/*
	 * Each may be NULL.  Each returns false after reporting why the run
	 * cannot go on.  CV_PADDING readable bytes follow piece.
	 */
	bool		(*begin) (struct Run *run, const CvHead *head);
	bool		(*piece) (struct Run *run, const char *piece, size_t len);
	bool		(*end) (struct Run *run);
} CvFormat;

/* Returns the format of a member, never NULL, and its beginning in *head. */
extern const CvFormat *cv_format_of(const char *name, bool archive,
									const char *data, size_t len,
									CvHead *head);

/* Tests that detect functions make on the head's text. */
extern bool cv_head_holds(const CvHead *head, const char *part);
extern bool cv_head_line_holds(const CvHead *head, const char *part);
extern bool cv_head_begins(const CvHead *head, const char *part);
extern bool cv_head_named(const CvHead *head, const char *end);

#endif							/* CV_FORMAT_H */
