/*
 * test_rows.c
 *		The loops over rows of embedding tables, of every instruction set, at
 *		every width that leaves a rest and at addresses that are not aligned,
 *		against sums in double and against plain C; and the list of a step's
 *		shares, which must not be written beyond its end.
 */
#include <math.h>

#include "core/model/lb_model.h"
#include "core/kernels/lb_kernels.h"
#include "unit.h"

#define MOST 67					/* two vectors of 16, two again, and a rest */
#define TABLE 40
#define SHIFTS 4				/* addresses that are tried, in floats */

static const float rate = 0.3f;
static const float epsilon = 1e-7f;

/* n floats, shift beyond an aligned address and up to the end of the block */
typedef struct Row
{
	float	   *block;
	float	   *x;
	int			n;
} Row;

static Row
make_row(int n, int shift, bool positive)
{
	Row			row;

	row.block = unit_alloc((shift + n) * sizeof(float));
	row.x = row.block + shift;
	row.n = n;
	for (int i = 0; i < n; i++)
		row.x[i] = positive ? 0.1f + fabsf(unit_normal()) : unit_normal();
	return row;
}

static Row
copy_row(const Row *from)
{
	int			shift = (int) (from->x - from->block);
	Row			row = make_row(from->n, shift, false);

	memcpy(row.block, from->block, (shift + from->n) * sizeof(float));
	return row;
}

/* True if the memory before the row is as unit_alloc() left it. */
static bool
untouched(const Row *row)
{
	const unsigned char *p = (const unsigned char *) row->block;
	bool		same = true;

	for (size_t i = 0; i < (row->x - row->block) * sizeof(float); i++)
		same = same && p[i] == 0x5a;
	return same;
}

static bool
near(double x, double expected, double terms)
{
	return fabs(x - expected) <= 1e-6 * (fabs(expected) + terms);
}

static const LbRowsKernel *
portable(void)
{
	return &lb_kernels_named("portable")->rows;
}

static void
check_add_scaled(const LbRowsKernel *rows, const char *name, int n, int shift)
{
	Row			from = make_row(n, (shift + 1) % SHIFTS, false);
	Row			before = make_row(n, shift, false);
	Row			to = copy_row(&before);
	Row			plain = copy_row(&before);

	rows->add_scaled(to.x, from.x, -1.7f, n);
	portable()->add_scaled(plain.x, from.x, -1.7f, n);
	for (int i = 0; i < n; i++)
	{
		CHECK_MSG(near(to.x[i], before.x[i] - (double) 1.7f * from.x[i], 2),
				  "%s: %d of %d, shift %d", name, i, n, shift);
		CHECK_MSG(near(to.x[i], plain.x[i], 2), "%s: %d of %d, shift %d",
				  name, i, n, shift);
	}
	CHECK(untouched(&to));
	free(from.block);
	free(before.block);
	free(to.block);
	free(plain.block);
}

static void
check_adagrad(const LbRowsKernel *rows, const char *name, int n, int shift)
{
	Row			g = make_row(n, (shift + 1) % SHIFTS, false);
	Row			w0 = make_row(n, shift, false);
	Row			a0 = make_row(n, (shift + 2) % SHIFTS, true);
	Row			w[2] = {copy_row(&w0), copy_row(&w0)};
	Row			a[2] = {copy_row(&a0), copy_row(&a0)};

	g.x[n / 2] = 0;				/* what has no gradient stays */
	rows->adagrad(w[0].x, a[0].x, g.x, n, rate, epsilon);
	portable()->adagrad(w[1].x, a[1].x, g.x, n, rate, epsilon);
	for (int i = 0; i < n; i++)
	{
		double		sum = a0.x[i] + (double) g.x[i] * g.x[i];
		double		moved = w0.x[i] - (double) rate * g.x[i] /
		sqrt(sum + epsilon);

		CHECK_MSG(near(a[0].x[i], sum, 0), "%s: %d of %d, shift %d", name, i,
				  n, shift);
		CHECK_MSG(near(w[0].x[i], moved, 1), "%s: %d of %d, shift %d", name,
				  i, n, shift);
		CHECK_MSG(near(w[0].x[i], w[1].x[i], 1), "%s: %d of %d, shift %d",
				  name, i, n, shift);
	}
	CHECK(w[0].x[n / 2] == w0.x[n / 2] && a[0].x[n / 2] == a0.x[n / 2]);
	CHECK(untouched(&w[0]) && untouched(&a[0]));
	free(g.block);
	free(w0.block);
	free(a0.block);
	for (int i = 0; i < 2; i++)
	{
		free(w[i].block);
		free(a[i].block);
	}
}

static void
check_rowwise(const LbRowsKernel *rows, const char *name, int n, int shift)
{
	Row			g = make_row(n, (shift + 1) % SHIFTS, false);
	Row			w0 = make_row(n, shift, false);
	Row			w = copy_row(&w0);
	float		a = 0.25f;
	double		squares = 0;

	for (int i = 0; i < n; i++)
		squares += (double) g.x[i] * g.x[i];
	rows->rowwise(w.x, &a, g.x, n, rate, epsilon);
	CHECK_MSG(near(a, 0.25 + squares / n, 0), "%s: %d, shift %d", name, n,
			  shift);
	for (int i = 0; i < n; i++)
		CHECK_MSG(near(w.x[i], w0.x[i] - (double) rate * g.x[i] /
					   sqrt(0.25 + squares / n + epsilon), 1),
				  "%s: %d of %d, shift %d", name, i, n, shift);
	CHECK(untouched(&w));
	free(g.block);
	free(w0.block);
	free(w.block);
}

static void
check_add(const LbRowsKernel *rows, const char *name, int cols, int n, int shift)
{
	Row			table = make_row(TABLE * cols, (shift + 1) % SHIFTS, false);
	Row			before = make_row(cols, shift, false);
	Row			to = copy_row(&before);
	Row			plain = copy_row(&before);
	int32_t    *codes = unit_alloc(n * sizeof(int32_t));

	/* the last row is the one whose end is the end of the table */
	for (int j = 0; j < n; j++)
		codes[j] = j == 0 ? TABLE - 1 : unit_below(TABLE);
	rows->add_exact(to.x, table.x, cols, codes, n, 0.7f);
	for (int i = 0; i < cols; i++)
	{
		float		chain = before.x[i];

		for (int j = 0; j < n; j++)
			chain = fmaf(0.7f, table.x[codes[j] * cols + i], chain);
		CHECK_MSG(to.x[i] == chain, "%s: exact %d of %d", name, i, cols);
	}
	memcpy(to.x, before.x, cols * sizeof(float));
	rows->add(to.x, table.x, cols, codes, n, 0.7f);
	portable()->add(plain.x, table.x, cols, codes, n, 0.7f);
	for (int i = 0; i < cols; i++)
	{
		double		sum = before.x[i];

		for (int j = 0; j < n; j++)
			sum += (double) 0.7f * table.x[(size_t) codes[j] * cols + i];
		CHECK_MSG(near(to.x[i], sum, n), "%s: %d of %d, %d rows, shift %d",
				  name, i, cols, n, shift);
		CHECK_MSG(near(to.x[i], plain.x[i], n),
				  "%s: %d of %d, %d rows, shift %d", name, i, cols, n, shift);
	}
	CHECK(untouched(&to));
	free(table.block);
	free(before.block);
	free(to.block);
	free(plain.block);
	free(codes);
}

static void
test_kernels(void)
{
	static const int counts[] = {0, 1, 2, LB_ROWS_AHEAD - 1, LB_ROWS_AHEAD,
		LB_ROWS_AHEAD + 1, 2 * LB_ROWS_AHEAD + 1};
	static const int wide[] = {127, 128, 129, 255, 256, 391};

	for (UNIT_EACH_SET(set))
	{
		const char *name = set->name;
		const LbRowsKernel *rows = &set->rows;

		for (int n = 1; n <= MOST; n++)
			for (int shift = 0; shift < SHIFTS; shift++)
			{
				check_add_scaled(rows, name, n, shift);
				check_adagrad(rows, name, n, shift);
				check_rowwise(rows, name, n, shift);
				check_add(rows, name, n, counts[n % 7], shift);
			}
		for (int i = 0; i < 6; i++)
			for (int c = 0; c < 7; c++)
				check_add(rows, name, wide[i], counts[c], i % SHIFTS);
	}
}

/* No two sets are the same, and the set that is asked for is used. */
static void
test_choice(void)
{
	size_t		begin = offsetof(LbKernels, dense);

	for (UNIT_EACH_SET(set))
	{
		CHECK(lb_kernels() == set);
		CHECK(lb_kernels_named(set->name) == set);
		for (int i = 0; lb_kernel_sets[i] != set; i++)
			CHECK_MSG(memcmp((const char *) lb_kernel_sets[i] + begin,
							 (const char *) set + begin,
							 sizeof(LbKernels) - begin) != 0, "%s", set->name);
	}
	CHECK(lb_kernels_named("none") == NULL);
}

/*
 * A gradient or an accumulator that is no number makes its weight none,
 * wherever it stands: a search for such weights would not find it otherwise.
 * An accumulator that has become infinite stops its weight.
 */
static void
test_not_finite(void)
{

	for (UNIT_EACH_SET(set))
	{
		for (int i = 0; i < MOST; i++)
		{
			Row			g = make_row(MOST, 0, false);
			Row			w = make_row(MOST, 0, false);
			Row			a = make_row(MOST, 0, true);
			float		one = 0.25f;
			float		was;

			g.x[i] = NAN;
			set->rows.adagrad(w.x, a.x, g.x, MOST, rate, epsilon);
			for (int k = 0; k < MOST; k++)
				CHECK_MSG((k == i) == isnan(w.x[k]) &&
						  (k == i) == isnan(a.x[k]), "%s: %d of %d",
						  set->name, k, MOST);
			set->rows.rowwise(w.x, &one, g.x, MOST, rate, epsilon);
			CHECK_MSG(isnan(one), "%s: %d", set->name, i);
			g.x[i] = w.x[i] = was = 0.5f;
			a.x[i] = NAN;
			set->rows.adagrad(w.x, a.x, g.x, MOST, rate, epsilon);
			CHECK_MSG(isnan(w.x[i]), "%s: %d", set->name, i);
			w.x[i] = was;
			a.x[i] = INFINITY;
			set->rows.adagrad(w.x, a.x, g.x, MOST, rate, epsilon);
			CHECK_MSG(fabsf(w.x[i] - was) < 1e-15f && isinf(a.x[i]),
					  "%s: %d: %g", set->name, i, w.x[i]);
			free(g.block);
			free(w.block);
			free(a.block);
		}
	}
}

/* A share too many, or of no row, is refused and changes nothing. */
static void
test_full_shares(void)
{
	LbOptimizer opt = {.kind = LB_SGD, .learning_rate = 1};
	LbTensor	t = {.rows = 3, .cols = 2, .sparse = true, .max_shares = 4};
	float		g[] = {1, 2};
	void	   *block = unit_alloc(lb_tensor_bytes(&t, &opt));

	lb_tensor_place(&t, &opt, block, NULL);
	CHECK(lb_tensor_add_share(&t, -1, g, 1) == LB_BAD_ARGUMENT);
	CHECK(lb_tensor_add_share(&t, 3, g, 1) == LB_BAD_ARGUMENT);
	CHECK(t.n_shares == 0 && t.n_touched == 0);
	for (int i = 0; i < 4; i++)
		CHECK(lb_tensor_add_share(&t, i == 3 ? 1 : 2, g, 1) == LB_OK);
	CHECK(lb_tensor_add_share(&t, 0, g, 1) == LB_BAD_ARGUMENT);
	CHECK(lb_tensor_add_share(&t, 2, g, 1) == LB_BAD_ARGUMENT);
	CHECK(t.n_shares == 4 && t.n_touched == 2 && t.slot[0] == 0);
	lb_optimizer_apply(&opt, &t, 1, NULL);
	CHECK(t.value[0] == 0 && t.value[2] == -1 && t.value[4] == -3);
	CHECK(lb_tensor_add_share(&t, 0, g, 1) == LB_OK);
	free(block);
}

/* So is a step whose batch uses more rows than were told; no weight moves. */
static void
test_full_step(void)
{
	static int32_t codes[] = {1, 2, 1, 0};
	LbObjective objective = {.temperature = 1};
	LbOptimizer opt = {.kind = LB_SGD, .learning_rate = 1};

	for (int which = 0; which < 3; which++)
	{
		LbModel		model = {0};
		LbWorkspace ws = {0};
		LbBatch		batch = {.B = 4, .N = 4};
		double		loss;
		void	   *block;
		void	   *scratch;
		float		before[2][6];

		lb_model_add_input(&model.query, LB_INPUT_EMBEDDING,
						   lb_model_add_table(&model, "user", 3, 2,
											  which == 1 ? 3 : 4));
		lb_model_add_input(&model.candidate, LB_INPUT_EMBEDDING,
						   lb_model_add_table(&model, "item", 3, 2,
											  which == 2 ? 3 : 4));
		CHECK(lb_model_add_layers(&model, &model.query, "query", NULL, 0) ==
			  LB_OK);
		CHECK(lb_model_add_layers(&model, &model.candidate, "candidate", NULL,
								  0) == LB_OK);
		block = unit_alloc(lb_model_bytes(&model, &opt));
		lb_model_place(&model, &opt, block, NULL);
		CHECK(lb_model_initialize(&model, 1, NULL) == LB_OK);
		scratch = unit_alloc(lb_workspace_bytes(&model, 4, 4, 1));
		lb_workspace_place(&ws, &model, 4, 4, 1, scratch);
		batch.query[0].codes = batch.candidate[0].codes = codes;
		for (int t = 0; t < 2; t++)
			memcpy(before[t], model.tensors[t].value, sizeof(before[t]));
		CHECK(lb_model_step(&loss, &model, &opt, &objective, &batch, &ws,
							NULL, NULL) ==
			  (which == 0 ? LB_OK : LB_BAD_ARGUMENT));
		for (int t = 0; t < 2; t++)
			CHECK((memcmp(before[t], model.tensors[t].value,
						  sizeof(before[t])) == 0) == (which > 0));
		free(block);
		free(scratch);
	}
}

UNIT_MAIN(RUN(test_kernels);
		  RUN(test_choice);
		  RUN(test_not_finite);
		  RUN(test_full_shares);
		  RUN(test_full_step);)
