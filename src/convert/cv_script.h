/*
 * cv_script.h
 *		A target that writes a script for psql to standard output.
 */
#ifndef CV_SCRIPT_H
#define CV_SCRIPT_H

#include "cv_load.h"

extern CvTarget *cv_script_create(void);

/*
 * The opening and the end of a script; not for COPY rows or definitions alone.
 * trusted: see cv_check_sql().
 */
extern bool cv_script_begin(CvTarget *target, const char *const *trusted,
							int n);
extern bool cv_script_end(CvTarget *target);

/*
 * The converter cannot go on: make psql fail, too.  Does nothing where the
 * output itself is what failed.
 */
extern void cv_script_abandon(CvTarget *target);

/* True if everything is with the kernel and standard output could be closed. */
extern bool cv_script_close(CvTarget *target);

#endif							/* CV_SCRIPT_H */
