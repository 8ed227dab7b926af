/*
 * test_pieces.c
 *		A wide tower's batch is done in pieces with pauses between them. It
 *		gives the same results as the same rows a few at a time, and a caller
 *		may leave in any of the pauses.
 */
#include "core/model/lb_model.h"

#include <math.h>
#include <setjmp.h>

#include "unit.h"

#define ROWS 1024
#define FEW 64					/* rows that are one piece */
#define WIDTH 512
#define USERS 100

static int	pauses;
static int	leave_at;			/* the pause that leaves; 0: none */
static jmp_buf left;

static void
count_pause(void)
{
	if (++pauses == leave_at)
		longjmp(left, 1);
}

static LbModel model;
static LbOptimizer optimizer = {.kind = LB_ADAGRAD, .learning_rate = 0.1f,
	.initial_accumulator = 0.1f, .epsilon = 1e-7f, .clip_norm = 1e-3f};
static void *block;
static int32_t codes[ROWS];
static LbInputValues values[LB_MAX_INPUTS];

static void
make_model(void)
{
	static const int layers[] = {WIDTH, WIDTH};

	memset(&model, 0, sizeof(model));
	lb_model_add_input(&model.query, LB_INPUT_EMBEDDING,
					   lb_model_add_table(&model, "user", USERS, WIDTH,
										  2 * ROWS));
	CHECK(lb_model_add_layers(&model, &model.query, "query", layers, 2) ==
		  LB_OK);
	block = unit_alloc(lb_model_bytes(&model, &optimizer));
	lb_model_place(&model, &optimizer, block, NULL);
	CHECK(lb_model_initialize(&model, 1, NULL) == LB_OK);
	for (int b = 0; b < ROWS; b++)
		codes[b] = unit_below(USERS);
	values[0].codes = codes;
}

static void
make_pass(LbTowerPass *pass, void **memory, int workers)
{
	*memory = unit_alloc(lb_tower_pass_bytes(&model.query, ROWS, workers,
											 true));
	lb_tower_pass_place(pass, &model.query, ROWS, workers, true, *memory);
}

/* out (ROWS,WIDTH) and the gradients, of all rows at once or few at a time */
static void
both_ways(float *out, float *gradient, const float *dout, int rows,
		  LbThreads *pool)
{
	LbTowerPass pass;
	void	   *memory;
	const LbTensor *kernel = &model.tensors[model.query.kernel[0]];
	size_t		n = (size_t) kernel->rows * kernel->cols;

	make_pass(&pass, &memory, lb_threads_count(pool));
	memset(kernel->grad, 0, n * sizeof(float));
	for (int b = 0; b < ROWS; b += rows)
	{
		LbInputValues part = {.codes = codes + b};

		lb_tower_forward(&pass, &model.query, model.tensors, &part, rows,
						 pool);
		memcpy(out + (size_t) b * WIDTH, pass.out,
			   (size_t) rows * WIDTH * sizeof(float));
		lb_tower_backward(model.tensors, &pass, &model.query,
						  dout + (size_t) b * WIDTH, &part, pool);
	}
	memcpy(gradient, kernel->grad, n * sizeof(float));
	free(memory);
}

static void
test_the_same(void)
{
	size_t		n = (size_t) ROWS * WIDTH;
	float	   *dout = unit_alloc(n * sizeof(float));
	float	   *out[2];
	float	   *gradient[2];
	double		error = 0;
	double		norm = 0;
	LbThreads	pool;

	make_model();
	CHECK(lb_threads_start(&pool, 2) == LB_OK);
	pool.pause = count_pause;
	for (size_t i = 0; i < n; i++)
		dout[i] = unit_normal();
	for (int way = 0; way < 2; way++)
	{
		out[way] = unit_alloc(n * sizeof(float));
		gradient[way] = unit_alloc(n * sizeof(float));
		pauses = 0;
		both_ways(out[way], gradient[way], dout, way == 0 ? ROWS : FEW,
				  &pool);
		if (way == 0)
			CHECK_MSG(pauses > 20, "%d pauses", pauses);
	}
	CHECK(memcmp(out[0], out[1], n * sizeof(float)) == 0);
	for (size_t i = 0; i < (size_t) WIDTH * WIDTH; i++)
	{
		error += pow((double) gradient[0][i] - gradient[1][i], 2);
		norm += pow(gradient[1][i], 2);
	}
	CHECK_MSG(sqrt(error) < 1e-5 * sqrt(norm), "%g of %g", sqrt(error),
			  sqrt(norm));
	for (int way = 0; way < 2; way++)
	{
		free(out[way]);
		free(gradient[way]);
	}
	free(dout);
	lb_threads_stop(&pool);
	free(block);
}

/* Leaving by longjmp leaves a pool that stops and memory that can be freed. */
static void
test_leaving(void)
{
	size_t		n = (size_t) ROWS * WIDTH;
	float	   *volatile dout = unit_alloc(n * sizeof(float));
	void	   *memory;
	LbTowerPass pass;
	static LbThreads pool;
	volatile int at;
	volatile int leaves = 0;

	make_model();
	make_pass(&pass, &memory, 2);
	memset(dout, 0, n * sizeof(float));
	for (at = 1;; at += 7)
	{
		CHECK(lb_threads_start(&pool, 2) == LB_OK);
		pool.pause = count_pause;
		pauses = 0;
		leave_at = at;
		if (setjmp(left) == 0)
		{
			lb_tower_forward(&pass, &model.query, model.tensors, values, ROWS,
							 &pool);
			lb_tower_backward(model.tensors, &pass, &model.query, dout,
							  values, &pool);
			lb_optimizer_apply(&optimizer, model.tensors, model.n_tensors,
							   &pool);
			lb_threads_stop(&pool);
			break;
		}
		lb_threads_stop(&pool);
		leaves++;
	}
	leave_at = 0;
	CHECK_MSG(leaves > 4, "%d", leaves);
	free(dout);
	free(memory);
	free(block);
}

/*
 * A tower without layers gathers and normalises, which waits for memory: many
 * rows of it were one piece of some hundred milliseconds.
 */
static void
test_many_rows(void)
{
	enum
	{
	MANY = 16384};
	LbTower		tower = {.normalize = true};
	LbTowerPass pass;
	LbInputValues inputs[LB_MAX_INPUTS] = {0};
	int32_t    *rows = unit_alloc(MANY * sizeof(int32_t));
	void	   *memory;
	LbThreads	pool;

	make_model();
	lb_model_add_input(&tower, LB_INPUT_EMBEDDING, 0);
	CHECK(lb_model_add_layers(&model, &tower, "sum", NULL, 0) == LB_OK);
	for (int b = 0; b < MANY; b++)
		rows[b] = unit_below(USERS);
	inputs[0].codes = rows;
	memory = unit_alloc(lb_tower_pass_bytes(&tower, MANY, 1, false));
	lb_tower_pass_place(&pass, &tower, MANY, 1, false, memory);
	CHECK(lb_threads_start(&pool, 1) == LB_OK);
	pool.pause = count_pause;
	pauses = 0;
	lb_tower_forward(&pass, &tower, model.tensors, inputs, MANY, &pool);
	CHECK_MSG(pauses > 8, "%d pauses", pauses);
	for (int b = 0; b < MANY; b += MANY / 8)
	{
		double		square = 0;

		for (int d = 0; d < WIDTH; d++)
			square += (double) pass.out[(size_t) b * WIDTH + d] *
				pass.out[(size_t) b * WIDTH + d];
		CHECK_MSG(fabs(square - 1) < 1e-5, "%g", square);
	}
	lb_threads_stop(&pool);
	free(rows);
	free(memory);
	free(block);
}

UNIT_MAIN(RUN(test_the_same);
		  RUN(test_many_rows);
		  RUN(test_leaving);)
