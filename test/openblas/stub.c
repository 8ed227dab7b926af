/*
 * stub.c
 *		A library that looks like OpenBLAS, right or with one fault.
 *
 * Compiled with one of: SERIAL (a build without locks), NO_SGEMV (a function
 * is missing), MANY (it means to run four threads), STARTS (it starts one when
 * it is loaded), WRONG (one product in a hundred is wrong), STRANGE (it
 * reports a strange version and core).  As OpenBLAS does, it takes the number
 * of threads from the environment when it is loaded.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRANS 112

static int	threads = 4;

static void *
idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

__attribute__((constructor))
static void
loaded(void)
{
	const char *asked = getenv("OPENBLAS_NUM_THREADS");

	if (asked != NULL)
		threads = atoi(asked);
#ifdef MANY
	threads = 4;
#endif
#ifdef STARTS
	{
		pthread_t	thread;

		pthread_create(&thread, NULL, idle, NULL);
	}
#endif
	(void) idle;
}

int
openblas_get_parallel(void)
{
#ifdef SERIAL
	return 0;
#else
	return 1;
#endif
}

int
openblas_get_num_threads(void)
{
	return threads;
}

char *
openblas_get_config(void)
{
#ifdef STRANGE
	static char config[100000];

	return memset(config, 'x', sizeof(config) - 1);
#else
	return "OpenBLAS 9.8.7 STUB";
#endif
}

char *
openblas_get_corename(void)
{
#ifdef STRANGE
	return openblas_get_config();
#else
	return getenv("OPENBLAS_CORETYPE") != NULL ?
		getenv("OPENBLAS_CORETYPE") : "Stub";
#endif
}

void
cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k,
			float alpha, const float *a, int lda, const float *b, int ldb,
			float beta, float *c, int ldc)
{
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++)
		{
			float		sum = 0;

			for (int l = 0; l < k; l++)
				sum += (trans_a == TRANS ? a[l * lda + i] : a[i * lda + l]) *
					(trans_b == TRANS ? b[j * ldb + l] : b[l * ldb + j]);
			c[i * ldc + j] = alpha * sum +
				(beta != 0 ? beta * c[i * ldc + j] : 0);
		}
#ifdef WRONG
	{
		static int	calls;

		if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 100 == 0)
			c[0] += 1;
	}
#endif
}

#ifndef NO_SGEMV
void
cblas_sgemv(int order, int trans, int m, int n, float alpha, const float *a,
			int lda, const float *x, int incx, float beta, float *y, int incy)
{
	for (int i = 0; i < (trans == TRANS ? n : m); i++)
	{
		float		sum = 0;

		for (int j = 0; j < (trans == TRANS ? m : n); j++)
			sum += (trans == TRANS ? a[j * lda + i] : a[i * lda + j]) *
				x[j * incx];
		y[i * incy] = alpha * sum + (beta != 0 ? beta * y[i * incy] : 0);
	}
}
#endif
