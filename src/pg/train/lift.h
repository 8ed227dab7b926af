/*
 * lift.h
 *		Makes scores of recordings without plays comparable with those of the
 *		others.
 */
#ifndef LBREC_TRAIN_LIFT_H
#define LBREC_TRAIN_LIFT_H

#include "pg/model/twotower.h"
#include "pg/train/plan.h"

extern void lbrec_lift_new(TwoTower *model, const RunPlan *plan);

#endif							/* LBREC_TRAIN_LIFT_H */
