/*
 * feeder.c
 *		Feeds the training listens, in a new order in every epoch.
 */
#include "pg/train/feeder.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/spool.h"
#include "pg/train/split.h"

#define FEED_ROWS 4096			/* listens in a block */

void
lbrec_feeder_init(Feeder *feeder, const Dataset *data, const Split *split,
				  MemoryContext context)
{
	int64		n = data->n_listens;

	memset(feeder, 0, sizeof(Feeder));
	feeder->data = data;
	feeder->split = split;
	feeder->window = lbrec_spool_array(data->listens);
	feeder->whole = feeder->window != NULL;
	feeder->capacity = feeder->whole ? split->n_train :
		Max(lbrec_spool_rows(), FEED_ROWS);
	feeder->order = MemoryContextAllocHuge(context, feeder->capacity *
										   sizeof(uint32));
	if (feeder->whole)
	{
		for (int64 i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!lbrec_bit(split->excluded, i))
				feeder->order[feeder->n++] = (uint32) i;
		}
		return;
	}
	feeder->window = MemoryContextAllocHuge(context, feeder->capacity *
											sizeof(Listen));
	feeder->n_blocks = (n + FEED_ROWS - 1) / FEED_ROWS;
	feeder->blocks = MemoryContextAllocHuge(context, feeder->n_blocks *
											sizeof(uint32));
	for (int64 b = 0; b < feeder->n_blocks; b++)
		feeder->blocks[b] = (uint32) b;
}

/* Shuffles, and can be cancelled: millions of cache misses take a while. */
static void
shuffle(LbRandom *rng, uint32 *items, int64 n)
{
	for (int64 high = n; high > 1; high -= Min(high, 262144))
	{
		CHECK_FOR_INTERRUPTS();
		lb_random_shuffle_part(rng, items, high, Max(high - 262144, 0));
	}
}

/* Begins an epoch; windows follow. */
void
lbrec_feeder_begin(Feeder *feeder, LbRandom *rng)
{
	feeder->next_block = 0;
	if (!feeder->whole)
		shuffle(rng, feeder->blocks, feeder->n_blocks);
}

/* Reads the next window of shuffled listens; false if the epoch is over. */
bool
lbrec_feeder_window(Feeder *feeder, LbRandom *rng)
{
	int64		total = feeder->data->n_listens;

	if (feeder->whole)
	{
		if (feeder->next_block++ > 0)
			return false;
		shuffle(rng, feeder->order, feeder->n);
		return true;
	}
	feeder->n = 0;
	while (feeder->next_block < feeder->n_blocks &&
		   feeder->n + FEED_ROWS <= feeder->capacity)
	{
		int64		from = (int64) feeder->blocks[feeder->next_block++] *
		FEED_ROWS;
		int64		n = Min(FEED_ROWS, total - from);
		Listen	   *to = feeder->window + feeder->n;
		int64		kept = 0;

		CHECK_FOR_INTERRUPTS();
		lbrec_spool_read(feeder->data->listens, from, n, to);
		for (int64 i = 0; i < n; i++)
			if (!lbrec_bit(feeder->split->excluded, from + i))
				to[kept++] = to[i];
		feeder->n += kept;
	}
	for (int64 i = 0; i < feeder->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		feeder->order[i] = (uint32) i;
	}
	shuffle(rng, feeder->order, feeder->n);
	return feeder->n > 0;
}
