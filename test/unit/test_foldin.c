/*
 * test_foldin.c
 *		A new user's vector: gradient against finite differences, the minimum,
 *		and the prior where nothing was chosen.
 */
#include "unit.h"

#include <math.h>

#include "core/model/lb_foldin.h"

#define WIDTH 7
#define N 40

static float c[N * WIDTH];
static float mean[WIDTH];
static float deviation[WIDTH];
static float bias[N];
static int32_t sample[N];
static int32_t chosen[] = {3, 4, 11};

/* Varied numbers, neither regular nor random. */
static void
fill(float *x, int n, double seed)
{
	for (int i = 0; i < n; i++)
		x[i] = (float) sin(seed + i * 12.9898 + i * i * 0.37);
}

static LbFoldIn
problem(int n_chosen)
{
	LbFoldIn	f = {.c = c, .D = WIDTH, .positives = chosen, .n_positives = n_chosen,
		.negatives = sample, .bias = bias, .n_negatives = N, .mean = mean,
	.deviation = deviation, .scale = 1.7f};

	fill(c, N * WIDTH, 1);
	fill(mean, WIDTH, 2);
	fill(bias, N, 3);
	for (int d = 0; d < WIDTH; d++)
		deviation[d] = 0.5f + 0.1f * d;
	for (int j = 0; j < N; j++)
		sample[j] = j;
	return f;
}

static void
test_gradient(void)
{
	LbFoldIn	f = problem(3);
	float		z[WIDTH];
	float		dz[WIDTH];
	float		ignored[WIDTH];
	float		q[WIDTH];
	float		p[N];

	fill(z, WIDTH, 4);
	lb_fold_in_loss(dz, &f, z, q, p);
	for (int d = 0; d < WIDTH; d++)
	{
		float		at = z[d];
		double		up;
		double		down;

		z[d] = at + 1e-2f;
		up = lb_fold_in_loss(ignored, &f, z, q, p);
		z[d] = at - 1e-2f;
		down = lb_fold_in_loss(ignored, &f, z, q, p);
		z[d] = at;
		CHECK(fabs((up - down) / 2e-2 - dz[d]) < 2e-3 * (1 + fabs(dz[d])));
	}
}

static void
test_minimum(void)
{
	LbFoldIn	f = problem(3);
	void	   *scratch = unit_alloc(lb_fold_in_bytes(&f));
	float		q[WIDTH];
	float		z[WIDTH];
	float		dz[WIDTH];
	float		p[N];
	float		again[WIDTH];
	double		norm = 0;

	CHECK(lb_fold_in(q, &f, scratch, NULL) == LB_OK);
	for (int d = 0; d < WIDTH; d++)
		z[d] = (q[d] - mean[d]) / deviation[d];
	lb_fold_in_loss(dz, &f, z, again, p);
	for (int d = 0; d < WIDTH; d++)
		norm += dz[d] * dz[d];
	CHECK(norm < 1e-4);

	/* without choices the result is the others' mean */
	f.n_positives = 0;
	CHECK(lb_fold_in(q, &f, scratch, NULL) == LB_OK);
	for (int d = 0; d < WIDTH; d++)
		CHECK(fabsf(q[d] - mean[d]) < 1e-6f);
	CHECK(lb_fold_in(q, &f, scratch, unit_cancel) == LB_CANCELLED);

	/* what cannot be fitted is told */
	f = problem(3);
	mean[0] = NAN;
	CHECK(lb_fold_in(q, &f, scratch, NULL) == LB_NOT_FINITE);
	free(scratch);
}

UNIT_MAIN(RUN(test_gradient);
		  RUN(test_minimum);)
