/*
 * warm.h
 *		Warm start: continues an older model with new listens.
 */
#ifndef LBREC_TRAIN_WARM_H
#define LBREC_TRAIN_WARM_H

#include "pg/listens/dataset.h"
#include "pg/model/twotower.h"
#include "pg/store/versions.h"
#include "pg/train/options.h"

/* The model that a training continues. */
typedef struct WarmStart WarmStart;

extern void lbrec_check_warm(const ModelRow *row);
extern WarmStart *lbrec_warm_open(const char *name, TrainOptions *options,
								  MemoryContext context);
extern void lbrec_warm_prepare(Dataset *data, void *warm);
extern void lbrec_extend_prepare(Dataset *data, void *warm);
extern int64 lbrec_warm_listens(const WarmStart *warm);
extern void lbrec_warm_time(const WarmStart *warm, TimeScale *time);
extern bool lbrec_warm_mix(const WarmStart *warm, const TrainOptions *options,
						   LbMix *mix);
extern double lbrec_warm_trend(const WarmStart *warm,
							   const TrainOptions *options);
extern int64 lbrec_warm_steps(const WarmStart *warm,
							  const LbOptimizer *opt);
extern const TwoTower *lbrec_warm_model(const WarmStart *warm);
extern bool lbrec_warm_moment(const WarmStart *warm,
							  const TrainOptions *options,
							  LbMomentWeights *moment);
extern void lbrec_warm_weights(WarmStart *warm, const Dataset *data,
							   const TrainOptions *options,
							   const int32 *recording_rows, LbModel *core,
							   const LbOptimizer *opt, int m);

#endif							/* LBREC_TRAIN_WARM_H */
