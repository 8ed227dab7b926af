/*
 * cv_script.h
 *		A target that writes a script for psql to standard output.
 */
#ifndef CV_SCRIPT_H
#define CV_SCRIPT_H

#include "cv_load.h"

extern CvTarget *cv_script_create(void);

/* The opening of a script; not for COPY rows alone. */
extern bool cv_script_begin(CvTarget *target);

/*
 * The converter cannot go on: make psql fail, too.  Does nothing where the
 * output itself is what failed.
 */
extern void cv_script_abandon(CvTarget *target);

/* Everything is with the kernel, and standard output closed without error. */
extern bool cv_script_close(CvTarget *target);

#endif							/* CV_SCRIPT_H */
