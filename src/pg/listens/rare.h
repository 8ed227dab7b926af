/*
 * rare.h
 *		Removes recordings with few listens, or makes them share rows.
 */
#ifndef LBREC_LISTENS_RARE_H
#define LBREC_LISTENS_RARE_H

#include "pg/listens/dataset.h"
#include "pg/listens/vocabulary.h"

extern int64 *lbrec_training_plays(const Dataset *data,
								   const uint8 *held_out);
extern int32 *lbrec_number_recordings(Dataset *data, const int64 *plays,
									  const int64 *decisive,
									  int min_listens);
extern int32 *lbrec_bucket_rows(int64 *n_rows, const Vocabulary *recordings,
								const int64 *listens, int64 n,
								int min_listens, int buckets,
								MemoryContext context);

#endif							/* LBREC_LISTENS_RARE_H */
