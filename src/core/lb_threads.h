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
 * The struct must not move between start and stop.  A task must not use its
 * own pool.  If the caller's part of a task leaves by longjmp,
 * lb_threads_stop() still works: it waits for the helpers' parts first.
 *
 * Work that cannot be repeated, such as the backward pass of a training step,
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
	int			n_threads;		/* number of workers, including the caller; 0:
								 * stopped */
	pthread_mutex_t lock;
	pthread_cond_t wake;		/* wakes helpers for a new task, or to stop */
	pthread_cond_t done;		/* tells that the last helper has finished */
	_Atomic unsigned round;		/* counts tasks handed out */
	_Atomic int busy;			/* helpers still working on the current task */
	_Atomic int stopping;
	LbTask		task;
	void	   *arg;
	void		(*pause) (void);	/* may leave by longjmp; NULL: no pauses */
	pthread_t	helper[LB_MAX_THREADS];
} LbThreads;

/*
 * Starts n_threads - 1 helpers (n_threads is 1 to LB_MAX_THREADS).  Returns
 * LB_NO_THREADS if the system has no more; then no helper runs and the pool is
 * stopped.
 */
extern LbStatus lb_threads_start(LbThreads *pool, int n_threads);

/*
 * Runs task(arg, w, n) for each worker w and returns when all have finished.
 * If pool is NULL or stopped, it runs task(arg, 0, 1).
 */
extern void lb_threads_run(LbThreads *pool, LbTask task, void *arg);

/* Waits for the helpers and ends them. pool may be NULL or zeroed. */
extern void lb_threads_stop(LbThreads *pool);

/* Returns the number of workers that lb_threads_run() will use. */
static inline int
lb_threads_count(const LbThreads *pool)
{
	return pool != NULL && pool->n_threads > 0 ? pool->n_threads : 1;
}

/*
 * Call this between two pieces of long work, on the caller's thread, while no
 * task runs.  Set pool->pause after lb_threads_start().
 */
static inline void
lb_threads_pause(const LbThreads *pool)
{
	if (pool != NULL && pool->pause != NULL)
		pool->pause();
}

/*
 * Returns the number of pieces into which a worker cuts its part, so that each
 * has at most limit operations but at least one unit of n.
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
 * Does a block [from, to) of a worker's part.  Returning false ends the work
 * of all workers, at their next block.
 */
typedef bool (*LbBlockTask) (void *arg, int worker, int64_t from, int64_t to);

/*
 * Does task for [0, n): each worker's part, as lb_threads_part() divides it in
 * multiples of unit, in blocks of at most block, in ascending order.  Calls
 * cancel before each block.  Returns LB_CANCELLED if cancel returned true or a
 * task false; then any part of the work may be missing.
 */
extern LbStatus lb_threads_for(LbThreads *pool, int64_t n, int64_t unit,
							   int64_t block, LbBlockTask task, void *arg,
							   LbCancel cancel);

/* Computes the part [*from, *to) of n units for one worker. */
static inline void
lb_threads_part(int64_t *from, int64_t *to, int64_t n, int worker,
				int n_workers)
{
	*from = n * worker / n_workers;
	*to = n * (worker + 1) / n_workers;
}

#endif							/* LB_THREADS_H */
