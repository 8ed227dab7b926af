/*
 * cache.h
 *		The images that this backend has opened.
 */
#ifndef LBREC_IMAGE_CACHE_H
#define LBREC_IMAGE_CACHE_H

#include "pg/image/image.h"

/*
 * Opens a version of the named model, or of the default for NULL, ready to
 * serve; version 0 means the active one.  Valid until the current memory
 * context is reset.
 */
extern const ServingModel *lbrec_open_model(const char *name, int32 version);

#endif							/* LBREC_IMAGE_CACHE_H */
