/*
 * cv_archive.h
 *		One open file of any kind to members and their bytes; cv_reader.c's own.
 */
#ifndef CV_ARCHIVE_H
#define CV_ARCHIVE_H

#include "cv_ring.h"

/*
 * path is for messages, name for the member if the file is only one.  False:
 * the reading is over, and the consumer was told why.
 */
extern bool cv_archive_read(CvReader *reader, int fd, const char *path,
							const char *name, bool in_folder);

/* Tells the consumer; always returns false, for the caller to return. */
extern bool cv_archive_fail(CvReader *reader, const char *hint,
							const char *format,...)
	__attribute__((format(printf, 3, 4)));

extern bool cv_archive_send_end(CvReader *reader, CvBlockType type);

extern const char *cv_archive_base_name(const char *path);

#endif							/* CV_ARCHIVE_H */
