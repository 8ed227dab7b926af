/*
 * test_threads.c
 *		Helper threads: every part runs once, signals stay with the caller,
 *		none is left, a stop in mid-task waits.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/lb_arena.h"
#include "core/lb_threads.h"
#include "unit.h"

typedef struct Seen
{
	_Atomic int calls[LB_MAX_THREADS];
	_Atomic int n_workers;
	_Atomic int unblocked;
	_Atomic int finished;
	int			naps;
	jmp_buf    *leave;
} Seen;

static void
note_part(void *arg, int worker, int n_workers)
{
	Seen	   *seen = arg;

	atomic_fetch_add(&seen->calls[worker], 1);
	atomic_store(&seen->n_workers, n_workers);
	if (worker != 0)
	{
		sigset_t	mask;

		pthread_sigmask(SIG_SETMASK, NULL, &mask);
		if (!sigismember(&mask, SIGINT) || !sigismember(&mask, SIGTERM) ||
			!sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGALRM))
			atomic_fetch_add(&seen->unblocked, 1);
		for (int i = 0; i < seen->naps; i++)
			usleep(1000);
		atomic_fetch_add(&seen->finished, 1);
	}
	else if (seen->leave != NULL)
		longjmp(*seen->leave, 1);
}

/* threads of this process, from the kernel; a joined one may linger a moment */
static int
count_threads(int wanted)
{
	int			n = 0;

	for (int attempt = 0; attempt < 1000; attempt++)
	{
		DIR		   *dir = opendir("/proc/self/task");
		struct dirent *entry;

		if (dir == NULL)
			return wanted;		/* no /proc here */
		n = 0;
		while ((entry = readdir(dir)) != NULL)
			n += entry->d_name[0] != '.';
		closedir(dir);
		if (n == wanted)
			break;
		usleep(1000);
	}
	return n;
}

static void
test_each_part_runs_once(void)
{
	static const int sizes[] = {1, 2, 3, 8};
	int			before = count_threads(1);

	for (int s = 0; s < 4; s++)
	{
		LbThreads	pool;
		Seen		seen = {0};

		CHECK(lb_threads_start(&pool, sizes[s]) == LB_OK);
		CHECK(lb_threads_count(&pool) == sizes[s]);
		CHECK(count_threads(before + sizes[s] - 1) == before + sizes[s] - 1);
		for (int round = 0; round < 300; round++)
		{
			if (round % 100 == 99)
				usleep(3000);	/* helpers asleep, not spinning */
			lb_threads_run(&pool, note_part, &seen);
			CHECK(seen.finished == (round + 1) * (sizes[s] - 1));
		}
		for (int w = 0; w < sizes[s]; w++)
			CHECK(seen.calls[w] == 300);
		CHECK(seen.n_workers == sizes[s]);
		CHECK(seen.unblocked == 0);
		lb_threads_stop(&pool);
		CHECK(lb_threads_count(&pool) == 1);
		CHECK(count_threads(before) == before);
		lb_threads_stop(&pool);
	}
}

static void
test_no_pool_runs_alone(void)
{
	LbThreads	zeroed = {0};
	Seen		seen = {0};

	lb_threads_run(NULL, note_part, &seen);
	lb_threads_run(&zeroed, note_part, &seen);
	CHECK(seen.calls[0] == 2 && seen.n_workers == 1);
	lb_threads_stop(NULL);
	lb_threads_stop(&zeroed);
	CHECK(lb_threads_start(&zeroed, 0) == LB_BAD_ARGUMENT);
	CHECK(lb_threads_start(&zeroed, LB_MAX_THREADS + 1) == LB_BAD_ARGUMENT);
	lb_threads_stop(&zeroed);
}

/* an ERROR on the server's thread while helpers still work */
static void
test_stop_after_longjmp_waits(void)
{
	static LbThreads pool;
	static Seen seen;
	jmp_buf		leave;
	int			before = count_threads(1);	/* an emulator has its own */

	seen.naps = 30;
	seen.leave = &leave;
	CHECK(lb_threads_start(&pool, 3) == LB_OK);
	if (setjmp(leave) == 0)
	{
		lb_threads_run(&pool, note_part, &seen);
		CHECK(false);
	}
	lb_threads_stop(&pool);
	CHECK(seen.finished == 2);
	CHECK(count_threads(before) == before);
}

static void
test_parts_cover_all(void)
{
	for (int n = 0; n < 40; n++)
	{
		for (int workers = 1; workers < 9; workers++)
		{
			int64_t		next = 0;

			for (int w = 0; w < workers; w++)
			{
				int64_t		from;
				int64_t		to;

				lb_threads_part(&from, &to, n, w, workers);
				CHECK(from == next && to >= from);
				next = to;
			}
			CHECK(next == n);
		}
	}
}

#define MOST 1000

typedef struct Marks
{
	int8_t		worker[MOST];	/* number of the worker that did it, plus one */
	int64_t		unit;
	int64_t		block;
	int64_t		last[8];		/* where each worker's last block ended */
	int64_t		fails_at;		/* -1: never */
	bool		sound;
} Marks;

static bool
mark(void *arg, int worker, int64_t from, int64_t to)
{
	Marks	   *m = arg;

	/* in order, whole units, no more than a block */
	if (from >= to || to - from > m->block || from % m->unit != 0 ||
		(m->last[worker] > 0 && m->last[worker] != from))
		m->sound = false;
	m->last[worker] = to;
	for (int64_t i = from; i < to; i++)
	{
		if (m->worker[i] != 0)
			m->sound = false;
		m->worker[i] = (int8_t) (worker + 1);
	}
	return m->fails_at < from || m->fails_at >= to;
}

/* Everything is done once, by workers in order; a refusal or a cancel stops. */
static void
test_for(void)
{
	for (int workers = 1; workers <= 4; workers++)
	{
		LbThreads	pool;

		CHECK(lb_threads_start(&pool, workers) == LB_OK);
		for (int round = 0; round < 200; round++)
		{
			int64_t		n = round == 0 ? 0 : 1 + unit_below(MOST);
			int64_t		unit = 1 + unit_below(16);
			Marks		m = {.unit = unit, .block = unit * (1 + unit_below(9)),
				.fails_at = -1, .sound = true};

			CHECK(lb_threads_for(&pool, n, unit, m.block, mark, &m, NULL) ==
				  LB_OK);
			for (int64_t i = 0; i < n; i++)
				m.sound = m.sound && m.worker[i] != 0 &&
					(i == 0 || m.worker[i] >= m.worker[i - 1]);
			for (int64_t i = n; i < MOST; i++)
				m.sound = m.sound && m.worker[i] == 0;
			CHECK_MSG(m.sound, "%ld units of %ld", (long) n, (long) unit);
			if (n == 0)
				continue;
			memset(m.worker, 0, sizeof(m.worker));
			memset(m.last, 0, sizeof(m.last));
			m.fails_at = unit_below((int) n);
			CHECK(lb_threads_for(&pool, n, unit, m.block, mark, &m, NULL) ==
				  LB_CANCELLED && m.worker[m.fails_at] != 0);
			memset(m.worker, 0, sizeof(m.worker));
			CHECK(lb_threads_for(&pool, n, unit, m.block, mark, &m,
								 unit_cancel) == LB_CANCELLED);
			for (int64_t i = 0; i < n; i++)
				m.sound = m.sound && m.worker[i] == 0;
			CHECK(m.sound);
		}
		lb_threads_stop(&pool);
	}
}

/* Counting and cutting agree, and arrays are aligned and do not overlap. */
static void
test_arena(void)
{
	LbArena		counted = {NULL};
	LbArena		cut;
	char	   *block;
	char	   *end;

	for (size_t i = 0; i < 200; i++)
		CHECK(lb_arena_cut(&counted, i) == NULL);
	block = unit_alloc(counted.used);
	cut = (LbArena)
	{
		block
	};
	end = block;
	for (size_t i = 0; i < 200; i++)
	{
		char	   *p = lb_arena_cut(&cut, i);

		CHECK(p >= end && ((uintptr_t) p & (LB_ALIGN - 1)) == 0);
		memset(p, 1, i);
		end = p + i;
	}
	CHECK(cut.used == counted.used && end <= block + cut.used);
	free(block);

	/* an impossible size stays impossible */
	counted.used = 64;
	for (int i = 0; i < 9; i++)
		lb_arena_cut(&counted, SIZE_MAX / 5 * (i % 5 + 1));
	CHECK(counted.used == LB_TOO_MANY_BYTES);
}

UNIT_MAIN(
	RUN(test_each_part_runs_once);
	RUN(test_no_pool_runs_alone);
	RUN(test_stop_after_longjmp_waits);
	RUN(test_parts_cover_all);
	RUN(test_for);
	RUN(test_arena);)
