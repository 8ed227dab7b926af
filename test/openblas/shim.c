/*
 * shim.c
 *		Preloaded into a server, makes it see another environment.
 *
 * LBREC_TEST_OPENBLAS names a file with the path of the library that is opened
 * in the place of any OpenBLAS.  With LBREC_TEST_EMULATED set, a process
 * reports one thread less: that of qemu.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *
dlopen(const char *file, int flags)
{
	static char path[4096];
	void	   *(*next) (const char *, int);
	const char *other = getenv("LBREC_TEST_OPENBLAS");
	FILE	   *f;

	*(void **) &next = dlsym(RTLD_NEXT, "dlopen");
	if (file == NULL || other == NULL || strstr(file, "libopenblas") == NULL ||
		(f = fopen(other, "r")) == NULL)
		return next(file, flags);
	if (fscanf(f, "%4095s", path) != 1)
		abort();
	fclose(f);
	return next(path, flags);
}

/* The same text with one thread less. */
static int
one_thread_less(int status)
{
	char		text[4096];
	ssize_t		n = read(status, text, sizeof(text) - 1);
	char	   *line;
	int			less = memfd_create("status", MFD_CLOEXEC);

	close(status);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nThreads:");
	if (line == NULL || less < 0)
		abort();
	dprintf(less, "Name:\tshim\nThreads:\t%d\n",
			atoi(line + strlen("\nThreads:")) - 1);
	lseek(less, 0, SEEK_SET);
	return less;
}

/* True for the file whose number of threads is wrong under qemu. */
static int
is_emulated_status(const char *path)
{
	return getenv("LBREC_TEST_EMULATED") != NULL &&
		strcmp(path, "/proc/self/status") == 0;
}

int
open(const char *path, int flags,...)
{
	int			(*next) (const char *, int,...);
	va_list		args;
	int			fd;

	va_start(args, flags);
	*(void **) &next = dlsym(RTLD_NEXT, "open");
	fd = next(path, flags, va_arg(args, int));
	va_end(args);
	return fd >= 0 && is_emulated_status(path) ? one_thread_less(fd) : fd;
}

int
open64(const char *path, int flags,...)
{
	va_list		args;
	int			fd;

	va_start(args, flags);
	fd = open(path, flags, va_arg(args, int));
	va_end(args);
	return fd;
}

/* pg_read_file() opens so */
FILE *
fopen(const char *path, const char *mode)
{
	FILE	   *(*next) (const char *, const char *);
	int			fd;

	*(void **) &next = dlsym(RTLD_NEXT, "fopen");
	if (!is_emulated_status(path))
		return next(path, mode);
	fd = open(path, O_RDONLY);
	return fd >= 0 ? fdopen(fd, mode) : NULL;
}
