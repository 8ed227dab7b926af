/*
 * cv_split.h
 *		Cuts a member's bytes into pieces: lines, CSV records, or JSON values.
 */
#ifndef CV_SPLIT_H
#define CV_SPLIT_H

#include "cv_format.h"

/*
 * offset is the piece's offset in the member; CV_PADDING readable bytes follow
 * the piece.  too_long: the piece exceeds CV_MAX_LINE and this is its
 * beginning.  Returning false ends the run.
 */
typedef bool (*CvPiece) (void *arg, int64_t offset, const char *piece,
						 size_t len, bool too_long);

typedef struct CvSplit
{
	CvPiece		piece;
	void	   *arg;
	CvCut		cut;			/* CV_CUT_LINES or a later one */
	int64_t		at;				/* bytes of the member before this block */
	CvBuf		carry;			/* a piece that crosses blocks */
	int64_t		carry_at;
	bool		open;			/* carry holds a piece's beginning */
	bool		too_long;

	/* For records and values: */
	bool		in_string;		/* or within a quoted field */
	int64_t		since;			/* bytes since that began */

	/* For records: */
	bool		field_begins;

	/* For values: */
	const char *key;			/* key of the array, or NULL: the top level */
	int			depth;			/* open brackets */
	int			base;			/* depth of the values; -1: not reached */
	bool		escaped;
	size_t		matched;		/* matched bytes of the key; key_len + 1: none */
	bool		key_seen;		/* the last string was the key */
} CvSplit;

extern void cv_split_begin(CvSplit *split, CvCut cut, const char *key);

/* CV_PADDING readable bytes must follow data. */
extern bool cv_split_data(CvSplit *split, const char *data, size_t len);
extern bool cv_split_end(CvSplit *split);

#endif							/* CV_SPLIT_H */
