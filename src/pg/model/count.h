/*
 * count.h
 *		Makes all arrays that a model counts in the listens.
 */
#ifndef LBREC_MODEL_COUNT_H
#define LBREC_MODEL_COUNT_H

#include "pg/listens/histories.h"
#include "pg/model/twotower.h"

extern UserLists lbrec_histories_of(const TwoTower *model);
extern UserLists *lbrec_count_listens(Counted *counted,
									  const CountRequest *request);
extern void lbrec_set_counted(TwoTower *model, const Counted *counted);

#endif							/* LBREC_MODEL_COUNT_H */
