/*
 * ready.h
 *		Builds the image of a version before anybody can request it.
 */
#ifndef LBREC_IMAGE_READY_H
#define LBREC_IMAGE_READY_H

#include "pg/server/lbrec.h"

extern void lbrec_prepare_image(const char *name);

#endif							/* LBREC_IMAGE_READY_H */
