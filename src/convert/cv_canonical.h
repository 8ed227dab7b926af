/*
 * cv_canonical.h
 *		MusicBrainz metadata for item features: ListenBrainz's canonical dump.
 */
#ifndef CV_CANONICAL_H
#define CV_CANONICAL_H

#include "cv_load.h"

/*
 * A CSV file begins: head is its beginning, the first line at least.  The
 * file's bytes then go through copy_data as they are.
 */
extern bool cv_canonical_begin(CvTarget *target, bool redirect,
							   const char *member, const char *head,
							   size_t len);
extern bool cv_canonical_end(CvTarget *target, bool redirect, bool newline,
							 int64_t *rows);

#endif							/* CV_CANONICAL_H */
