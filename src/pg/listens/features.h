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
extern void lbrec_append_value(Feature *f, Datum value, bool isnull,
							   MemoryContext context);
extern void lbrec_replace_value(Feature *f, int64 entity, Datum value,
								bool isnull, bool if_before,
								MemoryContext context);
extern void lbrec_begin_features(Dataset *data);
extern void lbrec_order_feature(Feature *f, const int32 *map,
								MemoryContext context);
extern void lbrec_finish_features(Dataset *data, int buckets);
extern int64 lbrec_feature_rows(const Feature *f);
extern int32 lbrec_bucket_of(const float *edges, int n_edges, float value);
extern void lbrec_renumber_feature(Feature *f, const int32 *map, int32 n,
								   MemoryContext context);

#endif							/* LBREC_LISTENS_FEATURES_H */
