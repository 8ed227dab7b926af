/*
 * test_axes.c
 *		Principal axes: finds the axes that the vectors were made from.
 */
#include <math.h>

#include "core/score/lb_axes.h"
#include "unit.h"

#define N 600
#define WIDTH 24

static float x[N * WIDTH];
static double block[5 * WIDTH];

static double
uniform(void)
{
	return (double) (unit_random() >> 11) / (double) (UINT64_C(1) << 53) - 0.5;
}

static void
run(LbAxes *a, int n, int width)
{
	CHECK(lb_axes_bytes(width) <= sizeof(block));
	lb_axes_begin(a, x, n, width, block);
	for (int i = 0; i < 200; i++)
		if (lb_axes_step(a) < 1e-12)
			break;
}

/* Sums over both rows of axes. */
static double
cosine(const LbAxes *a, int k, const double *axis)
{
	double		sum = 0;

	for (int d = 0; d < a->D; d++)
		sum += a->axes[k * a->D + d] * axis[d];
	return fabs(sum);
}

/* Vectors that spread along two directions, far from the origin. */
static void
test_found(void)
{
	double		axes[2][WIDTH];
	LbAxes		a;
	double		spread[2] = {0, 0};

	for (int d = 0; d < WIDTH; d++)
	{
		/* orthogonal: one on the even places, one on the odd */
		axes[0][d] = d % 2 ? 0 : sqrt(2.0 / WIDTH);
		axes[1][d] = d % 2 ? sqrt(2.0 / WIDTH) : 0;
	}
	for (int i = 0; i < N; i++)
	{
		double		along[2] = {10 * uniform(), 4 * uniform()};

		for (int d = 0; d < WIDTH; d++)
			x[i * WIDTH + d] = (float) (7 + along[0] * axes[0][d] +
										along[1] * axes[1][d] + 0.1 * uniform());
	}
	run(&a, N, WIDTH);
	CHECK_MSG(cosine(&a, 0, axes[0]) > 0.999, "%g", cosine(&a, 0, axes[0]));
	CHECK_MSG(cosine(&a, 1, axes[1]) > 0.999, "%g", cosine(&a, 1, axes[1]));
	CHECK(fabs(cosine(&a, 0, a.axes) - 1) < 1e-9);
	CHECK(fabs(cosine(&a, 1, a.axes + WIDTH) - 1) < 1e-9);
	CHECK(cosine(&a, 0, a.axes + WIDTH) < 1e-9);
	CHECK_MSG(a.shares[0] + a.shares[1] > 0.98 && a.shares[0] + a.shares[1] <= 1 + 1e-9,
			  "%g + %g", a.shares[0], a.shares[1]);
	/* shares are those of the places themselves */
	for (int i = 0; i < N; i++)
	{
		double		place[2];

		lb_axes_place(place, &a, x + i * WIDTH);
		for (int k = 0; k < 2; k++)
			spread[k] += place[k] * place[k] / N;
	}
	for (int k = 0; k < 2; k++)
		CHECK_MSG(fabs(spread[k] / a.variance - a.shares[k]) < 1e-6,
				  "%g, %g", spread[k] / a.variance, a.shares[k]);
}

/* Vectors that do not spread, or only along one direction, or one number. */
static void
test_degenerate(void)
{
	LbAxes		a;
	double		place[2];

	for (int i = 0; i < N * WIDTH; i++)
		x[i] = 3;
	run(&a, N, WIDTH);
	lb_axes_place(place, &a, x);
	CHECK(place[0] == 0 && place[1] == 0 && a.variance == 0);
	CHECK(a.shares[0] == 0 && a.shares[1] == 0);
	for (int i = 0; i < N; i++)
		for (int d = 0; d < WIDTH; d++)
			x[i * WIDTH + d] = (float) i;
	run(&a, N, WIDTH);
	lb_axes_place(place, &a, x);
	CHECK_MSG(fabs(fabs(place[0]) - (N - 1) / 2.0 * sqrt(WIDTH)) < 1e-6, "%g", place[0]);
	CHECK_MSG(fabs(place[1]) < 1e-6, "%g", place[1]);
	CHECK(fabs(a.shares[0] - 1) < 1e-9 && fabs(a.shares[1]) < 1e-9);
	run(&a, N, 1);
	lb_axes_place(place, &a, x);
	CHECK(isfinite(place[0]) && fabs(place[1]) < 1e-6);
	run(&a, 1, WIDTH);
	lb_axes_place(place, &a, x);
	CHECK(place[0] == 0 && place[1] == 0);
}

UNIT_MAIN(RUN(test_found); RUN(test_degenerate);)
