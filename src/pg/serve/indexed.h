/*
 * indexed.h
 *		Whether one user's later listens are found without reading all.
 */
#ifndef LBREC_SERVE_INDEXED_H
#define LBREC_SERVE_INDEXED_H

#include "pg/server/lbrec.h"

#include "executor/spi.h"

/* The way to the listens of one user from a time on. */
typedef struct ListensPath
{
	bool		indexed;		/* an index leads with the user and the time */
	Oid			table;			/* without one: the table that lacks it, or
								 * InvalidOid if no single one has both */
	AttrNumber	user_column;
	AttrNumber	time_column;
	List	   *relations;		/* OIDs of all relations that are read */
} ListensPath;

extern ListensPath lbrec_listens_path(SPIPlanPtr plan);
extern bool lbrec_path_is_cheap(const ListensPath *path);
extern char *lbrec_missing_index(const ListensPath *path);

#endif							/* LBREC_SERVE_INDEXED_H */
