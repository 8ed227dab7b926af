/*
 * lbrec.h
 *		What the files of src/pg share.
 */
#ifndef LBREC_H
#define LBREC_H

#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/uuid.h"

#include "core/lb_core.h"
#include "core/lb_threads.h"

/* GUCs, lbrec.c */
extern int	lbrec_threads;
extern int	lbrec_max_model_memory;
extern bool lbrec_shared_images;

/* Cancellation flag for src/core, lbrec.c */
extern LbCancel lbrec_cancel_flag(void);
extern bool lbrec_again(bool cancelled);
extern void lbrec_check_status(LbStatus status, const char *what);

/* An error if an image was found unreadable by a helper, imagefault.c */
extern void lbrec_check_images(void);

/* Helper threads that end with a memory context, lbrec.c */
extern int	lbrec_running_pools;
extern LbThreads *lbrec_start_threads(MemoryContext context);

/* A palloc of any size, aligned for the kernels; names the need when it fails */
extern void *lbrec_alloc_aligned(MemoryContext context, Size bytes,
								 const char *what);

/* memcpy() that answers a cancel between pieces */
extern void lbrec_copy(void *to, const void *from, Size bytes);

/* declared.c: an old declaration in SQL gets an error, not a crash */
extern void lbrec_check_declaration(FunctionCallInfo fcinfo, int least_args,
									int most_args, int most_columns);

/* rows.c: set-returning functions that materialise */
typedef struct RowSink
{
	Tuplestorestate *store;
	TupleDesc	desc;
} RowSink;

extern RowSink lbrec_begin_rows(FunctionCallInfo fcinfo, int least_args,
								int most_args, int most_columns);
extern void lbrec_put_row(RowSink *sink, Datum *values, bool *nulls);

#endif							/* LBREC_H */
