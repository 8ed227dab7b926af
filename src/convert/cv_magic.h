/*
 * cv_magic.h
 *		Recognises the kind of a file by its first bytes.
 */
#ifndef CV_MAGIC_H
#define CV_MAGIC_H

#include <stdbool.h>
#include <stddef.h>

#define TAR_BLOCK 512

extern bool cv_is_tar_header(const unsigned char *block, size_t len);
extern bool cv_is_compressed(const void *data, size_t len);
extern bool cv_is_zip(const void *data, size_t len);

#endif							/* CV_MAGIC_H */
