/*
 * lbrec.c
 *		The module: settings, and what ties src/core to a backend.
 *
 * Nothing here needs shared_preload_libraries: settings are defined when the
 * first lbrec function of a session is called.
 */
#include "lbrec.h"

#ifdef __linux__
#include <sched.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

#include "utils/guc.h"
#include "utils/memutils.h"

#include "core/lb_cpu.h"
#include "spool.h"

PG_MODULE_MAGIC;

#define MAX_THREADS 64

/* Blocks from here on ask for huge pages. */
#define HUGE_BYTES ((Size) 16 << 20)

/* Copied between two looks for interrupts: some milliseconds. */
#define COPY_BYTES ((Size) 16 << 20)

int			lbrec_threads = 0;
static int	max_threads = 0;
static int	max_spool_mem = 0;
static int	cpu_level = LB_CPU_AVX512;

static const struct config_enum_entry cpu_levels[] = {
	{"portable", LB_CPU_PORTABLE, false},
	{"avx2", LB_CPU_AVX2, false},
	{"avx512", LB_CPU_AVX512, false},
	{"amx", LB_CPU_AMX, false},
	{NULL, 0, false}
};
int			lbrec_max_model_memory = 0;
bool		lbrec_shared_images = true;

void		_PG_init(void);

static void
assign_cpu_level(int level, void *extra)
{
	lb_cpu_limit(level);
}

void
_PG_init(void)
{
	DefineCustomIntVariable("lbrec.threads",
							"Threads that a training, an evaluation, a batch of recommendations or the making of an image may use.",
							"0 uses as many as the server may run on.",
							&lbrec_threads,
							0, 0, MAX_THREADS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("lbrec.max_threads",
							"Upper bound of lbrec.threads, for users who may set that.",
							"0 is no bound.",
							&max_threads,
							0, 0, MAX_THREADS,
							PGC_SUSET, 0, NULL, NULL, NULL);

	/* lower for developers: valgrind knows no AVX-512; amx only on request */
	DefineCustomEnumVariable("lbrec.cpu",
							 "The highest instruction set that kernels may use.",
							 NULL,
							 &cpu_level,
							 LB_CPU_AVX512, cpu_levels,
							 PGC_SUSET, 0,
							 NULL, assign_cpu_level, NULL);
	DefineCustomIntVariable("lbrec.spool_mem",
							"Memory for the listens of a training run; what is beyond goes to temporary files.",
							"A listen takes 16 bytes.",
							&lbrec_spool_mem,
							1048576, 64, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("lbrec.max_spool_mem",
							"Upper bound of lbrec.spool_mem, for users who may set that.",
							"0 is no bound.",
							&max_spool_mem,
							0, 0, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("lbrec.max_model_memory",
							"The largest model that a session may bring into memory to serve it.",
							"0 sets no limit.",
							&lbrec_max_model_memory,
							0, 0, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomBoolVariable("lbrec.shared_images",
							 "Serve models from files that all sessions map.",
							 "They lie among the server's temporary files. Off: each session has its own copy in memory.",
							 &lbrec_shared_images,
							 true, PGC_SUSET, 0, NULL, NULL, NULL);
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("lbrec");
#else
	EmitWarningsOnPlaceholders("lbrec");
#endif
}

/* Memory for the listens of a training run, in bytes. */
Size
lbrec_spool_bytes(void)
{
	int			kB = lbrec_spool_mem;

	/* a bound below what the setting can be holds all the same */
	if (max_spool_mem > 0)
		kB = Min(kB, max_spool_mem);
	return (Size) kB * 1024;
}

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
 * Is a call of the core, which begins anew, to be repeated?  Not after what
 * ends the statement.  But an interrupt may turn out to be nothing to stop
 * for, and such ones can come at short intervals: the check for a client that
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

/* Turn a core status into what the user sees: only LB_OK returns. */
void
lbrec_check_status(LbStatus status, const char *what)
{
	lbrec_check_images();
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

int			lbrec_running_pools = 0;

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
		return Min(CPU_COUNT(&set), MAX_THREADS);
#endif
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (int) Min(n, MAX_THREADS);
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

	if (max_threads > 0)
		n = Min(n, max_threads);
	/* first who stops them: an error must not leave threads behind */
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
