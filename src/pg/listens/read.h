/*
 * read.h
 *		Reads the listens of a query into a dataset.
 */
#ifndef LBREC_LISTENS_READ_H
#define LBREC_LISTENS_READ_H

#include "pg/listens/dataset.h"

extern Dataset *lbrec_read_listens(const ListenSource *source,
								   MemoryContext context);

#endif							/* LBREC_LISTENS_READ_H */
