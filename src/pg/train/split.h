/*
 * split.h
 *		Divides listens into those to train on and those held out.
 */
#ifndef LBREC_TRAIN_SPLIT_H
#define LBREC_TRAIN_SPLIT_H

#include "pg/listens/dataset.h"
#include "pg/listens/spool.h"
#include "pg/train/options.h"

#include "core/lb_random.h"

typedef struct Split
{
	uint8	   *excluded;		/* bitmap of listens to exclude from training,
								 * or NULL */
	int64		n_train;
	Listen	   *test;			/* held-out listens */
	int64		n_test;
} Split;

extern void lbrec_exclude(Split *split, int64 listen);
extern void lbrec_split(Split *split, const Dataset *data,
						const TrainOptions *options,
						const char *test_listens, MemoryContext context);

#endif							/* LBREC_TRAIN_SPLIT_H */
