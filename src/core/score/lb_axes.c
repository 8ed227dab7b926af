/*
 * lb_axes.c
 *		The two principal axes of a set of vectors, by orthogonal iteration.
 *
 * A step multiplies both axes by the covariance of the vectors, without ever
 * making that matrix: C v is the mean of (x - mean) <x - mean, v>.  Then it
 * makes them orthogonal and of unit length again (Golub and Van Loan, Matrix
 * Computations, section 8.2.4).  The caller repeats steps until one changes
 * little, and checks for a cancel between them.
 *
 * Cost of a step: 4 n D multiplications, in double.
 */
#include "core/score/lb_axes.h"

#include <math.h>
#include <string.h>

/* Returns the bytes of the block for vectors of that width. */
size_t
lb_axes_bytes(int D)
{
	return 5 * (size_t) D * sizeof(double);
}

static double
product(const double *a, const double *b, int D)
{
	double		sum = 0;

	for (int d = 0; d < D; d++)
		sum += a[d] * b[d];
	return sum;
}

/* Makes the axes orthogonal, and of unit length unless they are 0. */
static void
orthonormalize(double *axes, int D)
{
	double	   *second = axes + D;

	for (int k = 0; k < 2; k++)
	{
		double	   *axis = axes + (size_t) k * D;
		double		length;

		/* twice, because the first pass leaves rounding errors */
		for (int again = 0; k == 1 && again < 2; again++)
		{
			double		along = product(axes, second, D);

			for (int d = 0; d < D; d++)
				second[d] -= along * axes[d];
		}
		length = sqrt(product(axis, axis, D));
		for (int d = 0; length > 0 && d < D; d++)
			axis[d] /= length;
	}
}

/*
 * Begins with x (n,D), which must not change, and a block of lb_axes_bytes(D).
 * The first axes are fixed waves, so that the same vectors give the same map.
 */
void
lb_axes_begin(LbAxes *a, const float *x, int n, int D, void *block)
{
	memset(a, 0, sizeof(LbAxes));
	a->x = x;
	a->n = n;
	a->D = D;
	a->mean = block;
	a->axes = a->mean + D;
	a->next = a->axes + 2 * (size_t) D;
	memset(a->mean, 0, D * sizeof(double));
	for (int i = 0; i < n; i++)
		for (int d = 0; d < D; d++)
			a->mean[d] += x[(size_t) i * D + d];
	for (int d = 0; d < D; d++)
		a->mean[d] /= n;
	for (int i = 0; i < n; i++)
		for (int d = 0; d < D; d++)
		{
			double		off = x[(size_t) i * D + d] - a->mean[d];

			a->variance += off * off / n;
		}
	for (int d = 0; d < D; d++)
	{
		a->axes[d] = cos(1.0 + d);
		a->axes[D + d] = sin(1.0 + 2.0 * d);
	}
	orthonormalize(a->axes, D);
}

/*
 * Does one step; returns how far the axes turned: 1 less the smaller absolute
 * cosine of an axis before and after.
 */
double
lb_axes_step(LbAxes *a)
{
	int			D = a->D;
	double		turned = 0;
	double	   *old;

	memset(a->next, 0, 2 * (size_t) D * sizeof(double));
	for (int i = 0; i < a->n; i++)
	{
		double		place[2];

		lb_axes_place(place, a, a->x + (size_t) i * D);
		for (int d = 0; d < D; d++)
		{
			double		off = (a->x[(size_t) i * D + d] - a->mean[d]) / a->n;

			a->next[d] += off * place[0];
			a->next[D + d] += off * place[1];
		}
	}
	for (int k = 0; k < 2; k++)
	{
		double		along = product(a->next + (size_t) k * D,
									a->axes + (size_t) k * D, D);

		a->shares[k] = a->variance > 0 ? along / a->variance : 0;
	}
	orthonormalize(a->next, D);
	for (int k = 0; k < 2; k++)
	{
		const double *axis = a->next + (size_t) k * D;

		/* an axis without variance is 0 and no longer turns */
		if (product(axis, axis, D) > 0)
			turned = fmax(turned, 1 - fabs(product(axis, a->axes +
												   (size_t) k * D, D)));
	}
	old = a->axes;
	a->axes = a->next;
	a->next = old;
	return turned;
}

/* Computes a vector's (D) coordinates along both axes, from the mean. */
void
lb_axes_place(double place[2], const LbAxes *a, const float *row)
{
	place[0] = place[1] = 0;
	for (int d = 0; d < a->D; d++)
	{
		double		off = row[d] - a->mean[d];

		place[0] += off * a->axes[d];
		place[1] += off * a->axes[a->D + d];
	}
}
