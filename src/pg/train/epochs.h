/*
 * epochs.h
 *		Carries out a plan: epochs of training.
 */
#ifndef LBREC_TRAIN_EPOCHS_H
#define LBREC_TRAIN_EPOCHS_H

#include "pg/train/plan.h"

extern RunResult *lbrec_run(const RunPlan *plan);

#endif							/* LBREC_TRAIN_EPOCHS_H */
