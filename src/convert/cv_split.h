/*
 * cv_split.h
 *		A member's bytes to pieces: lines, or the elements of a JSON array.
 */
#ifndef CV_SPLIT_H
#define CV_SPLIT_H

#include "cv.h"

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
	bool		elements;		/* of a JSON array; else lines */
	int64_t		at;				/* bytes of the member seen before */
	CvBuf		carry;			/* of a piece that crosses blocks */
	int64_t		carry_at;
	bool		open;			/* carry holds a piece's beginning */
	bool		too_long;

	/* elements */
	int			depth;			/* of the array itself 1 */
	bool		in_string;
	bool		escaped;
} CvSplit;

extern void cv_split_begin(CvSplit *split, bool elements);

/* CV_PADDING readable bytes follow data. */
extern bool cv_split_data(CvSplit *split, const char *data, size_t len);
extern bool cv_split_end(CvSplit *split);

#endif							/* CV_SPLIT_H */
