/*
 * trends.h
 *		Trends: how much more a recording is discovered now than before.
 */
#ifndef LBREC_TRAIN_TRENDS_H
#define LBREC_TRAIN_TRENDS_H

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/train/options.h"

extern bool lbrec_fits_trends(const TrainOptions *options);
extern float *lbrec_find_trends(const Dataset *data, const uint8 *held_out,
								const UserLists *lists,
								const UserLists *older,
								MemoryContext context);

#endif							/* LBREC_TRAIN_TRENDS_H */
