/*
 * save.h
 *		Writes a trained model.
 */
#ifndef LBREC_TRAIN_SAVE_H
#define LBREC_TRAIN_SAVE_H

#include "pg/evaluate/metrics.h"
#include "pg/listens/dataset.h"
#include "pg/store/evaluations.h"
#include "pg/train/options.h"
#include "pg/train/request.h"

extern EvaluationRow lbrec_evaluation_row(const char *recommender, int k,
										  const Metrics *m);
extern int32 lbrec_save_model(const char *name, const Trained *trained,
							  const Dataset *data,
							  const TrainOptions *options,
							  const EpochReport *epochs, int n_epochs);

#endif							/* LBREC_TRAIN_SAVE_H */
