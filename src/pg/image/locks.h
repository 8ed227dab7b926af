/*
 * locks.h
 *		Locks on a model's image: one for building it, one for keeping it.
 */
#ifndef LBREC_IMAGE_LOCKS_H
#define LBREC_IMAGE_LOCKS_H

#include "pg/server/lbrec.h"

extern void lbrec_lock_image(int64 model);
extern void lbrec_unlock_image(int64 model);
extern void lbrec_keep_image(int64 model);
extern bool lbrec_is_kept(int64 model);

#endif							/* LBREC_IMAGE_LOCKS_H */
