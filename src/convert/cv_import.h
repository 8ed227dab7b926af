/*
 * cv_import.h
 *		The parts of a listen that other services' formats lack.
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
 * Checks the names and derives the MSID from them.  Names that must be
 * mended are copied to *copies, which is emptied first.
 */
extern CvReason cv_import_names(CvBuf *copies, CvListen *listen);

/*
 * The number of a user known by name only: negative, so that it is
 * none of ListenBrainz's, and always the same for the same name.
 */
extern int64_t cv_import_user_id(CvText name);

/* Returns reason, with detail in the listen. */
extern CvReason cv_import_reject(CvListen *listen, CvReason reason,
								 const char *detail);

/* Without white space at its ends. */
extern CvText cv_import_trim(CvText text);

#ifdef __cplusplus
}
#endif

#endif							/* CV_IMPORT_H */
