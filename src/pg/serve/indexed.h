/*
 * indexed.h
 *		Finds out whether one user's later listens can be read by an index.
 */
#ifndef LBREC_SERVE_INDEXED_H
#define LBREC_SERVE_INDEXED_H

#include "pg/server/lbrec.h"

#include "executor/spi.h"

/* How one user's listens since a time are read. */
typedef struct ListensPath
{
	bool		indexed;		/* an index begins with the user and the time */
	Oid			table;			/* the table that lacks such an index;
								 * InvalidOid if no single table has both
								 * columns */
	AttrNumber	user_column;
	AttrNumber	time_column;
	List	   *relations;		/* OIDs of all relations read */
} ListensPath;

extern ListensPath lbrec_listens_path(SPIPlanPtr plan);
extern bool lbrec_path_is_cheap(const ListensPath *path);
extern char *lbrec_missing_index(const ListensPath *path);

#endif							/* LBREC_SERVE_INDEXED_H */
