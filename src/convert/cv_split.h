/*
 * cv_split.h
 *		A member's bytes to pieces: lines, CSV's records, or JSON values.
 */
#ifndef CV_SPLIT_H
#define CV_SPLIT_H

#include "cv_format.h"

/*
 * offset is the piece's in the member; CV_PADDING readable bytes follow it.
 * too_long: the piece is over CV_MAX_LINE and this is its beginning.  False
 * ends the run.
 */
typedef bool (*CvPiece) (void *arg, int64_t offset, const char *piece,
						 size_t len, bool too_long);

typedef struct CvSplit
{
	CvPiece		piece;
	void	   *arg;
	CvCut		cut;			/* CV_CUT_LINES and on */
	int64_t		at;				/* bytes of the member seen before */
	CvBuf		carry;			/* of a piece that crosses blocks */
	int64_t		carry_at;
	bool		open;			/* carry holds a piece's beginning */
	bool		too_long;

	/* records and values */
	bool		in_string;		/* or in a quoted field */
	int64_t		since;			/* bytes of that */

	/* records */
	bool		field_begins;

	/* values */
	const char *key;			/* of the array, or NULL: the top level */
	int			depth;			/* of brackets */
	int			base;			/* depth of the values; -1: not yet there */
	bool		escaped;
	size_t		matched;		/* bytes of the key; key_len + 1: no match */
	bool		key_seen;		/* the last string was the key */
} CvSplit;

extern void cv_split_begin(CvSplit *split, CvCut cut, const char *key);

/* CV_PADDING readable bytes follow data. */
extern bool cv_split_data(CvSplit *split, const char *data, size_t len);
extern bool cv_split_end(CvSplit *split);

#endif							/* CV_SPLIT_H */
