/*
 * lb_threads.h
 *		Helper threads of our own for work that splits into equal parts.
 *
 * The caller is worker 0; the pool starts n_threads - 1 helpers.  All signals
 * are blocked in them, so the server's handlers run on its own thread only.
 * Work is divided by worker number alone: the same thread count does the same
 * sums in the same order.
 *
 *		static LbThreads pool;				zeroed, or lb_threads_start()ed
 *		lb_threads_start(&pool, 2);
 *		lb_threads_run(&pool, task, &arg);	task(arg, 0, 2) and task(arg, 1, 2)
 *		lb_threads_stop(&pool);				joins; none is left
 *
 * The struct must stay where it is between start and stop.  A task must not
 * use its own pool.  If the caller's own part of a task leaves by longjmp,
 * lb_threads_stop() is still right: it waits for the helpers' parts first.
 *
 * Work that cannot be begun again, such as the way back of a training step,
 * does not poll a cancel flag: it is done in pieces of some ten milliseconds,
 * with lb_threads_pause() between them, where the caller may leave.
 */
#ifndef LB_THREADS_H
#define LB_THREADS_H

#include <pthread.h>

#include "core/lb_core.h"

#define LB_MAX_THREADS 64

typedef void (*LbTask) (void *arg, int worker, int n_workers);

typedef struct LbThreads
{
	int			n_threads;		/* workers, the caller among them; 0: stopped */
	pthread_mutex_t lock;
	pthread_cond_t wake;		/* a new task, or stop */
	pthread_cond_t done;		/* the last helper has finished its part */
	_Atomic unsigned round;		/* counts tasks handed out */
	_Atomic int busy;			/* helpers still in the present task */
	_Atomic int stopping;
	LbTask		task;
	void	   *arg;
	void		(*pause) (void);	/* may leave by longjmp; NULL: no pauses */
	pthread_t	helper[LB_MAX_THREADS];
} LbThreads;

/*
 * Starts n_threads - 1 helpers (1 to LB_MAX_THREADS).  LB_NO_THREADS when the
 * system gives no more; then nothing is left running and the pool is stopped.
 */
extern LbStatus lb_threads_start(LbThreads *pool, int n_threads);

/*
 * Runs task(arg, w, n) for each worker w and returns when all have finished.
 * pool may be NULL or stopped: then task(arg, 0, 1).
 */
extern void lb_threads_run(LbThreads *pool, LbTask task, void *arg);

/* Waits for helpers to finish, ends them.  NULL or a zeroed pool is fine. */
extern void lb_threads_stop(LbThreads *pool);

/* Workers that lb_threads_run() will use. */
static inline int
lb_threads_count(const LbThreads *pool)
{
	return pool != NULL && pool->n_threads > 0 ? pool->n_threads : 1;
}

/*
 * Between two pieces of long work, on the caller's thread, when no task runs.
 * Set pool->pause after lb_threads_start().
 */
static inline void
lb_threads_pause(const LbThreads *pool)
{
	if (pool != NULL && pool->pause != NULL)
		pool->pause();
}

/*
 * The number of pieces, of at most limit operations, that a worker makes of its
 * share, without coming below one unit of n.
 */
static inline int
lb_threads_pieces(double operations, double limit, int64_t n,
				  const LbThreads *pool)
{
	double		pieces = 1 + operations / limit / lb_threads_count(pool);
	double		most = 1 + (double) (n / lb_threads_count(pool));

	return (int) (pieces < most ? pieces : most);
}

/*
 * A block [from, to) of a worker's part of the work.  False ends the work of
 * all workers, at their next block.
 */
typedef bool (*LbBlockTask) (void *arg, int worker, int64_t from, int64_t to);

/*
 * Does task for [0, n): each worker's part, as lb_threads_part() divides it in
 * multiples of unit, in blocks of at most block, in ascending order.  cancel
 * is asked before each block.  LB_CANCELLED if it said yes, or a task no; then
 * any of the work may be undone.
 */
extern LbStatus lb_threads_for(LbThreads *pool, int64_t n, int64_t unit,
							   int64_t block, LbBlockTask task, void *arg,
							   LbCancel cancel);

/* The part [*from, *to) of n units that falls to one worker. */
static inline void
lb_threads_part(int64_t *from, int64_t *to, int64_t n, int worker,
				int n_workers)
{
	*from = n * worker / n_workers;
	*to = n * (worker + 1) / n_workers;
}

#endif							/* LB_THREADS_H */
