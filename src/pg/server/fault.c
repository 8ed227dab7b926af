/*
 * fault.c
 *		Turns an unreadable page of an image into an error, not a crash.
 *
 * Mapped pages can vanish while they are in use: the file is truncated, the
 * disk fails, or, while an image is built, the disk has no space for a page.
 * The kernel then raises SIGBUS, whose default action ends the backend, and
 * with it every session of the server.
 *
 * The signal is synchronous: it comes to the thread that reads, at the
 * instruction that reads, and our readers of images hold no lock and are in no
 * critical section.  In the backend's own thread the handler can therefore
 * raise an error at once, as PostgreSQL's does for SIGFPE.  While helper
 * threads read the same image it must not, and helpers never can.  Then the
 * rest of the mapping is replaced by zero pages, so that all threads finish,
 * and the error is raised before any result is used (by lbrec_check_maps,
 * called with each status of the core and each row).
 *
 * Faults outside an image go to the handler that was installed before ours.
 */
#include "pg/server/fault.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

int			lbrec_running_pools = 0;

static GuardedMap *volatile guarded;
static volatile sig_atomic_t lost;
static pthread_t backend_thread;
static struct sigaction before;
static long page_size;

static void
raise_lost(void)
{
	lost = false;
	ereport(ERROR,
			(errcode(ERRCODE_IO_ERROR),
			 errmsg("the image of a model could not be read while it was in use"),
			 errdetail("Its file among the server's temporary files was truncated, or its disk failed."),
			 errhint("Repeat the call; the image is then built again. If the error comes back, check the system's log.")));
}

static void
on_bus_error(int signo, siginfo_t * info, void *context)
{
	const char *at = info->si_addr;

	for (GuardedMap *map = guarded; map != NULL; map = map->next)
	{
		char	   *page;

		if (at < map->base || at >= map->base + map->size)
			continue;
		map->lost = true;
		if (pthread_equal(pthread_self(), backend_thread) &&
			lbrec_running_pools == 0 && CritSectionCount == 0)
			raise_lost();
		lost = true;
		page = (char *) ((uintptr_t) at & ~(uintptr_t) (page_size - 1));
		if (mmap(page, map->base + map->size - page,
				 map->writable ? PROT_READ | PROT_WRITE : PROT_READ,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page)
			return;
		break;
	}

	/* not our fault: restore the handler; the instruction runs again */
	sigaction(SIGBUS, &before, NULL);
}

/* Tells the handler about the mapping, until lbrec_unguard(). */
void
lbrec_guard(GuardedMap *map)
{
	static bool installed = false;

	if (!installed)
	{
		struct sigaction act;

		page_size = sysconf(_SC_PAGESIZE);
		backend_thread = pthread_self();
		memset(&act, 0, sizeof(act));
		act.sa_sigaction = on_bus_error;

		/*
		 * an error leaves the handler by longjmp, so the signal must not stay
		 * blocked
		 */
		act.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
		sigemptyset(&act.sa_mask);
		if (sigaction(SIGBUS, &act, &before) != 0)
			elog(ERROR, "could not handle SIGBUS: %m");
		installed = true;
	}
	map->next = guarded;
	guarded = map;
}

void
lbrec_unguard(GuardedMap *map)
{
	GuardedMap *volatile *place = &guarded;

	while (*place != NULL && *place != map)
		place = &(*place)->next;
	if (*place == map)
		*place = map->next;
}

/* Raises the error for a page that a helper thread could not read. */
void
lbrec_check_maps(void)
{
	if (lost)
		raise_lost();
}
