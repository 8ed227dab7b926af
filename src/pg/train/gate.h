/*
 * gate.h
 *		Compares a training with the most popular recordings.
 */
#ifndef LBREC_TRAIN_GATE_H
#define LBREC_TRAIN_GATE_H

#include "pg/train/options.h"
#include "pg/train/request.h"

extern const EpochReport *lbrec_saved_report(const Trained *trained);
extern void lbrec_compare_with_popular(const char *name,
									   const Trained *trained,
									   TrainOptions *options);

#endif							/* LBREC_TRAIN_GATE_H */
