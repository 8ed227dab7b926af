/*
 * lb_openblas.c
 *		Loads OpenBLAS in a form that our threads may call.
 *
 * Debian has three builds.  The serial build keeps its buffers in unlocked
 * tables: on four of our threads 500 to 770 of 200,000 small products were
 * wrong.  The OpenMP build brings OpenMP's threads.  The pthread build has
 * locks, and starts threads when it is loaded unless OPENBLAS_NUM_THREADS is 1
 * then: with that it started none, and none of 200,000 products was wrong.  So
 * we use only that build, which is identified by its file name and its own
 * description.  It is loaded with RTLD_LOCAL (another BLAS in the process is
 * not affected), with all signals blocked, and tested before use.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* dladdr() */
#endif
#include "core/openblas/lb_openblas.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/kernels/blas.h"
#include "core/lb_threads.h"

/* Names of the pthread build: Debian's path first, then Fedora's name. */
static const char *const files[] = {
#if defined(__x86_64__)
	"/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0",
#elif defined(__aarch64__)
	"/usr/lib/aarch64-linux-gnu/openblas-pthread/libopenblas.so.0",
#elif defined(__arm__)
	"/usr/lib/arm-linux-gnueabihf/openblas-pthread/libopenblas.so.0",
#elif defined(__i386__)
	"/usr/lib/i386-linux-gnu/openblas-pthread/libopenblas.so.0",
#endif
	"libopenblasp.so.0",
	"libopenblas.so.0",
};

static LbOpenblas openblas;

/*
 * OpenBLAS treats a CPU model that it does not know as a Prescott, at a third
 * of the speed (seen on a virtual machine).  So we choose by the CPU's
 * instruction sets.
 */
static const char *
core_type(void)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512vl"))
		return "SkylakeX";
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return "Haswell";
#endif
	return NULL;
}

/*
 * Returns the number of this process' threads, or -1 if the system does not
 * tell.
 */
static int
count_threads(void)
{
	char		status[4096];
	const char *line;
	ssize_t		n;
	int			fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	n = read(fd, status, sizeof(status) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	status[n] = '\0';
	line = strstr(status, "\nThreads:");
	return line != NULL ? atoi(line + strlen("\nThreads:")) : -1;
}

/*
 * True once the process has that many threads.  The system may count a thread
 * for a moment after it was joined, so this waits for one second at most.
 */
static bool
threads_are_again(int expected)
{
	for (int tries = 0; tries < 1000; tries++)
	{
		if (count_threads() == expected)
			return true;
		usleep(1000);
	}
	return false;
}

/*
 * Sets an environment variable and saves its old value in was (size); returns
 * was or NULL.
 */
static const char *
change_variable(const char *name, const char *value, char *was, size_t size)
{
	const char *old = getenv(name);

	if (old != NULL)
		snprintf(was, size, "%s", old);
	setenv(name, value, 1);
	return old != NULL ? was : NULL;
}

static void
restore_variable(const char *name, const char *was)
{
	if (was != NULL)
		setenv(name, was, 1);
	else
		unsetenv(name);
}

static void *
open_library(void)
{
	char		threads_was[256];
	const char *threads = change_variable("OPENBLAS_NUM_THREADS", "1",
										  threads_was, sizeof(threads_was));
	bool		guess = getenv("OPENBLAS_CORETYPE") == NULL &&
		core_type() != NULL;
	void	   *library = NULL;

	if (guess)
		setenv("OPENBLAS_CORETYPE", core_type(), 1);
	for (size_t i = 0; library == NULL && i < sizeof(files) / sizeof(files[0]);
		 i++)
		library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
	if (guess)
		unsetenv("OPENBLAS_CORETYPE");
	restore_variable("OPENBLAS_NUM_THREADS", threads);
	return library;
}

/* True if the file of the library is that of a pthread build: libopenblasp. */
static bool
is_pthread_file(void *function)
{
	Dl_info		info;
	char		path[PATH_MAX];
	const char *name;

	if (dladdr(function, &info) == 0 || info.dli_fname == NULL ||
		realpath(info.dli_fname, path) == NULL)
		return false;
	snprintf(openblas.file, sizeof(openblas.file), "%s", path);
	name = strrchr(path, '/');
	return name != NULL &&
		strncmp(name + 1, "libopenblasp", strlen("libopenblasp")) == 0;
}

/* Sizes of the self-test's products: small integers, whose sums are exact. */
#define TEST_M 24
#define TEST_N 40
#define TEST_K 32
#define TEST_THREADS 4
#define TEST_ROUNDS 150

typedef struct Trial
{
	const LbBlas *blas;
	bool		wrong[TEST_THREADS];
} Trial;

static void
try_products(void *arg, int worker, int n_workers)
{
	Trial	   *trial = arg;
	float		a[TEST_M * TEST_K];
	float		b[TEST_K * TEST_N];
	float		c[TEST_M * TEST_N];
	float		y[TEST_M];

	for (int round = 0; round < TEST_ROUNDS; round++)
	{
		for (int i = 0; i < TEST_M * TEST_K; i++)
			a[i] = (float) ((i * 7 + round * 5 + worker) % 17 - 8);
		for (int i = 0; i < TEST_K * TEST_N; i++)
			b[i] = (float) ((i * 11 + round * 3 + worker * 2) % 13 - 6);
		trial->blas->sgemm(LB_ROW_MAJOR, LB_NO_TRANS, LB_NO_TRANS, TEST_M,
						   TEST_N, TEST_K, 1, a, TEST_K, b, TEST_N, 0, c,
						   TEST_N);
		trial->blas->sgemv(LB_ROW_MAJOR, LB_NO_TRANS, TEST_M, TEST_K, 1, a,
						   TEST_K, b, 1, 0, y, 1);
		for (int i = 0; i < TEST_M; i++)
		{
			float		dot = 0;

			for (int j = 0; j < TEST_N; j++)
			{
				float		sum = 0;

				for (int k = 0; k < TEST_K; k++)
					sum += a[i * TEST_K + k] * b[k * TEST_N + j];
				if (c[i * TEST_N + j] != sum)
					trial->wrong[worker] = true;
			}
			for (int k = 0; k < TEST_K; k++)
				dot += a[i * TEST_K + k] * b[k];
			if (y[i] != dot)
				trial->wrong[worker] = true;
		}
	}
}

/* True if products by several threads at once are right. */
static bool
products_right(const LbBlas *blas)
{
	static LbThreads pool;
	Trial		trial = {blas};
	bool		right = true;

	/* without a thread here, later threads will fail, too */
	(void) lb_threads_start(&pool, TEST_THREADS);
	lb_threads_run(&pool, try_products, &trial);
	lb_threads_stop(&pool);
	for (int w = 0; w < TEST_THREADS; w++)
		right = right && !trial.wrong[w];
	return right;
}

/* Extracts the version from "OpenBLAS 0.3.21 DYNAMIC_ARCH ...". */
static void
take_version(const char *config)
{
	const char *prefix = "OpenBLAS ";

	if (strncmp(config, prefix, strlen(prefix)) == 0)
		config += strlen(prefix);
	snprintf(openblas.version, sizeof(openblas.version), "%.*s",
			 (int) strcspn(config, " "), config);
}

static LbOpenblasState
load(void)
{
	int			threads = count_threads();
	void	   *library;
	LbBlas		blas;
	int			(*parallel) (void);
	int			(*num_threads) (void);
	char	   *(*config) (void);
	char	   *(*core) (void);

	if (threads > 1)
		return LB_OPENBLAS_BUSY;
	library = open_library();
	if (library == NULL)
		return LB_OPENBLAS_ABSENT;
	*(void **) &blas.sgemm = dlsym(library, "cblas_sgemm");
	*(void **) &blas.sgemv = dlsym(library, "cblas_sgemv");
	*(void **) &parallel = dlsym(library, "openblas_get_parallel");
	*(void **) &num_threads = dlsym(library, "openblas_get_num_threads");
	*(void **) &config = dlsym(library, "openblas_get_config");
	*(void **) &core = dlsym(library, "openblas_get_corename");
	if (blas.sgemm == NULL || blas.sgemv == NULL || parallel == NULL ||
		num_threads == NULL || config == NULL || core == NULL ||
		!is_pthread_file(*(void **) &blas.sgemm) || parallel() != 1)
		return LB_OPENBLAS_UNFIT;
	take_version(config());
	snprintf(openblas.core, sizeof(openblas.core), "%s", core());
	if (num_threads() != 1 || count_threads() != threads)
		return LB_OPENBLAS_THREADS;
	if (!products_right(&blas))
		return LB_OPENBLAS_WRONG;
	if (!threads_are_again(threads))
		return LB_OPENBLAS_THREADS;
	lb_blas_use(&blas);
	return LB_OPENBLAS_LOADED;
}

const LbOpenblas *
lb_openblas_load(void)
{
	sigset_t	all;
	sigset_t	before;

	if (openblas.state != LB_OPENBLAS_NOT_TRIED &&
		openblas.state != LB_OPENBLAS_BUSY)
		return &openblas;
	/* threads that it may start must not receive the server's signals */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	openblas.state = load();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return &openblas;
}

const LbOpenblas *
lb_openblas(void)
{
	return &openblas;
}
