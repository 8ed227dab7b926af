/*
 * cv_import.h
 *		Derives the parts of a listen that other services' formats lack.
 */
#ifndef CV_IMPORT_H
#define CV_IMPORT_H

#include "cv.h"

#ifdef __cplusplus
extern "C"
{
#endif

/* Gives the listen a recording_msid that is derived from its names. */
extern void cv_import_msid(CvListen *listen);

/*
 * Checks the names and derives the MSID from them.  Mended names are copied to
 * *copies, which is emptied first.
 */
extern CvReason cv_import_names(CvBuf *copies, CvListen *listen);

/*
 * Returns the number of a user with only a name.  It is negative, so that it
 * differs from all of ListenBrainz's, and depends on the name alone.
 */
extern int64_t cv_import_user_id(CvText name);

/* Returns reason, and stores detail in the listen. */
extern CvReason cv_import_reject(CvListen *listen, CvReason reason,
								 const char *detail);

/* Returns text without white space at its ends. */
extern CvText cv_import_trim(CvText text);

#ifdef __cplusplus
}
#endif

#endif							/* CV_IMPORT_H */
