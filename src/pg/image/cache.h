/*
 * cache.h
 *		The images at hand in this backend.
 */
#ifndef LBREC_IMAGE_CACHE_H
#define LBREC_IMAGE_CACHE_H

#include "pg/image/image.h"

/*
 * A version of the model of that name, or of the default for NULL, ready to
 * serve; version 0: the active one.  Valid until the current memory context
 * is reset.
 */
extern const ServingModel *lbrec_open_model(const char *name, int32 version);

#endif							/* LBREC_IMAGE_CACHE_H */
