/*
 * marks.h
 *		Small files beside an image: the seal of a verification, and the time
 *		of the last request by number.
 */
#ifndef LBREC_IMAGE_MARKS_H
#define LBREC_IMAGE_MARKS_H

#include "pg/server/lbrec.h"
#include "pg/store/versions.h"

struct stat;

extern bool lbrec_is_sealed(const char *path, const struct stat *st);
extern void lbrec_write_seal(const char *path, const struct stat *st);
extern void lbrec_remove_seal(const char *path);
extern void lbrec_mark_asked(const ModelRow *row);
extern bool lbrec_was_asked(int64 model, int64 checksum);

#endif							/* LBREC_IMAGE_MARKS_H */
