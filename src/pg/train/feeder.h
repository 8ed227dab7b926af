/*
 * feeder.h
 *		Feeds the training listens, in a new order in every epoch.
 */
#ifndef LBREC_TRAIN_FEEDER_H
#define LBREC_TRAIN_FEEDER_H

#include "pg/listens/dataset.h"
#include "pg/listens/spool.h"
#include "pg/train/split.h"

#include "core/lb_random.h"

/*
 * If listens are in memory, all of them are shuffled.  Otherwise blocks of the
 * temporary file are read in random order, as many at a time as
 * lbrec.spool_mem holds, and shuffled together.
 */
typedef struct Feeder
{
	const Dataset *data;
	const Split *split;
	bool		whole;			/* all listens are in memory: a single window,
								 * which stays */
	Listen	   *window;
	uint32	   *order;			/* (n) indices in the window */
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

#endif							/* LBREC_TRAIN_FEEDER_H */
