/*
 * lb_threads.c
 *		Helper threads: start, run one task on all, stop.
 *
 * A task begins when round is incremented, and ends when busy falls to zero.
 * Both sides first spin for a few microseconds, because the next step of
 * training follows at once, and then sleep on a condition variable: on a busy
 * machine a spinning waiter takes the CPU from the worker that it waits for
 * (measured: ruinous).
 *
 * A sleeper re-checks under the lock, and its waker takes the lock
 * after having changed the value: no wake-up is lost.
 */
#include "core/lb_threads.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ volatile ("yield")
#else
#define cpu_relax() atomic_signal_fence(memory_order_seq_cst)
#endif

/*
 * about 10 us: longer than the pause between two steps, shorter than a time
 * slice
 */
#define LB_SPINS 200

/* stack of a helper: kernels need some kB, sanitizers more */
#define LB_STACK_BYTES (1024 * 1024)

typedef struct Helper
{
	LbThreads  *pool;
	int			worker;
} Helper;

static void
finish_part(LbThreads *pool)
{
	if (atomic_fetch_sub(&pool->busy, 1) == 1)
	{
		pthread_mutex_lock(&pool->lock);
		pthread_cond_signal(&pool->done);
		pthread_mutex_unlock(&pool->lock);
	}
}

static void
wait_until_idle(LbThreads *pool)
{
	for (int i = 0; i < LB_SPINS; i++)
	{
		if (atomic_load(&pool->busy) == 0)
			return;
		cpu_relax();
	}
	pthread_mutex_lock(&pool->lock);
	while (atomic_load(&pool->busy) != 0)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

static unsigned
wait_for_round(LbThreads *pool, unsigned seen)
{
	for (int i = 0; i < LB_SPINS; i++)
	{
		if (atomic_load(&pool->round) != seen)
			return atomic_load(&pool->round);
		cpu_relax();
	}
	pthread_mutex_lock(&pool->lock);
	while (atomic_load(&pool->round) == seen)
		pthread_cond_wait(&pool->wake, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	return atomic_load(&pool->round);
}

/*
 * p is on the starter's stack: lb_threads_start() counts new helpers as busy
 * and returns only when each has read it.
 */
static void *
helper_main(void *p)
{
	LbThreads  *pool = ((Helper *) p)->pool;
	int			worker = ((Helper *) p)->worker;
	unsigned	seen = 0;

	finish_part(pool);			/* p may be gone from here on */
	for (;;)
	{
		seen = wait_for_round(pool, seen);
		if (atomic_load(&pool->stopping))
			break;
		pool->task(pool->arg, worker, pool->n_threads);
		finish_part(pool);
	}
	return NULL;
}

static void
announce(LbThreads *pool)
{
	pthread_mutex_lock(&pool->lock);
	atomic_fetch_add(&pool->round, 1);
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
}

/* ends helpers 1 .. n_helpers and resets the pool */
static void
join_helpers(LbThreads *pool, int n_helpers)
{
	wait_until_idle(pool);
	atomic_store(&pool->stopping, 1);
	announce(pool);
	for (int w = 1; w <= n_helpers; w++)
		pthread_join(pool->helper[w], NULL);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	pool->n_threads = 0;
}

LbStatus
lb_threads_start(LbThreads *pool, int n_threads)
{
	Helper		helpers[LB_MAX_THREADS];
	pthread_attr_t attr;
	sigset_t	all;
	sigset_t	before;
	int			started = 0;

	memset(pool, 0, sizeof(*pool));
	if (n_threads < 1 || n_threads > LB_MAX_THREADS)
		return LB_BAD_ARGUMENT;
	if (n_threads == 1)
		return LB_OK;			/* with n_threads 0, run() needs no lock */

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pthread_cond_init(&pool->done, NULL);
	pool->n_threads = n_threads;

	/*
	 * A thread inherits its creator's signal mask.  SIGBUS goes to the thread
	 * whose read fails; if blocked, it would end the process.
	 */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, LB_STACK_BYTES);
	for (int w = 1; w < n_threads; w++)
	{
		helpers[w].pool = pool;
		helpers[w].worker = w;
		atomic_fetch_add(&pool->busy, 1);
		if (pthread_create(&pool->helper[w], &attr, helper_main,
						   &helpers[w]) != 0)
		{
			atomic_fetch_sub(&pool->busy, 1);
			break;
		}
		started++;
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	if (started < n_threads - 1)
	{
		join_helpers(pool, started);
		return LB_NO_THREADS;
	}
	wait_until_idle(pool);
	return LB_OK;
}

void
lb_threads_run(LbThreads *pool, LbTask task, void *arg)
{
	if (pool == NULL || pool->n_threads <= 1)
	{
		task(arg, 0, 1);
		return;
	}
	pool->task = task;
	pool->arg = arg;
	atomic_store(&pool->busy, pool->n_threads - 1);
	announce(pool);
	task(arg, 0, pool->n_threads);
	wait_until_idle(pool);
}

typedef struct ForTask
{
	int64_t		n;
	int64_t		unit;
	int64_t		block;
	LbBlockTask task;
	void	   *arg;
	LbCancel	cancel;
	_Atomic bool stop;
} ForTask;

static void
for_part(void *p, int worker, int n_workers)
{
	ForTask    *f = p;
	int64_t		from;
	int64_t		to;

	lb_threads_part(&from, &to, (f->n + f->unit - 1) / f->unit, worker,
					n_workers);
	from *= f->unit;
	to = to * f->unit < f->n ? to * f->unit : f->n;
	for (; from < to && !atomic_load(&f->stop); from += f->block)
	{
		if (LB_CANCEL_REQUESTED(f->cancel) ||
			!f->task(f->arg, worker, from,
					 to - from < f->block ? to : from + f->block))
			atomic_store(&f->stop, true);
	}
}

LbStatus
lb_threads_for(LbThreads *pool, int64_t n, int64_t unit, int64_t block,
			   LbBlockTask task, void *arg, LbCancel cancel)
{
	ForTask		f = {n, unit, block, task, arg, cancel};

	lb_threads_run(pool, for_part, &f);
	return atomic_load(&f.stop) ? LB_CANCELLED : LB_OK;
}

void
lb_threads_stop(LbThreads *pool)
{
	if (pool != NULL && pool->n_threads > 1)
		join_helpers(pool, pool->n_threads - 1);
}
