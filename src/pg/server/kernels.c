/*
 * kernels.c
 *		Ties src/core to a backend: cancellation, threads, memory.
 */
#include "pg/server/kernels.h"

#ifdef __linux__
#include <sched.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

#include "utils/memutils.h"

#include "pg/server/fault.h"

/* Blocks of at least this size ask for huge pages. */
#define HUGE_BYTES ((Size) 16 << 20)

/* Bytes copied between two checks for interrupts: some milliseconds. */
#define COPY_BYTES ((Size) 16 << 20)

/* The call of the core that runs was interrupted before, by nothing. */
static bool repeated = false;

/*
 * The core asks this between tiles.  The server sets the flags in its signal
 * handlers, so that a cancel, a timeout or a shutdown stops the longest loop
 * within a tile.
 */
static bool
must_return(void)
{
	return InterruptPending &&
		(!repeated || QueryCancelPending || ProcDiePending);
}

LbCancel
lbrec_cancel_flag(void)
{
	return must_return;
}

/*
 * True if a cancelled call of the core is to be repeated from its beginning.
 * An interrupt that ends the statement does not return here.  Others stop
 * nothing, and can come at short intervals: the check for a client that
 * is gone (client_connection_check_interval) interrupted each attempt at work
 * that takes longer than it, for good.  So the second attempt stops only for
 * what is sure to end it; the rest is looked at when it returns.
 */
bool
lbrec_again(bool cancelled)
{
	repeated = false;
	if (cancelled)
		CHECK_FOR_INTERRUPTS();
	repeated = cancelled;
	return repeated;
}

/* Reports a status of the core as an error; only LB_OK returns. */
void
lbrec_check_status(LbStatus status, const char *what)
{
	lbrec_check_maps();
	switch (status)
	{
		case LB_OK:
			return;
		case LB_CANCELLED:
			elog(ERROR, "%s was not computed to its end", what);
			break;
		case LB_NOT_FINITE:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("%s is not finite", what)));
			break;
		case LB_NO_THREADS:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("could not start helper threads"),
					 errhint("Lower lbrec.threads or raise the server's limit of processes.")));
			break;
		case LB_BAD_ARGUMENT:
			elog(ERROR, "invalid argument while computing %s", what);
			break;
	}
}

/* Between pieces of work that cannot be begun again. */
static void
pause_for_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

static void
stop_threads(void *arg)
{
	lb_threads_stop((LbThreads *) arg);
	lbrec_running_pools--;
}

/* CPUs that this process may run on: fewer than the machine's, with taskset
 * or a container's cpuset. */
static int
usable_cpus(void)
{
	long		n;

#ifdef __linux__
	cpu_set_t	set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return Min(CPU_COUNT(&set), LBREC_MAX_THREADS);
#endif
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (int) Min(n, LBREC_MAX_THREADS);
}

/*
 * Threads for one statement.  A reset callback of the memory context stops
 * them, so they are gone after an error as after success.
 */
LbThreads *
lbrec_start_threads(MemoryContext context)
{
	LbThreads  *pool = MemoryContextAllocZero(context, sizeof(LbThreads));
	MemoryContextCallback *callback =
		MemoryContextAllocZero(context, sizeof(MemoryContextCallback));
	int			n = lbrec_threads > 0 ? lbrec_threads : usable_cpus();

	if (lbrec_max_threads > 0)
		n = Min(n, lbrec_max_threads);
	/* first their stop: an error must not leave threads behind */
	callback->func = stop_threads;
	callback->arg = pool;
	MemoryContextRegisterResetCallback(context, callback);
	lbrec_running_pools++;
	lbrec_check_status(lb_threads_start(pool, n), "thread pool");
	pool->pause = pause_for_interrupts;
	return pool;
}

void
lbrec_copy(void *to, const void *from, Size bytes)
{
	for (Size done = 0; done < bytes; done += COPY_BYTES)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy((char *) to + done, (const char *) from + done,
			   Min(bytes - done, COPY_BYTES));
	}
}

void *
lbrec_alloc_aligned(MemoryContext context, Size bytes, const char *what)
{
	char	   *p;

	p = MemoryContextAllocExtended(context, bytes + LB_ALIGN,
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (p == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The %s needs %zu MB.", what,
						   (size_t) (bytes >> 20)),
				 errhint("Train with min_listens, a smaller embedding_dim or fewer layers.")));
#ifdef MADV_HUGEPAGE

	/*
	 * Random rows of a large table are read in half the time from pages of 2
	 * MB, and a cancelled training gives gigabytes back in a sixth of it
	 * (measured; the kernel may say no, which is fine).
	 */
	if (bytes >= HUGE_BYTES)
	{
		uintptr_t	page = (uintptr_t) sysconf(_SC_PAGESIZE);
		uintptr_t	from = ((uintptr_t) p + page - 1) / page * page;

		(void) madvise((void *) from, (uintptr_t) p + bytes - from,
					   MADV_HUGEPAGE);
	}
#endif
	return (void *) LB_ALIGN_UP((uintptr_t) p);
}
