/*
 * kernels.c
 *		Connects src/core to a backend: cancellation, threads, memory.
 */
#include "pg/server/kernels.h"

#ifdef __linux__
#include <sched.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

#include "utils/memutils.h"

#include "pg/server/fault.h"

/* Blocks from this size on ask for huge pages. */
#define HUGE_BYTES ((Size) 16 << 20)

/* Bytes copied between two checks for interrupts: some milliseconds. */
#define COPY_BYTES ((Size) 16 << 20)

/*
 * True if an interrupt that does not end the statement stopped the current
 * call before.
 */
static bool repeated = false;

/*
 * The core calls this between tiles.  The server's signal handlers set the
 * flags, so a cancel, a timeout or a shutdown stops the longest loop within a
 * tile.
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
 * True if a cancelled call of the core must be repeated from its beginning.
 * An interrupt that ends the statement does not return here.  Others can come
 * again and again: the check for a lost client
 * (client_connection_check_interval) stopped every attempt that took longer
 * than the interval.  So the second attempt stops only for interrupts that end
 * the statement; the rest are handled when it returns.
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

/* Reports a status of the core as an error; returns only for LB_OK. */
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

/* Checks for interrupts between pieces of work that cannot be repeated. */
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

/*
 * Returns the CPUs that this process may use: with taskset or a container's
 * cpuset, fewer than the machine has.
 */
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
 * Starts threads for one statement.  A reset callback of the memory context
 * stops them, after an error as after success.
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
	/* register the stop first: an error must not leave threads behind */
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
	 * With pages of 2 MB, random reads of a large table take half the time,
	 * and freeing gigabytes after a cancel takes a sixth of it (measured).
	 * The kernel may refuse, which does no harm.
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
