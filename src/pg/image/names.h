/*
 * names.h
 *		The names of image files.
 */
#ifndef LBREC_IMAGE_NAMES_H
#define LBREC_IMAGE_NAMES_H

#include "pg/server/lbrec.h"

#include "common/file_utils.h"	/* PG_TEMP_FILES_DIR, from PostgreSQL 16 on */
#include "storage/fd.h"

#define IMAGE_DIR "base/" PG_TEMP_FILES_DIR
#define IMAGE_PREFIX PG_TEMP_FILE_PREFIX "_lbrec."

/* Stands before the process id in the name of a file that is being built. */
#define IMAGE_PART ".part."

extern uint64 lbrec_image_layout(void);
extern void lbrec_image_path(char *out, int64 model, int64 checksum);

#endif							/* LBREC_IMAGE_NAMES_H */
