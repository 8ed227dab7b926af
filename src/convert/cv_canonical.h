/*
 * cv_canonical.h
 *		MusicBrainz metadata for item features: ListenBrainz's canonical dump.
 */
#ifndef CV_CANONICAL_H
#define CV_CANONICAL_H

#include "cv_load.h"

/* Position within a line after the bytes read so far. */
typedef enum CvCsvPlace
{
	CV_CSV_BEGIN,				/* at its beginning */
	CV_CSV_BACKSLASH,			/* after a single backslash */
	CV_CSV_WITHIN				/* after anything else */
} CvCsvPlace;

/*
 * Begins a CSV file.  head is its beginning and holds at least the first line.
 * All bytes of the file, including those of head, then go through
 * cv_canonical_data() unchanged.
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
