/*
 * cv_seen.h
 *		Which recordings were written already: a set of UUIDs of fixed size.
 */
#ifndef CV_SEEN_H
#define CV_SEEN_H

#include "cv.h"

typedef struct CvSeen CvSeen;

extern CvSeen *cv_seen_create(void);
extern void cv_seen_free(CvSeen *seen);

/*
 * True if uuid was added before and not forgotten since.  With rich, only
 * being added with rich counts: a row with identifiers is worth a second
 * writing.
 */
extern bool cv_seen_add(CvSeen *seen, const CvUuid *uuid, bool rich);

/* Did it ever forget one? */
extern bool cv_seen_forgot(const CvSeen *seen);

#endif							/* CV_SEEN_H */
