/*
 * step.c
 *		lbrec's training step alone, or its ranks: src/core without a server.
 *
 * usage: step LISTENS.tsv USERS RECORDINGS ARTISTS BATCH STEPS LAYERS THREADS
 *		  step rank QUERIES CANDIDATES THREADS
 *
 * LISTENS.tsv has user, recording, artist (numbers from 1) and seconds.  The
 * model is the preprint's; batches are drawn anew from all listens.  Prints
 * the least wall seconds of six rounds of STEPS steps and the least
 * processor seconds of all threads; "rank" those of six evaluations, each
 * the exact number of candidates above the true one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/model/lb_model.h"
#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_batch.h"
#include "core/scan/lb_scan_rank.h"

#define BUCKETS 1000
#define D 32
#define COLUMNS 4				/* user, recording, artist, seconds */
#define ROUNDS 6
#define PAGE_BYTES ((size_t) 1 << 21)

typedef struct Listens
{
	int			n;
	long	   *column[COLUMNS];
	long		first;			/* of the times */
	long		last;
} Listens;

/* The least of the rounds, in wall and in processor time. */
typedef struct Best
{
	double		wall;
	double		cpu;
	double		wall_began;
	double		cpu_began;
} Best;

static void
fail(const char *what)
{
	fprintf(stderr, "step: %s\n", what);
	exit(2);
}

static void *
allocate(size_t bytes)
{
	size_t		unit = bytes < PAGE_BYTES ? LB_ALIGN : PAGE_BYTES;
	void	   *p = aligned_alloc(unit, (bytes / unit + 1) * unit);

	if (p == NULL)
		fail("out of memory");
#ifdef MADV_HUGEPAGE
	/* as the extension does */
	(void) madvise(p, bytes, MADV_HUGEPAGE);
#endif
	memset(p, 0, bytes);
	return p;
}

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void
begin(Best *best)
{
	best->wall_began = seconds(CLOCK_MONOTONIC);
	best->cpu_began = seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* The first round touches the memory; it does not count. */
static void
end(Best *best, int round)
{
	double		wall = seconds(CLOCK_MONOTONIC) - best->wall_began;
	double		cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - best->cpu_began;

	if (round == 1 || (round > 1 && wall < best->wall))
		best->wall = wall;
	if (round == 1 || (round > 1 && cpu < best->cpu))
		best->cpu = cpu;
}

static void
read_listens(Listens *x, const char *path)
{
	FILE	   *f = fopen(path, "r");
	int			room = 0;
	long		v[COLUMNS];

	if (f == NULL)
		fail("cannot open the listens");
	while (fscanf(f, "%ld %ld %ld %ld", &v[0], &v[1], &v[2], &v[3]) == COLUMNS)
	{
		if (x->n == room)
		{
			room = room == 0 ? 65536 : room * 2;
			for (int k = 0; k < COLUMNS; k++)
			{
				x->column[k] = realloc(x->column[k], room * sizeof(long));
				if (x->column[k] == NULL)
					fail("out of memory");
			}
		}
		for (int k = 0; k < COLUMNS; k++)
			x->column[k][x->n] = v[k];
		x->first = x->n == 0 || v[3] < x->first ? v[3] : x->first;
		x->last = x->n == 0 || v[3] > x->last ? v[3] : x->last;
		x->n++;
	}
	fclose(f);
	if (x->last == x->first)
		fail("too few listens");
}

static void
draw(LbBatch *batch, int32_t *codes, float *numbers, const Listens *x,
	 LbRandom *rng)
{
	int			B = batch->B;

	for (int b = 0; b < B; b++)
	{
		int64_t		i = lb_random_below(rng, x->n);
		double		t = (double) (x->column[3][i] - x->first) /
			(x->last - x->first);

		codes[b] = (int32_t) x->column[0][i];
		codes[B + b] = 1 + (int32_t) (t * (BUCKETS - 1));
		codes[2 * B + b] = (int32_t) x->column[1][i];
		codes[3 * B + b] = (int32_t) x->column[2][i];
		numbers[b] = (float) (3.5 * t - 1.75);
	}
}

/* The preprint's towers. */
static void
add_towers(LbModel *model, char **rows, const int *layers, int n_layers, int B)
{
	lb_model_add_input(&model->query, LB_INPUT_EMBEDDING,
					   lb_model_add_table(model, "user", atoi(rows[0]) + 1,
										  D, B));
	lb_model_add_input(&model->query, LB_INPUT_EMBEDDING,
					   lb_model_add_table(model, "time", BUCKETS + 1, D, B));
	lb_model_add_input(&model->query, LB_INPUT_NUMBER, -1);
	lb_model_add_input(&model->candidate, LB_INPUT_EMBEDDING,
					   lb_model_add_table(model, "recording",
										  atoi(rows[1]) + 1, D, B));
	lb_model_add_input(&model->candidate, LB_INPUT_EMBEDDING,
					   lb_model_add_table(model, "artist", atoi(rows[2]) + 1,
										  D, B));
	if (lb_model_add_layers(model, &model->query, "query", layers,
							n_layers) != LB_OK ||
		lb_model_add_layers(model, &model->candidate, "candidate", layers,
							n_layers) != LB_OK)
		fail("bad layers");
}

static void
run_steps(Best *best, char **argv, LbThreads *pool, int n_threads)
{
	Listens		x = {0};
	int			B = atoi(argv[5]);
	int			steps = atoi(argv[6]);
	int			layers[LB_MAX_LAYERS];
	int			n_layers = 0;
	LbModel    *model = allocate(sizeof(LbModel));
	LbOptimizer opt = {.kind = LB_ADAGRAD, .learning_rate = 0.1f,
		.initial_accumulator = 0.1f, .epsilon = 1e-7f};
	LbObjective objective = {.temperature = 1};
	LbBatch		batch;
	LbWorkspace ws;
	LbRandom	rng;
	int32_t    *codes = allocate(4 * (size_t) B * sizeof(int32_t));
	float	   *numbers = allocate(B * sizeof(float));
	double		loss;

	for (char *p = strtok(argv[7], ","); p != NULL && n_layers < LB_MAX_LAYERS;
		 p = strtok(NULL, ","))
		layers[n_layers++] = atoi(p);
	read_listens(&x, argv[1]);
	add_towers(model, argv + 2, layers, n_layers, B);
	lb_model_place(model, &opt, allocate(lb_model_bytes(model, &opt)),
				   pool);
	lb_model_initialize(model, 1, NULL);
	lb_workspace_place(&ws, model, B, B, n_threads,
					   allocate(lb_workspace_bytes(model, B, B, n_threads)));
	memset(&batch, 0, sizeof(batch));
	batch.B = batch.N = B;
	batch.query[0].codes = codes;
	batch.query[1].codes = codes + B;
	batch.query[2].numbers = numbers;
	batch.candidate[0].codes = batch.ids = codes + 2 * B;
	batch.candidate[1].codes = codes + 3 * B;
	lb_random_seed(&rng, 1, 1);
	for (int round = 0; round <= ROUNDS; round++)
	{
		begin(best);
		for (int s = 0; s < steps; s++)
		{
			draw(&batch, codes, numbers, &x, &rng);
			if (lb_model_step(&loss, model, &opt, &objective, &batch, &ws,
							  pool, NULL) != LB_OK)
				fail("a step failed");
		}
		end(best, round);
	}
}

static float *
random_vectors(int64_t n, LbRandom *rng)
{
	float	   *x = allocate((size_t) n * D * sizeof(float));

	for (int64_t i = 0; i < n * D; i++)
		x[i] = ((int) lb_random_below(rng, 65536) - 32768) * 1e-4f;
	return x;
}

static void
run_ranks(Best *best, char **argv, LbThreads *pool, int n_threads)
{
	int64_t		m = atol(argv[2]);
	int64_t		n = atol(argv[3]);
	LbRandom	rng;
	float	   *q;
	float	   *c;
	int32_t    *truth = allocate(m * sizeof(int32_t));
	int64_t    *counts = allocate(m * sizeof(int64_t));
	void	   *scratch = allocate(lb_rank_counts_bytes(m, n, D, n_threads));
	LbRanking	ranking;

	lb_random_seed(&rng, 1, 1);
	q = random_vectors(m, &rng);
	c = random_vectors(n, &rng);
	for (int64_t i = 0; i < m; i++)
		truth[i] = (int32_t) lb_random_below(&rng, n);
	ranking = (LbRanking)
	{
		.q = q, .n_queries = m, .true_candidate = truth, .c = c, .n = n, .D = D
	};
	for (int round = 0; round <= ROUNDS; round++)
	{
		begin(best);
		if (lb_rank_counts(counts, &ranking, scratch, pool, NULL) != LB_OK)
			fail("ranks failed");
		end(best, round);
	}
}

int
main(int argc, char **argv)
{
	bool		rank = argc == 5 && strcmp(argv[1], "rank") == 0;
	int			n_threads;
	LbThreads	pool;
	Best		best = {0};

	if (!rank && argc != 9)
		fail("wrong number of arguments; the head of step.c tells them");
	n_threads = atoi(argv[argc - 1]);
	if (lb_threads_start(&pool, n_threads) != LB_OK)
		fail("cannot start threads");
	if (rank)
		run_ranks(&best, argv, &pool, n_threads);
	else
		run_steps(&best, argv, &pool, n_threads);
	lb_threads_stop(&pool);
	printf("%.6f\t%.6f\n", best.wall, best.cpu);
	return 0;
}
