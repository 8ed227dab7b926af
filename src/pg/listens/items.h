/*
 * items.h
 *		Reads the recordings of a catalogue, with their features.
 */
#ifndef LBREC_LISTENS_ITEMS_H
#define LBREC_LISTENS_ITEMS_H

#include "pg/server/lbrec.h"

#include "executor/spi.h"

#include "pg/listens/dataset.h"

/* A planned query of items. */
typedef struct ItemsQuery
{
	SPIPlanPtr	plan;
	int			recording;		/* number of the column recording_msid, from 0 */
} ItemsQuery;

extern Dataset *lbrec_empty_dataset(MemoryContext context);
extern void lbrec_plan_catalogue(ItemsQuery *query, Dataset *data,
								 const ListenSource *source);
extern void lbrec_read_items(const ItemsQuery *query, Dataset *data);
extern Dataset *lbrec_read_catalogue(const ListenSource *source,
									 MemoryContext context);
extern void lbrec_reserve_listed(Dataset *data, int32 code);
extern void lbrec_reserve_plays(Dataset *data, int32 code);

#endif							/* LBREC_LISTENS_ITEMS_H */
