/*
 * cv_report.h
 *		Counts, rejects, progress and the summary.
 */
#ifndef CV_REPORT_H
#define CV_REPORT_H

#include <stdio.h>

#include "cv.h"

/*
 * Nothing is dropped in silence: lines = listens + rejected + blank +
 * not_listened + feedback, always.  A line here is also an element of a JSON array, where
 * a file has those.
 */
typedef struct CvCounts
{
	int64_t		members;		/* read */
	int64_t		known_members;	/* skipped, the ledger has them */
	int64_t		other_members;	/* of another kind, left alone */
	int64_t		unread_members; /* of a kind that may hold listens, but cannot
								 * be read here */
	int64_t		bytes;			/* decompressed, of members read */
	int64_t		lines;
	int64_t		blank;
	int64_t		listens;
	int64_t		rejected[CV_REASONS];
	int64_t		not_listened;	/* plays that ListenBrainz does not import */
	int64_t		feedback;		/* likes and dislikes */
	int64_t		left_out;		/* listens that an option leaves out */
	int64_t		early;			/* listens before 2002-10-01 */
	int64_t		repaired;		/* listens with a NUL taken out of a name */
	int64_t		first;			/* listened_at, microseconds */
	int64_t		last;
} CvCounts;

typedef enum CvSummary
{
	CV_SUMMARY_TEXT,
	CV_SUMMARY_JSON,
	CV_SUMMARY_NONE
} CvSummary;

/* Where a line is. */
typedef struct CvPlace
{
	const char *input;
	const char *member;			/* the input itself if it is no archive */
	int64_t		line;			/* from 1 */
	int64_t		offset;			/* of its first byte in the member */
} CvPlace;

extern int64_t cv_counts_rejected(const CvCounts *counts);
extern void cv_counts_listen(CvCounts *counts, const CvListen *listen);

/*
 * Opens the file of rejected lines; false after saying why not.  It must not
 * be one of the inputs, for opening empties it.
 */
extern bool cv_rejects_open(const char *path, char *const *inputs, int n);

/*
 * Counts a rejected line, keeps it, and tells of the first few.  False if the
 * file of rejects cannot be written.
 */
extern bool cv_reject(CvCounts *counts, const CvPlace *place, CvReason reason,
					  const char *detail, const char *line, size_t len);
extern bool cv_rejects_close(void);

extern void cv_progress_start(void);

/* Cheap to call often: it looks at the clock and mostly does nothing. */
extern void cv_progress(const CvCounts *counts, const char *member,
						int64_t done, int64_t total);
extern void cv_progress_end(void);

/*
 * written: new listens, -1 where only the database will know; removed: by a
 * replacement, or -1.
 */
extern void cv_summary(FILE *to, CvSummary form, const CvCounts *counts,
					   int64_t written, int64_t removed, int status);

#endif							/* CV_REPORT_H */
