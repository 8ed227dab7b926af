/*
 * test_tower.c
 *		Serving: a tower's outputs are the same bits with every set of kernels,
 *		with any number of threads, alone or in a batch, and those of a plain
 *		chain of fmaf().
 */
#include <math.h>

#include "core/model/lb_model.h"
#include "unit.h"

#define ROWS 37
#define CODES 200
#define MOST_BAG 40

static const int widths[] = {5, 16, 33};	/* of the tables */
static const int layers[] = {43, 24};

typedef struct Example
{
	LbModel		model;
	void	   *block;
	LbInputValues values[LB_MAX_INPUTS];
	int32_t		codes[ROWS];
	LbSpan		spans[ROWS];
	int32_t		bags[ROWS][MOST_BAG];
	float		numbers[ROWS];
} Example;

/* An embedding, a bag and a number; or, without layers, two to add up. */
static void
make_example(Example *x, int n_layers, bool normalize)
{
	LbTower    *tower = &x->model.query;
	int			cols = widths[unit_below(3)];

	memset(x, 0, sizeof(*x));
	lb_model_add_input(tower, LB_INPUT_EMBEDDING,
					   lb_model_add_table(&x->model, "a", CODES, cols, 1));
	lb_model_add_input(tower, LB_INPUT_BAG,
					   lb_model_add_table(&x->model, "b", CODES,
										  n_layers > 0 ? widths[unit_below(3)] :
										  cols, 1));
	if (n_layers > 0)
		lb_model_add_input(tower, LB_INPUT_NUMBER, 0);
	CHECK(lb_model_add_layers(&x->model, tower, "query", layers, n_layers) ==
		  LB_OK);
	tower->normalize = normalize;
	x->block = unit_alloc(lb_model_bytes(&x->model, NULL));
	lb_model_place(&x->model, NULL, x->block, NULL);
	for (int t = 0; t < x->model.n_tensors; t++)
		for (int64_t i = 0; i < x->model.tensors[t].rows *
			 x->model.tensors[t].cols; i++)
			x->model.tensors[t].value[i] = 0.3f * unit_normal();
	for (int b = 0; b < ROWS; b++)
	{
		x->codes[b] = unit_below(CODES);
		x->spans[b] = (LbSpan)
		{
			x->bags[b], unit_below(MOST_BAG + 1), 0.37f
		};
		for (int j = 0; j < MOST_BAG; j++)
			x->bags[b][j] = unit_below(CODES);
		x->numbers[b] = unit_normal();
	}
	x->values[0].codes = x->codes;
	x->values[1].spans = x->spans;
	x->values[2].numbers = x->numbers;
}

/* From the definition, one number at a time. */
static void
naive(float *out, const Example *x)
{
	const LbTower *tower = &x->model.query;
	const LbTensor *a = &x->model.tensors[tower->inputs[0].table];
	const LbTensor *b = &x->model.tensors[tower->inputs[1].table];
	int			D = lb_tower_width(tower);

	for (int r = 0; r < ROWS; r++)
	{
		float		in[256] = {0};
		float		z[256];
		int			n = tower->input_width;
		int			at = tower->n_layers > 0 ? a->cols : 0;
		double		square = 0;

		for (int d = 0; d < a->cols; d++)
			in[d] = a->value[x->codes[r] * a->cols + d];
		for (int j = 0; j < x->spans[r].n; j++)
			for (int d = 0; d < b->cols; d++)
				in[at + d] = fmaf(x->spans[r].scale,
								  b->value[x->bags[r][j] * b->cols + d],
								  in[at + d]);
		if (tower->n_layers > 0)
			in[n - 1] = x->numbers[r];
		for (int l = 0; l < tower->n_layers; l++)
		{
			const float *w = x->model.tensors[tower->kernel[l]].value;
			const float *bias = x->model.tensors[tower->bias[l]].value;

			for (int h = 0; h < tower->layers[l]; h++)
			{
				float		sum = 0;

				for (int k = 0; k < n; k++)
					sum = fmaf(in[k], w[k * tower->layers[l] + h], sum);
				sum += bias[h];
				z[h] = l < tower->n_layers - 1 && !(sum > 0) ? 0 : sum;
			}
			n = tower->layers[l];
			memcpy(in, z, n * sizeof(float));
		}
		for (int d = 0; d < D; d++)
			square += (double) in[d] * in[d];
		for (int d = 0; d < D; d++)
			out[r * D + d] = tower->normalize ?
				in[d] / (float) sqrt(square) : in[d];
	}
}

static void
test_serving_bits(void)
{
	static Example x;

	for (int round = 0; round < 24; round++)
	{
		int			D;
		size_t		bytes;
		float	   *wanted;

		make_example(&x, round % 3, round % 2 == 0);
		D = lb_tower_width(&x.model.query);
		bytes = sizeof(float) * ROWS * D;
		wanted = unit_alloc(bytes);
		naive(wanted, &x);
		for (UNIT_EACH_SET(set))
			for (int n_threads = 1; n_threads <= 3; n_threads++)
				for (int alone = 0; alone < 2; alone++)
				{
					LbThreads	pool;
					LbTowerPass pass;
					LbInputValues values[LB_MAX_INPUTS];
					int			rows = alone ? 1 : ROWS;
					void	   *memory =
						unit_alloc(lb_tower_pass_bytes(&x.model.query, rows,
													   n_threads, false));

					memcpy(values, x.values, sizeof(values));
					lb_tower_pass_place(&pass, &x.model.query, rows, n_threads,
										false, memory);
					CHECK(lb_threads_start(&pool, n_threads) == LB_OK);
					lb_tower_forward(&pass, &x.model.query, x.model.tensors,
									 values, rows, &pool);
					CHECK_MSG(memcmp(pass.out, wanted,
									 sizeof(float) * rows * D) == 0,
							  "%s, %d layers, %d threads, %d rows", set->name,
							  x.model.query.n_layers, n_threads, rows);
					lb_threads_stop(&pool);
					free(memory);
				}
		free(wanted);
		free(x.block);
	}
}

UNIT_MAIN(RUN(test_serving_bits);)
