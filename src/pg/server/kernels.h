/*
 * kernels.h
 *		Ties src/core to a backend: cancellation, threads, memory.
 */
#ifndef LBREC_SERVER_KERNELS_H
#define LBREC_SERVER_KERNELS_H

#include "pg/server/lbrec.h"

#include "core/lb_core.h"
#include "core/lb_threads.h"

/* The function that src/core asks whether to stop. */
extern LbCancel lbrec_cancel_flag(void);

/* Of LBREC_RUN() alone. */
extern bool lbrec_again(bool cancelled);

/*
 * Makes a call of the core, and makes it again as long as it was cancelled by
 * an interrupt that does not end the statement.  cancelled is an expression
 * that makes the call and is true if it was cancelled; the call begins anew
 * each time.
 */
#define LBREC_RUN(cancelled) \
	do \
		CHECK_FOR_INTERRUPTS(); \
	while (lbrec_again(cancelled))

/* From this number of bytes on, starting threads pays. */
#define THREADED_BYTES ((Size) 32 << 20)

/* Reports a status of src/core as an error; returns for LB_OK only. */
extern void lbrec_check_status(LbStatus status, const char *what);

/* Helper threads that end with a memory context. */
extern LbThreads *lbrec_start_threads(MemoryContext context);

/*
 * A palloc of any size, aligned for the kernels.  what names the purpose in an
 * error.
 */
extern void *lbrec_alloc_aligned(MemoryContext context, Size bytes,
								 const char *what);

/* memcpy() that answers a cancel between pieces */
extern void lbrec_copy(void *to, const void *from, Size bytes);

#endif							/* LBREC_SERVER_KERNELS_H */
