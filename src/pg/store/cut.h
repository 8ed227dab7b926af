/*
 * cut.h
 *		Removes rows from a stored tensor.
 */
#ifndef LBREC_STORE_CUT_H
#define LBREC_STORE_CUT_H

#include "pg/store/tensors.h"

/* Rows to remove from a tensor. */
typedef struct TensorCut
{
	int64		at;				/* first row */
	int64		rows;			/* number of rows */
	int64		less;			/* later values are reduced by this: offsets */
} TensorCut;

extern void lbrec_cut_tensor(ModelRow *model, const char *name,
							 const TensorShape *shape, const TensorCut *cut);

#endif							/* LBREC_STORE_CUT_H */
