/*
 * options.h
 *		Resolves the settings of a training run against one another.
 */
#ifndef LBREC_TRAIN_OPTIONS_H
#define LBREC_TRAIN_OPTIONS_H

#include "pg/train/settings.h"

extern void lbrec_drop_ids(TrainOptions *options);
extern void lbrec_fit_options(TrainOptions *options);
extern void lbrec_fix_epochs(TrainOptions *options);
extern void lbrec_check_options(const TrainOptions *options);

#endif							/* LBREC_TRAIN_OPTIONS_H */
