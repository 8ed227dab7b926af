/*
 * test_softmax.c
 *		The softmax step against a naive one in double, whose own gradient is
 *		checked by finite differences; every instruction set, every option.
 */
#include <math.h>

#include "core/model/lb_softmax.h"
#include "unit.h"

typedef struct Problem
{
	LbSoftmax	p;
	float	   *q;
	float	   *c;
	float	   *bias;
	int32_t    *ids;
	float	   *weight;
} Problem;

static void
problem_make(Problem *x, int B, int N, int D, float scale, float norm)
{
	memset(x, 0, sizeof(*x));
	x->p.B = B;
	x->p.N = N;
	x->p.D = D;
	x->p.scale = scale;
	x->q = unit_alloc((size_t) B * D * sizeof(float));
	x->c = unit_alloc((size_t) N * D * sizeof(float));
	x->bias = unit_alloc(N * sizeof(float));
	x->ids = unit_alloc(N * sizeof(int32_t));
	x->weight = unit_alloc(B * sizeof(float));
	for (int i = 0; i < B * D; i++)
		x->q[i] = norm * unit_normal();
	for (int i = 0; i < N * D; i++)
		x->c[i] = norm * unit_normal();
	for (int j = 0; j < N; j++)
	{
		x->bias[j] = 5 + 3 * unit_normal();
		x->ids[j] = unit_below(N / 2 + 1);
	}
	for (int i = 0; i < B; i++)
		x->weight[i] = unit_below(4) == 0 ? 0 : 1 + 0.5f * unit_normal();
}

static void
problem_free(Problem *x)
{
	free(x->q);
	free(x->c);
	free(x->bias);
	free(x->ids);
	free(x->weight);
}

/* written from the definition, one row at a time, all in double */
static double
naive(double *dq, double *dc, const double *q, const double *c,
	  const LbSoftmax *p)
{
	int			D = p->D;
	double	   *logit = malloc(p->N * sizeof(double));
	bool	   *in = malloc(p->N * sizeof(bool));
	bool	   *stays = malloc(p->N * sizeof(bool));
	double		loss = 0;

	if (dq != NULL)
	{
		memset(dq, 0, sizeof(double) * p->B * D);
		memset(dc, 0, sizeof(double) * p->N * D);
	}
	for (int i = 0; i < p->B; i++)
	{
		double		w = p->weight != NULL ? p->weight[i] : 1;
		double		max = -INFINITY;
		double		sum = 0;

		for (int j = 0; j < p->N; j++)
		{
			double		dot = 0;

			for (int d = 0; d < D; d++)
				dot += q[i * D + d] * c[j * D + d];
			logit[j] = p->scale * dot + (p->bias != NULL ? p->bias[j] : 0);
			in[j] = p->ids == NULL || j == i || p->ids[j] != p->ids[i];
		}
		if (p->hard_negatives > 0)
		{
			/* a negative stays when fewer than n others are before it */
			for (int j = 0; j < p->N; j++)
			{
				int			before = 0;

				for (int k = 0; k < p->N; k++)
					before += k != i && in[k] &&
						(logit[k] > logit[j] ||
						 (logit[k] == logit[j] && k < j));
				stays[j] = j == i || before < p->hard_negatives;
			}
			for (int j = 0; j < p->N; j++)
				in[j] = in[j] && stays[j];
		}
		for (int j = 0; j < p->N; j++)
			max = in[j] && logit[j] > max ? logit[j] : max;
		for (int j = 0; j < p->N; j++)
			sum += in[j] ? exp(logit[j] - max) : 0;
		loss += w * (log(sum) + max - logit[i]);
		if (dq == NULL)
			continue;
		for (int j = 0; j < p->N; j++)
		{
			double		g = (in[j] ? exp(logit[j] - max) / sum : 0) - (j == i);

			for (int d = 0; d < D; d++)
			{
				dq[i * D + d] += w * p->scale * g * c[j * D + d];
				dc[j * D + d] += w * p->scale * g * q[i * D + d];
			}
		}
	}
	free(logit);
	free(in);
	free(stays);
	return loss;
}

static double *
widened(const float *x, size_t n)
{
	double	   *y = malloc(n * sizeof(double));

	for (size_t i = 0; i < n; i++)
		y[i] = x[i];
	return y;
}

/* largest difference, as a share of the largest value (which may be zero) */
static double
far(const float *x, const double *y, size_t n)
{
	double		diff = 0;
	double		size = 0.1;

	for (size_t i = 0; i < n; i++)
	{
		double		d = fabs(x[i] - y[i]);

		if (!(d <= diff))
			diff = d;			/* NaN comes through */
		size = fabs(y[i]) > size ? fabs(y[i]) : size;
	}
	return diff / size;
}

static LbStatus
step(double *loss, float *dq, float *dc, const Problem *x, LbThreads *pool,
	 LbCancel cancel)
{
	void	   *scratch = unit_alloc(lb_softmax_bytes(&x->p,
													  lb_threads_count(pool)));
	LbStatus	status = lb_softmax_step(loss, dq, dc, x->q, x->c, &x->p,
										 scratch, pool, cancel);

	free(scratch);
	return status;
}

/* every level and 1 to 3 threads against the naive one */
static void
compare(const Problem *x, double tolerance)
{
	int			B = x->p.B;
	int			N = x->p.N;
	int			D = x->p.D;
	double	   *q = widened(x->q, (size_t) B * D);
	double	   *c = widened(x->c, (size_t) N * D);
	double	   *ndq = malloc(sizeof(double) * B * D);
	double	   *ndc = malloc(sizeof(double) * N * D);
	double		nloss = naive(ndq, ndc, q, c, &x->p);
	float	   *dq = unit_alloc(sizeof(float) * B * D);
	float	   *dc = unit_alloc(sizeof(float) * N * D);

	for (UNIT_EACH_SET(set))
	{
		const char *name = set->name;

		for (int n_threads = 1; n_threads <= 3; n_threads++)
		{
			LbThreads	pool;
			double		loss = 0;
			double		loss_only = 1;
			void	   *scratch;

			CHECK(lb_threads_start(&pool, n_threads) == LB_OK);
			CHECK(step(&loss, dq, dc, x, &pool, NULL) == LB_OK);
			CHECK_MSG(fabs(loss - nloss) <= tolerance * fabs(nloss) + 1e-6,
					  "%s B %d N %d D %d: loss %.9g, naive %.9g",
					  name, B, N, D, loss, nloss);
			CHECK_MSG(far(dq, ndq, (size_t) B * D) <= tolerance,
					  "%s B %d N %d D %d threads %d: dq off by %g",
					  name, B, N, D, n_threads,
					  far(dq, ndq, (size_t) B * D));
			CHECK_MSG(far(dc, ndc, (size_t) N * D) <= tolerance,
					  "%s B %d N %d D %d threads %d: dc off by %g",
					  name, B, N, D, n_threads,
					  far(dc, ndc, (size_t) N * D));

			scratch = unit_alloc(lb_softmax_bytes(&x->p, n_threads));
			CHECK(lb_softmax_loss(&loss_only, x->q, x->c, &x->p, scratch,
								  &pool, NULL) == LB_OK);
			CHECK(loss_only == loss);
			free(scratch);
			lb_threads_stop(&pool);
		}
	}
	free(q);
	free(c);
	free(ndq);
	free(ndc);
	free(dq);
	free(dc);
}

static void
test_naive_gradient_is_the_derivative(void)
{
	Problem		x;
	double	   *q;
	double	   *c;
	double		dq[7 * 5];
	double		dc[9 * 5];

	problem_make(&x, 7, 9, 5, 1.3f, 0.8f);
	x.p.bias = x.bias;
	x.p.ids = x.ids;
	x.p.weight = x.weight;
	x.p.hard_negatives = 4;
	q = widened(x.q, 7 * 5);
	c = widened(x.c, 9 * 5);
	naive(dq, dc, q, c, &x.p);
	for (int k = 0; k < 7 * 5 + 9 * 5; k++)
	{
		double	   *value = k < 7 * 5 ? &q[k] : &c[k - 7 * 5];
		double		gradient = k < 7 * 5 ? dq[k] : dc[k - 7 * 5];
		double		kept = *value;
		double		up;
		double		down;

		*value = kept + 1e-5;
		up = naive(NULL, NULL, q, c, &x.p);
		*value = kept - 1e-5;
		down = naive(NULL, NULL, q, c, &x.p);
		*value = kept;
		CHECK(fabs((up - down) / 2e-5 - gradient) < 1e-6);
	}
	free(q);
	free(c);
	problem_free(&x);
}

static void
test_shapes(void)
{
	static const int shapes[][3] = {
		{1, 1, 1}, {1, 2, 3}, {2, 2, 16}, {3, 40, 7}, {5, 5, 17}, {13, 13, 1},
		{16, 16, 32}, {17, 25, 33}, {31, 31, 64}, {64, 64, 48}, {95, 96, 31},
		{96, 96, 32}, {97, 97, 16}, {100, 333, 20}, {192, 200, 128},
		{193, 193, 32}, {250, 251, 5}, {300, 310, 40}, {97, 100, 257},
		{20, 30, 1024},
	};

	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
	{
		Problem		x;

		problem_make(&x, shapes[s][0], shapes[s][1], shapes[s][2], 1, 0.5f);
		compare(&x, 3e-6);
		problem_free(&x);
	}
}

static void
test_options_in_all_combinations(void)
{
	for (int options = 0; options < 16; options++)
	{
		Problem		x;

		problem_make(&x, 70 + options, 90 + 3 * options, 24, 2.5f, 0.6f);
		x.p.bias = options & 1 ? x.bias : NULL;
		x.p.ids = options & 2 ? x.ids : NULL;
		x.p.weight = options & 4 ? x.weight : NULL;
		x.p.hard_negatives = options & 8 ? 11 : 0;
		compare(&x, 3e-6);
		problem_free(&x);
	}
}

static void
test_hard_negatives_counts(void)
{
	static const int counts[] = {1, 2, 38, 39, 40, 1000};

	for (int k = 0; k < 6; k++)
	{
		Problem		x;

		problem_make(&x, 40, 40, 8, 1, 1);
		x.p.ids = x.ids;
		x.p.hard_negatives = counts[k];
		compare(&x, 3e-6);
		problem_free(&x);
	}
}

/* equal candidates: the lower columns stay, in every kernel */
static void
test_hard_negatives_ties(void)
{
	Problem		x;

	problem_make(&x, 30, 30, 4, 1, 1);
	for (int i = 0; i < 30 * 4; i++)
		x.c[i] = x.c[i % 4];
	x.p.hard_negatives = 7;
	/* dq is zero but for rounding */
	compare(&x, 1e-5);
	problem_free(&x);
}

/* all rows the same item: no negative is left, loss and gradient are zero */
static void
test_all_masked(void)
{
	for (UNIT_EACH_SET(set))
	{
		Problem		x;
		float		dq[50 * 6];
		float		dc[50 * 6];
		double		loss = 1;
		bool		zero = true;

		problem_make(&x, 50, 50, 6, 1, 1);
		for (int j = 0; j < 50; j++)
			x.ids[j] = 3;
		x.p.ids = x.ids;
		CHECK(step(&loss, dq, dc, &x, NULL, NULL) == LB_OK);
		CHECK(loss == 0);
		for (int i = 0; i < 50 * 6; i++)
			zero = zero && dq[i] == 0 && dc[i] == 0;
		CHECK(zero);
		problem_free(&x);
	}
}

/*
 * Logits of hundreds, whose exponentials underflow against any bound but the
 * true maximum, and a positive that is far below it.
 */
static void
test_large_logits(void)
{
	Problem		x;

	problem_make(&x, 120, 130, 32, 20, 1.5f);
	compare(&x, 2e-4);
	for (int d = 0; d < 32; d++)
		x.c[d] = -8 * x.q[d];
	compare(&x, 2e-4);
	problem_free(&x);
}

/* when the positive is all but certain, the gradient keeps its digits */
static void
test_certain_positive_keeps_digits(void)
{
	Problem		x;

	problem_make(&x, 60, 60, 16, 1, 0.3f);
	x.p.bias = x.bias;
	for (int j = 0; j < 60; j++)
	{
		x.bias[j] = 0;
		for (int d = 0; d < 16; d++)
			x.c[j * 16 + d] = x.q[j * 16 + d] =
				(d == j % 16 ? 3.0f : 0.0f) + (d == j / 16 ? 2.0f : 0.0f);
	}
	x.p.scale = 3;
	compare(&x, 1e-5);
	problem_free(&x);
}

/*
 * Softmax does not see what all candidates have in common: it must leave no
 * rounding errors in dq, and the gradients of candidates must cancel.
 */
static void
test_common_part_of_candidates_cancels(void)
{
	Problem		x;
	float	   *dq = unit_alloc(sizeof(float) * 500 * 24);
	float	   *dc = unit_alloc(sizeof(float) * 500 * 24);
	double		loss;
	double		largest = 0;

	problem_make(&x, 500, 500, 24, 1, 0.3f);
	for (int i = 0; i < 500 * 24; i++)
		x.c[i] += 8;
	compare(&x, 1e-6);
	CHECK(step(&loss, dq, dc, &x, NULL, NULL) == LB_OK);
	for (int d = 0; d < 24; d++)
	{
		double		sum = 0;

		for (int j = 0; j < 500; j++)
			sum += dc[j * 24 + d];
		largest = fmax(largest, fabs(sum));
	}
	CHECK_MSG(largest < 2e-6, "the sum of dc is %g", largest);
	free(dq);
	free(dc);
	problem_free(&x);
}

static void
test_same_inputs_same_bits(void)
{
	Problem		x;
	size_t		bytes = sizeof(float) * 300 * 32;
	float	   *out[2][2];

	problem_make(&x, 300, 300, 32, 1, 0.5f);
	for (int n_threads = 1; n_threads <= 3; n_threads++)
	{
		double		loss[2];

		for (int k = 0; k < 2; k++)
		{
			LbThreads	pool;

			lb_threads_start(&pool, n_threads);
			out[k][0] = unit_alloc(bytes);
			out[k][1] = unit_alloc(bytes);
			CHECK(step(&loss[k], out[k][0], out[k][1], &x, &pool, NULL) ==
				  LB_OK);
			lb_threads_stop(&pool);
		}
		CHECK(memcmp(&loss[0], &loss[1], sizeof(double)) == 0);
		for (int k = 0; k < 2; k++)
		{
			CHECK(memcmp(out[0][k], out[1][k], bytes) == 0);
			free(out[0][k]);
			free(out[1][k]);
		}
	}
	problem_free(&x);
}

static void
test_bad_values_are_found(void)
{
	static const float bad[] = {NAN, INFINITY, -INFINITY};

	for (UNIT_EACH_SET(set))
	{
		for (int k = 0; k < 12; k++)
		{
			Problem		x;
			float		dq[33 * 20];
			float		dc[40 * 20];
			double		loss;
			float	   *where[4];

			problem_make(&x, 33, 40, 20, 1, 1);
			x.p.bias = x.bias;
			x.p.weight = x.weight;
			where[0] = &x.q[33 * 20 - 1];
			where[1] = &x.c[40 * 20 - 1];
			where[2] = &x.bias[39];
			where[3] = &x.weight[32];
			CHECK(step(&loss, dq, dc, &x, NULL, NULL) == LB_OK);
			*where[k / 3] = bad[k % 3];
			CHECK(step(&loss, dq, dc, &x, NULL, NULL) == LB_NOT_FINITE);
			/* finite inputs whose product overflows */
			*where[k / 3] = 1;
			for (int d = 0; d < 20; d++)
				x.q[d] = x.c[d] = 1e30f;
			CHECK(step(&loss, dq, dc, &x, NULL, NULL) == LB_NOT_FINITE);
			problem_free(&x);
		}
	}
}

static bool
unit_go_on(void)
{
	return false;
}

static void
test_arguments_and_cancel(void)
{
	Problem		x;
	float		dq[8 * 4];
	float		dc[8 * 4];
	double		loss;

	problem_make(&x, 8, 8, 4, 1, 1);
	CHECK(step(&loss, dq, dc, &x, NULL, unit_cancel) == LB_CANCELLED);
	CHECK(step(&loss, dq, dc, &x, NULL, unit_go_on) == LB_OK);
	x.p.N = 7;
	CHECK(lb_softmax_step(&loss, dq, dc, x.q, x.c, &x.p, NULL, NULL, NULL) ==
		  LB_BAD_ARGUMENT);
	x.p.N = 8;
	x.p.D = 0;
	CHECK(lb_softmax_step(&loss, dq, dc, x.q, x.c, &x.p, NULL, NULL, NULL) ==
		  LB_BAD_ARGUMENT);
	x.p.D = LB_SOFTMAX_MAX_D + 1;
	CHECK(lb_softmax_step(&loss, dq, dc, x.q, x.c, &x.p, NULL, NULL, NULL) ==
		  LB_BAD_ARGUMENT);
	x.p.D = 4;
	x.p.scale = NAN;
	CHECK(lb_softmax_step(&loss, dq, dc, x.q, x.c, &x.p, NULL, NULL, NULL) ==
		  LB_BAD_ARGUMENT);
	problem_free(&x);
}

UNIT_MAIN(
	RUN(test_naive_gradient_is_the_derivative);
	RUN(test_shapes);
	RUN(test_options_in_all_combinations);
	RUN(test_hard_negatives_counts);
	RUN(test_hard_negatives_ties);
	RUN(test_all_masked);
	RUN(test_large_logits);
	RUN(test_certain_positive_keeps_digits);
	RUN(test_common_part_of_candidates_cancels);
	RUN(test_same_inputs_same_bits);
	RUN(test_bad_values_are_found);
	RUN(test_arguments_and_cancel);)
