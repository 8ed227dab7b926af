/*
 * kernels.c
 *		Milliseconds of each kernel, on each instruction set of this machine,
 *		with one and two threads, beside peers in the same run.
 *
 *		make bench-kernels					all
 *		build/bench/kernels softmax			one part: softmax, topk, batch, rank
 *		build/bench/kernels topk 2000000	another number of candidates
 *
 * Columns: the least wall time of several runs; the least CPU time (of all
 * threads), which says more on a busy machine; the ratio of CPU times to the
 * first peer's.  Ratios are what may be quoted.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/kernels/lb_kernels.h"
#include "core/openblas/lb_openblas.h"
#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_batch.h"
#include "core/scan/lb_scan_rank.h"
#include "core/model/lb_softmax.h"
#include "peers.h"

extern void openblas_set_num_threads(int n);
extern char *openblas_get_corename(void);

static double base_cpu;			/* of the first line of a table */

typedef void (*Work) (void *arg, LbThreads *pool);

static double
clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static float
normal(void)
{
	double		sum = 0;

	for (int i = 0; i < 6; i++)
		sum += rand() / (double) RAND_MAX - 0.5;
	return (float) (sum * 1.4142);
}

static float *
normals(size_t n, float deviation)
{
	float	   *x = aligned_alloc(64, LB_ALIGN_UP(n * sizeof(float)));

	for (size_t i = 0; i < n; i++)
		x[i] = deviation * normal();
	return x;
}

/* runs for about a second, at least five times */
static void
measure(const char *name, int n_threads, Work work, void *arg, double per)
{
	LbThreads	pool;
	double		wall = 1e30;
	double		cpu = 1e30;
	double		begin = clock_ms(CLOCK_MONOTONIC);

	lb_threads_start(&pool, n_threads);
	for (int run = 0; run < 5 ||
		 (run < 1000 && clock_ms(CLOCK_MONOTONIC) - begin < 1000); run++)
	{
		double		w = clock_ms(CLOCK_MONOTONIC);
		double		c = clock_ms(CLOCK_PROCESS_CPUTIME_ID);

		work(arg, &pool);
		c = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - c;
		w = clock_ms(CLOCK_MONOTONIC) - w;
		if (run == 0)
			continue;			/* memory is touched for the first time */
		wall = w < wall ? w : wall;
		cpu = c < cpu ? c : cpu;
	}
	lb_threads_stop(&pool);
	if (base_cpu == 0)
		base_cpu = cpu;
	printf("  %-30s %d thread%s %11.3f ms %11.3f CPU ms %7.2f", name,
		   n_threads, n_threads > 1 ? "s" : " ", wall, cpu, base_cpu / cpu);
	if (per > 0)
		printf("   %.0f a CPU second", per / cpu * 1000);
	printf("\n");
	fflush(stdout);
}

/* The same with every set of this machine. */
static void
measure_sets(const char *name, Work work, void *arg, double per)
{
	for (int i = 0; lb_kernel_sets[i] != NULL; i++)
	{
		char		label[64];

		if (!lb_kernel_sets[i]->usable())
			continue;
		lb_kernels_use(lb_kernel_sets[i]);
		snprintf(label, sizeof(label), "%s, %s", name, lb_kernels()->name);
		for (int n_threads = 1; n_threads <= 2; n_threads++)
			measure(label, n_threads, work, arg, per);
	}
	lb_kernels_use(NULL);
}

/*
 * Softmax
 */

typedef struct Step
{
	LbSoftmax	p;
	PeerStep	peer;
	void	   *scratch;
} Step;

static void
step_ours(void *arg, LbThreads *pool)
{
	Step	   *x = arg;
	double		loss;

	if (lb_softmax_step(&loss, x->peer.dq, x->peer.dc, x->peer.q, x->peer.c,
						&x->p, x->scratch, pool, NULL) != LB_OK)
		abort();
}

static void
step_blas(void *arg, LbThreads *pool)
{
	Step	   *x = arg;

	lb_threads_run(pool, peer_step_blas, &x->peer);
	lb_threads_run(pool, peer_step_sum, &x->peer);
}

static void
step_plain(void *arg, LbThreads *pool)
{
	Step	   *x = arg;

	lb_threads_run(pool, peer_step_plain, &x->peer);
	lb_threads_run(pool, peer_step_sum, &x->peer);
}

static void
bench_softmax(int B, int D)
{
	Step		x = {.p = {.B = B, .N = B, .D = D, .scale = 1}};
	size_t		n = (size_t) B * D;

	x.peer.B = B;
	x.peer.D = D;
	x.peer.q = normals(n, 0.3f);
	x.peer.c = normals(n, 0.3f);
	x.peer.dq = normals(n, 0);
	x.peer.dc = normals(2 * n, 0);
	x.peer.tile = normals((size_t) 2 * 64 * B, 0);
	x.scratch = aligned_alloc(64, lb_softmax_bytes(&x.p, 2));
	printf("\nsoftmax step, batch %d, width %d\n", B, D);
	base_cpu = 0;
	for (int n_threads = 1; n_threads <= 2; n_threads++)
		measure("OpenBLAS tiles + libmvec expf", n_threads, step_blas, &x, 0);
	for (int n_threads = 1; n_threads <= 2; n_threads++)
		measure("plain C, -march=native", n_threads, step_plain, &x, 0);
	measure_sets("lbrec", step_ours, &x, 0);
	free((void *) x.peer.q);
	free((void *) x.peer.c);
	free(x.peer.dq);
	free(x.peer.dc);
	free(x.peer.tile);
	free(x.scratch);
}

/*
 * Scans
 */

typedef struct Scan
{
	LbCandidates set;
	void	   *index;
	PeerCount	peer;
	int64_t		k;
	int64_t		most;
	int64_t		next;			/* query */
	float	   *q;
	int64_t    *found;
	int64_t    *ids;
	float	   *scores;
	void	   *scratch;
	float	   *all;
} Scan;

static void
topk_ours(void *arg, LbThreads *pool)
{
	Scan	   *x = arg;
	const float *q = x->q + x->next++ % x->peer.n_queries * x->set.D;
	LbBest		best = {x->k, x->found, x->ids, x->scores};

	(void) pool;
	if (lb_topk(&best, q, &x->set, x->scratch, NULL) != LB_OK)
		abort();
}

static void
topk_blas(void *arg, LbThreads *pool)
{
	Scan	   *x = arg;
	const float *q = x->q + x->next++ % x->peer.n_queries * x->set.D;

	(void) pool;
	peer_topk_blas(x->all, q, x->set.c, x->set.n, x->set.D, (int) x->k);
}

static void
batch_ours(void *arg, LbThreads *pool)
{
	Scan	   *x = arg;
	LbBest		best = {x->k, x->found, x->ids, x->scores};

	if (lb_topk_batch(&best, x->q, x->peer.n_queries, &x->set, x->scratch,
					  pool, NULL) != LB_OK)
		abort();
}

static void
count_ours(void *arg, LbThreads *pool)
{
	Scan	   *x = arg;
	LbRanking	ranking = {
		.q = x->q, .n_queries = x->peer.n_queries,
		.true_candidate = x->peer.truth, .most = x->most, .c = x->set.c,
		.n = x->set.n, .D = x->set.D
	};

	if (lb_rank_counts(x->peer.counts, &ranking, x->scratch, pool,
					   NULL) != LB_OK)
		abort();
}

static void
count_blas(void *arg, LbThreads *pool)
{
	lb_threads_run(pool, peer_count_blas, &((Scan *) arg)->peer);
}

/*
 * q lies near its true candidate, so that ranks are spread as a trained
 * model's are: about a tenth in the first hundred.
 */
static void
scan_make(Scan *x, int64_t n, int D, int64_t n_queries, int64_t k)
{
	int32_t    *truth = malloc(n_queries * sizeof(int32_t));

	memset(x, 0, sizeof(*x));
	x->set.c = normals((size_t) n * D, 1);
	x->set.n = n;
	x->set.D = D;
	x->k = k;
	x->q = normals((size_t) n_queries * D, 1);
	for (int64_t i = 0; i < n_queries; i++)
	{
		truth[i] = (int32_t) (((uint64_t) rand() << 20 ^ rand()) % n);
		for (int d = 0; d < D; d++)
			x->q[i * D + d] += 0.4f * x->set.c[(size_t) truth[i] * D + d];
	}
	x->found = malloc(n_queries * sizeof(int64_t));
	x->ids = malloc(n_queries * k * sizeof(int64_t));
	x->scores = malloc(n_queries * k * sizeof(float));
	x->all = malloc(n * sizeof(float));
	x->peer = (PeerCount)
	{
		.n_queries = n_queries, .n = n, .D = D, .q = x->q, .c = x->set.c,
			.truth = truth, .counts = malloc(n_queries * sizeof(int64_t)),
			.tile = normals((size_t) 2 * 64 * 4096, 0),
	};
	x->index = aligned_alloc(64, LB_ALIGN_UP(lb_index_bytes(n, D)));
	x->scratch = NULL;
	if (lb_index_build(x->index, x->set.c, n, D, NULL, NULL) != LB_OK)
		abort();
}

static void
scan_free(Scan *x)
{
	free((void *) x->set.c);
	free(x->q);
	free(x->found);
	free(x->ids);
	free(x->scores);
	free(x->all);
	free((void *) x->peer.truth);
	free(x->peer.counts);
	free(x->peer.tile);
	free(x->index);
}

static void
bench_topk(int64_t n, int D, int64_t k)
{
	Scan		x;

	scan_make(&x, n, D, 400, k);
	printf("\ntop %ld of %ld, width %d, one query\n", (long) k, (long) n, D);
	base_cpu = 0;
	measure("OpenBLAS sgemv + heap", 1, topk_blas, &x, 0);
	for (int with_index = 0; with_index < 2; with_index++)
	{
		x.set.index = with_index ? x.index : NULL;
		x.scratch = aligned_alloc(64, lb_topk_bytes(&x.set, k));
		for (int i = 0; lb_kernel_sets[i] != NULL; i++)
		{
			char		label[64];

			if (!lb_kernel_sets[i]->usable())
				continue;
			lb_kernels_use(lb_kernel_sets[i]);
			snprintf(label, sizeof(label), "lbrec %s, %s",
					 with_index ? "int8 index" : "float32",
					 lb_kernels()->name);
			measure(label, 1, topk_ours, &x, 0);
		}
		lb_kernels_use(NULL);
		free(x.scratch);
	}
	scan_free(&x);
}

static void
bench_batch(int64_t n, int D, int64_t k)
{
	Scan		x;

	scan_make(&x, n, D, 512, k);
	printf("\ntop %ld of %ld, width %d, 512 queries at once\n", (long) k,
		   (long) n, D);
	base_cpu = 0;
	for (int with_index = 0; with_index < 2; with_index++)
	{
		x.set.index = with_index ? x.index : NULL;
		x.scratch = aligned_alloc(64, lb_topk_batch_bytes(&x.set, 512, k, 2));
		measure_sets(with_index ? "lbrec int8 index" : "lbrec float32",
					 batch_ours, &x, 512);
		free(x.scratch);
	}
	scan_free(&x);
}

static void
bench_rank(int64_t n, int D)
{
	Scan		x;

	scan_make(&x, n, D, 1024, 1);
	printf("\nrank of 1024 true candidates among %ld, width %d "
		   "(10,000: times 9.8)\n", (long) n, D);
	base_cpu = 0;
	for (int n_threads = 1; n_threads <= 2; n_threads++)
		measure("OpenBLAS tiles, counted", n_threads, count_blas, &x, 0);
	x.scratch = aligned_alloc(64, lb_rank_counts_bytes(1024, n, D, 1) +
							  lb_rank_counts_bytes(1024, n, D, 2));
	measure_sets("lbrec", count_ours, &x, 0);
	x.most = 100;
	measure_sets("lbrec, up to 100", count_ours, &x, 0);
	free(x.scratch);
	scan_free(&x);
}

/*
 * OpenBLAS takes a CPU model that it does not know for a Prescott (seen on a
 * virtual machine): a third of the speed.  Told the right one it is a peer.
 * It reads its environment when it is loaded, hence the exec.
 */
static void
give_openblas_its_best(char **argv)
{
	openblas_set_num_threads(1);
	if (getenv("OPENBLAS_NUM_THREADS") != NULL)
		return;
	/* and without threads of its own, so that the set blas may use it */
	setenv("OPENBLAS_NUM_THREADS", "1", 1);
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		setenv("OPENBLAS_CORETYPE",
			   __builtin_cpu_supports("avx512f") ? "SkylakeX" : "Haswell", 0);
#endif
	execv("/proc/self/exe", argv);
}

int
main(int argc, char **argv)
{
	const char *part = argc > 1 ? argv[1] : "all";
	int64_t		n = argc > 2 ? atol(argv[2]) : 518540;
	bool		all = strcmp(part, "all") == 0;

	give_openblas_its_best(argv);
	lb_openblas_load();
	printf("best set of kernels: %s; OpenBLAS runs its %s kernels\n",
		   lb_kernels()->name, openblas_get_corename());
	if (all || strcmp(part, "softmax") == 0)
	{
		static const int shapes[][2] = {
			{2048, 32}, {2048, 64}, {2048, 128}, {2048, 256}, {512, 32},
			{8192, 32},
		};

		for (int i = 0; i < 6; i++)
			bench_softmax(shapes[i][0], shapes[i][1]);
	}
	if (all || strcmp(part, "topk") == 0)
	{
		bench_topk(n, 32, 100);
		if (all)
			bench_topk(2000000, 32, 100);
	}
	if (all || strcmp(part, "batch") == 0)
		bench_batch(n, 32, 100);
	if (all || strcmp(part, "rank") == 0)
		bench_rank(n, 32);
	return 0;
}
