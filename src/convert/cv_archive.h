/*
 * cv_archive.h
 *		Splits one open file of any kind into members and their bytes. Only
 *		cv_reader.c includes this.
 */
#ifndef CV_ARCHIVE_H
#define CV_ARCHIVE_H

#include "cv_ring.h"

/*
 * path is used in messages.  name is the member's name if the file is no
 * archive.  Returns false if reading must stop; the consumer then has the
 * message.
 */
extern bool cv_archive_read(CvReader *reader, int fd, const char *path,
							const char *name, bool in_folder);

/*
 * Sends the failure to the consumer.  Always returns false, so that a caller
 * can return the result.
 */
extern bool cv_archive_fail(CvReader *reader, const char *hint,
							const char *format,...)
	__attribute__((format(printf, 3, 4)));

extern bool cv_archive_send_end(CvReader *reader, CvBlockType type);

extern const char *cv_archive_base_name(const char *path);

#endif							/* CV_ARCHIVE_H */
