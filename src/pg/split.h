/*
 * split.h
 *		Which listens are trained on, and in which order they are visited.
 */
#ifndef LBREC_SPLIT_H
#define LBREC_SPLIT_H

#include "dataset.h"
#include "options.h"

#include "core/lb_random.h"

typedef struct Split
{
	uint8	   *excluded;		/* bitmap of listens not trained on, or NULL */
	int64		n_train;
	Listen	   *test;			/* held out, to be measured on */
	int64		n_test;
} Split;

extern void lbrec_split(Split *split, const Dataset *data,
						const TrainOptions *options,
						const char *test_listens, MemoryContext context);

/*
 * The training listens in an order that is new in every epoch: all of them
 * shuffled when they are in memory, else blocks of the temporary file in
 * random order, as many at a time as lbrec.spool_mem holds, shuffled together.
 */
typedef struct Feeder
{
	const Dataset *data;
	const Split *split;
	bool		whole;			/* all in memory: one window, which stays */
	Listen	   *window;
	uint32	   *order;			/* (n) places in the window */
	int64		n;
	int64		capacity;
	uint32	   *blocks;			/* order of the file's blocks */
	int64		n_blocks;
	int64		next_block;
} Feeder;

extern void lbrec_feeder_init(Feeder *feeder, const Dataset *data,
							  const Split *split, MemoryContext context);
extern void lbrec_feeder_begin(Feeder *feeder, LbRandom *rng);
extern bool lbrec_feeder_window(Feeder *feeder, LbRandom *rng);

#endif							/* LBREC_SPLIT_H */
