/*
 * cache.h
 *		The images at hand in this backend.
 */
#ifndef LBREC_IMAGE_CACHE_H
#define LBREC_IMAGE_CACHE_H

#include "pg/image/image.h"

/*
 * The model of that name, or the one activated last for NULL; valid until the
 * current memory context is reset.
 */
extern const ServingModel *lbrec_open_model(const char *name);

#endif							/* LBREC_IMAGE_CACHE_H */
