/*
 * cv_script.h
 *		The target for a script: writes to standard output for psql.
 */
#ifndef CV_SCRIPT_H
#define CV_SCRIPT_H

#include "cv_load.h"

extern CvTarget *cv_script_create(void);

/*
 * Write the opening and the end of a script.  Plain COPY rows and definitions
 * do without.  trusted: see cv_check_sql().
 */
extern bool cv_script_begin(CvTarget *target, const char *const *trusted,
							int n);
extern bool cv_script_end(CvTarget *target);

/*
 * Makes psql fail because the converter cannot go on.  Does nothing if the
 * output itself failed.
 */
extern void cv_script_abandon(CvTarget *target);

/* True if all bytes were written and standard output could be closed. */
extern bool cv_script_close(CvTarget *target);

#endif							/* CV_SCRIPT_H */
