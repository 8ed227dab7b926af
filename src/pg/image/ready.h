/*
 * ready.h
 *		Makes an image before anybody asks.
 */
#ifndef LBREC_IMAGE_READY_H
#define LBREC_IMAGE_READY_H

#include "pg/server/lbrec.h"

extern void lbrec_prepare_image(const char *name);

#endif							/* LBREC_IMAGE_READY_H */
