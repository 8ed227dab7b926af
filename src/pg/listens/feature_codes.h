/*
 * feature_codes.h
 *		Codes and ranges of further columns, once all rows are read.
 */
#ifndef LBREC_LISTENS_FEATURE_CODES_H
#define LBREC_LISTENS_FEATURE_CODES_H

#include "pg/listens/dataset.h"

extern void lbrec_order_feature(Feature *f, const int32 *map,
								MemoryContext context);
extern void lbrec_finish_features(Dataset *data, int buckets);
extern int64 lbrec_feature_rows(const Feature *f);
extern int32 lbrec_bucket_of(const float *edges, int n_edges, float value);
extern void lbrec_renumber_feature(Feature *f, const int32 *map, int32 n,
								   MemoryContext context);

#endif							/* LBREC_LISTENS_FEATURE_CODES_H */
