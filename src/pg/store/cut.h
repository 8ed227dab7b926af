/*
 * cut.h
 *		Takes rows out of a stored tensor.
 */
#ifndef LBREC_STORE_CUT_H
#define LBREC_STORE_CUT_H

#include "pg/store/tensors.h"

/* Rows to take out of a tensor. */
typedef struct TensorCut
{
	int64		at;				/* the first */
	int64		rows;			/* how many */
	int64		less;			/* what values behind them lose: offsets */
} TensorCut;

extern void lbrec_cut_tensor(ModelRow *model, const char *name,
							 const TensorShape *shape, const TensorCut *cut);

#endif							/* LBREC_STORE_CUT_H */
