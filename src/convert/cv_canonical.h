/*
 * cv_canonical.h
 *		MusicBrainz metadata for item features: ListenBrainz's canonical dump.
 */
#ifndef CV_CANONICAL_H
#define CV_CANONICAL_H

#include "cv_load.h"

/* Where in a line a file's bytes have come to. */
typedef enum CvCsvPlace
{
	CV_CSV_BEGIN,				/* nothing of it yet */
	CV_CSV_BACKSLASH,			/* only a backslash */
	CV_CSV_WITHIN				/* anything else */
} CvCsvPlace;

/*
 * A CSV file begins: head is its beginning, the first line at least.  All of
 * the file's bytes then go through cv_canonical_data(), as they are.
 */
extern bool cv_canonical_begin(CvTarget *target, bool redirect,
							   const char *member, const char *head,
							   size_t len, CvCsvPlace *place);
extern bool cv_canonical_data(CvTarget *target, const char *member,
							  const char *data, size_t len,
							  CvCsvPlace *place);
extern bool cv_canonical_end(CvTarget *target, bool redirect,
							 CvCsvPlace place, int64_t *rows);

#endif							/* CV_CANONICAL_H */
