/*
 * moment_fit.h
 *		The weights of what comes next, from listens that were held out.
 */
#ifndef LBREC_TRAIN_MOMENT_FIT_H
#define LBREC_TRAIN_MOMENT_FIT_H

#include "pg/model/twotower.h"
#include "pg/train/plan.h"

extern LbMomentWeights lbrec_fit_moment(const RunPlan *plan,
										const TwoTower *model);
extern LbMomentWeights lbrec_moment_of_members(const LbMomentWeights *fitted,
											   int from, int to);

#endif							/* LBREC_TRAIN_MOMENT_FIT_H */
