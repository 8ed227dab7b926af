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
 * not_listened + feedback, always.  An element of a JSON array counts as a
 * line, too.
 */
typedef struct CvCounts
{
	int64_t		members;		/* members read */
	int64_t		known_members;	/* members skipped, because the ledger has
								 * them */
	int64_t		other_members;	/* members of other kinds, ignored */
	int64_t		unread_members; /* members that may hold listens but cannot be
								 * read here */
	int64_t		bytes;			/* decompressed bytes of members read */
	int64_t		lines;
	int64_t		blank;
	int64_t		listens;
	int64_t		rejected[CV_REASONS];
	int64_t		not_listened;	/* plays that ListenBrainz does not import */
	int64_t		feedback;		/* likes and dislikes */
	int64_t		left_out;		/* listens that an option excludes */
	int64_t		early;			/* listens before 2002-10-01 */
	int64_t		repaired;		/* listens whose names lost a NUL */
	int64_t		first;			/* earliest listened_at, microseconds */
	int64_t		last;
} CvCounts;

typedef enum CvSummary
{
	CV_SUMMARY_TEXT,
	CV_SUMMARY_JSON,
	CV_SUMMARY_NONE
} CvSummary;

/* The place of a line. */
typedef struct CvPlace
{
	const char *input;
	const char *member;			/* the input itself if it is no archive */
	int64_t		line;			/* from 1 */
	int64_t		offset;			/* offset of its first byte in the member */
} CvPlace;

extern int64_t cv_counts_rejected(const CvCounts *counts);
extern void cv_counts_listen(CvCounts *counts, const CvListen *listen);

/*
 * Opens the file for rejected lines.  Returns false after reporting the
 * reason.  It must not be one of the inputs, because opening empties it.
 */
extern bool cv_rejects_open(const char *path, char *const *inputs, int n);

/*
 * Counts a rejected line, keeps it, and reports the first few.  Returns false
 * if the file of rejects cannot be written.
 */
extern bool cv_reject(CvCounts *counts, const CvPlace *place, CvReason reason,
					  const char *detail, const char *line, size_t len);
extern bool cv_rejects_close(void);

extern void cv_progress_start(void);

/* You can call this often: it reads the clock and mostly returns. */
extern void cv_progress(const CvCounts *counts, const char *member,
						int64_t done, int64_t total);
extern void cv_progress_end(void);

/*
 * written is the number of new listens, -1 if only the database will know it.
 * removed is the number that a replacement deleted, or -1.
 */
extern void cv_summary(FILE *to, CvSummary form, const CvCounts *counts,
					   int64_t written, int64_t removed, int status);

#endif							/* CV_REPORT_H */
