/*
 * kernels.h
 *		Connects src/core to a backend: cancellation, threads, memory.
 */
#ifndef LBREC_SERVER_KERNELS_H
#define LBREC_SERVER_KERNELS_H

#include "pg/server/lbrec.h"

#include "core/lb_core.h"
#include "core/lb_threads.h"

/* Returns the function that src/core calls to ask whether to stop. */
extern LbCancel lbrec_cancel_flag(void);

/* For LBREC_RUN() only. */
extern bool lbrec_again(bool cancelled);

/*
 * Makes a call of the core and repeats it while interrupts that do not end the
 * statement cancel it.  cancelled is an expression that makes the call and is
 * true if it was cancelled; each call begins anew.
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
 * Allocates any size, aligned for the kernels.  what names the purpose in an
 * error.
 */
extern void *lbrec_alloc_aligned(MemoryContext context, Size bytes,
								 const char *what);

/* memcpy() that checks for interrupts between pieces */
extern void lbrec_copy(void *to, const void *from, Size bytes);

#endif							/* LBREC_SERVER_KERNELS_H */
