/*
 * spool.h
 *		Listens in memory, and beyond lbrec.spool_mem in a temporary file.
 */
#ifndef LBREC_LISTENS_SPOOL_H
#define LBREC_LISTENS_SPOOL_H

#include "pg/server/lbrec.h"

/* Codes begin at 1; 0 is out-of-vocabulary. */
typedef struct Listen
{
	int32		user;
	int32		recording;
	int64		time;			/* microseconds since 1970, UTC */
} Listen;

typedef struct ListenSpool ListenSpool;

extern ListenSpool *lbrec_spool_create(MemoryContext context, int64 max_rows);
extern void lbrec_spool_append(ListenSpool *spool, const Listen *listens,
							   int64 n);
extern int64 lbrec_spool_count(const ListenSpool *spool);
extern Listen *lbrec_spool_array(ListenSpool *spool);
extern void lbrec_spool_read(ListenSpool *spool, int64 from, int64 n,
							 Listen *out);
extern void lbrec_spool_write(ListenSpool *spool, int64 from, int64 n,
							  const Listen *listens);
extern void lbrec_spool_order(ListenSpool *spool, const int32 *users,
							  const int32 *recordings);
extern void lbrec_spool_free(ListenSpool *spool);

/* Visits all listens in order, a block at a time. */
typedef struct SpoolScan
{
	ListenSpool *spool;
	int64		next;			/* first listen of the block after this one */
	int64		from;			/* first listen of this block */
	int64		n;
	Listen	   *block;
	Listen	   *buffer;
} SpoolScan;

extern void lbrec_scan_begin(SpoolScan *scan, ListenSpool *spool);
extern bool lbrec_scan_next(SpoolScan *scan);
extern void lbrec_scan_end(SpoolScan *scan);

extern int64 lbrec_spool_rows(void);

#endif							/* LBREC_LISTENS_SPOOL_H */
