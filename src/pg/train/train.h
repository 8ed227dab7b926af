/*
 * train.h
 *		Trains a model on a dataset.
 */
#ifndef LBREC_TRAIN_TRAIN_H
#define LBREC_TRAIN_TRAIN_H

#include "pg/train/request.h"

extern RunPlan *lbrec_trial_plan(const TrainRequest *request);
extern Trained *lbrec_extend_model(const TrainRequest *request,
								   MemoryContext context);
extern Trained *lbrec_run_training(const TrainRequest *request,
								   MemoryContext context);

#endif							/* LBREC_TRAIN_TRAIN_H */
