/*
 * order.h
 *		Makes a dataset independent of the order of its rows.
 */
#ifndef LBREC_LISTENS_ORDER_H
#define LBREC_LISTENS_ORDER_H

#include "pg/listens/dataset.h"

extern void lbrec_order_dataset(Dataset *data);
extern void lbrec_renumber_recordings(Dataset *data, const int32 *map,
									  int32 n);

#endif							/* LBREC_LISTENS_ORDER_H */
