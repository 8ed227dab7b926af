/*
 * read.h
 *		Reads the listens of a query into a dataset.
 */
#ifndef LBREC_LISTENS_READ_H
#define LBREC_LISTENS_READ_H

#include "pg/listens/dataset.h"

/* The hint for a key of recordings that is no uuid. */
#define LBREC_UUID_HINT \
	"In the query, use lbrec_key(x), which makes a key of a bigint or a text."

extern char *lbrec_listens_query(const char *listens);
extern char *lbrec_listens_columns(const char *listens, const char *columns);
extern void lbrec_explain_no_listens(void *arg);
extern Dataset *lbrec_read_listens(const ListenSource *source,
								   MemoryContext context);

#endif							/* LBREC_LISTENS_READ_H */
