/*
 * sweep.h
 *		Removes image files that nobody needs.
 */
#ifndef LBREC_IMAGE_SWEEP_H
#define LBREC_IMAGE_SWEEP_H

#include "pg/server/lbrec.h"

#include "access/xact.h"

extern void lbrec_sweep_images(void);
extern void lbrec_forget_images(int64 model, XactEvent when);
extern void lbrec_forget_all_images(const int64 *models, int n);

#endif							/* LBREC_IMAGE_SWEEP_H */
