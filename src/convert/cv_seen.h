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
 * True if uuid was added before and not forgotten since.  With rich, an
 * earlier call counts only if it was rich, too: a row with identifiers is
 * worth writing again.
 */
extern bool cv_seen_add(CvSeen *seen, const CvUuid *uuid, bool rich);

/* True if it ever forgot one. */
extern bool cv_seen_forgot(const CvSeen *seen);

#endif							/* CV_SEEN_H */
