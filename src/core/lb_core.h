/*
 * lb_core.h
 *		Shared by every file of src/core: status codes and size rules.
 *
 * src/core only computes: it uses libc, libm and pthreads, but no PostgreSQL
 * header, no allocation, no logging and no exit.  The caller provides the
 * memory (lb_x_bytes() returns its size), and a function that can fail returns
 * LbStatus.  So a longjmp out of the server leaks nothing, and the unit tests
 * run under sanitizers without a server.
 */
#ifndef LB_CORE_H
#define LB_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "lbrec stores models as little-endian machines do and cannot be built for this big-endian one"
#endif

#if defined(__i386__) && !defined(__SSE2_MATH__)
#error "lbrec needs float and double that are rounded as such: compile for i386 with -msse2 -mfpmath=sse"
#endif

typedef enum LbStatus
{
	LB_OK = 0,
	LB_CANCELLED,				/* the LbCancel function returned true */
	LB_NOT_FINITE,				/* a loss, weight or score is NaN or infinite */
	LB_BAD_ARGUMENT,			/* the caller broke the function's contract */
	LB_NO_THREADS				/* a helper thread could not be started */
} LbStatus;

/*
 * True if the work must stop.  Called between tiles, from any thread; NULL
 * means never.  Once true, it must stay true until the call has returned:
 * workers that see it end their parts before the others do.
 */
typedef bool (*LbCancel) (void);

#define LB_CANCEL_REQUESTED(cancel) ((cancel) != NULL && (cancel) ())

/* Cache line, and the alignment of every array that kernels read. */
#define LB_ALIGN 64
#define LB_ALIGN_UP(n) (((size_t) (n) + LB_ALIGN - 1) & ~(size_t) (LB_ALIGN - 1))

#endif							/* LB_CORE_H */
