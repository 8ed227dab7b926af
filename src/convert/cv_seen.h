/*
 * cv_seen.h
 *		Remembers recordings already written: a set of UUIDs of fixed size.
 */
#ifndef CV_SEEN_H
#define CV_SEEN_H

#include "cv.h"

typedef struct CvSeen CvSeen;

extern CvSeen *cv_seen_create(void);
extern void cv_seen_free(CvSeen *seen);

/*
 * True if uuid was added before and not forgotten since.  If rich, only
 * earlier calls with rich count: a row with identifiers is worth writing
 * again.
 */
extern bool cv_seen_add(CvSeen *seen, const CvUuid *uuid, bool rich);

/* True if any UUID was forgotten. */
extern bool cv_seen_forgot(const CvSeen *seen);

#endif							/* CV_SEEN_H */
