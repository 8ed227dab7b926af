/*
 * thread.c
 *		A library that starts a thread when it is loaded; the thread ends once
 *		the file LBREC_TEST_THREAD_ENDS exists.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *
wait_for_file(void *arg)
{
	const char *file = getenv("LBREC_TEST_THREAD_ENDS");

	while (file != NULL && access(file, F_OK) != 0)
		usleep(10000);
	return arg;
}

__attribute__((constructor))
static void
loaded(void)
{
	pthread_t	thread;

	if (pthread_create(&thread, NULL, wait_for_file, NULL) == 0)
		pthread_detach(thread);
}
