/*
 * features.h
 *		Further columns of a query of listens, as properties of recordings or users.
 */
#ifndef LBREC_LISTENS_FEATURES_H
#define LBREC_LISTENS_FEATURES_H

#include "pg/listens/dataset.h"

extern void lbrec_find_features(Dataset *data, TupleDesc desc,
								const int *listen_columns,
								const ListenSource *source);
extern void lbrec_find_item_features(Dataset *data, TupleDesc desc,
									 int recording,
									 const ListenSource *source);
extern void lbrec_check_features(const Dataset *data,
								 const ListenSource *source);
extern void lbrec_append_value(Feature *f, Datum value, bool isnull,
							   MemoryContext context);
extern void lbrec_replace_value(Feature *f, int64 entity, Datum value,
								bool isnull, bool if_before,
								MemoryContext context);
extern void lbrec_begin_features(Dataset *data);

#endif							/* LBREC_LISTENS_FEATURES_H */
