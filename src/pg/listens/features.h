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
extern void lbrec_finish_features(Dataset *data, int buckets);
extern int64 lbrec_feature_rows(const Feature *f);
extern int32 lbrec_bucket_of(const float *edges, int n_edges, float value);
extern void lbrec_renumber_feature(Feature *f, const int32 *map);

#endif							/* LBREC_LISTENS_FEATURES_H */
