/*
 * lb_mix.c
 *		Fits the weights of a score's parts.
 *
 * It is a conditional logit (McFadden, 1974): a user plays each of the
 * possible recordings with a probability proportional to exp(score).  The fit
 * minimises over b
 *
 *		sum over groups of W log(sum over rows of count exp(x.b))
 *		- sum over rows of chosen x.b  + sum over f of precision (b - prior)^2 / 2
 *
 * with W the sum of chosen over the group.  A row may represent others (in a
 * sample of the catalogue): count says how many.  The prior matters if there
 * are few choices; without any, its mean is the result.
 *
 * The loss is convex in a handful of weights, so Newton's method needs about
 * ten passes over the rows; a weight that would pass its lower bound stays
 * there while the others move (projected Newton, Bertsekas 1982).
 */
#include "core/score/lb_mix.h"

#include <math.h>
#include <string.h>

#define MAX_STEPS 50
#define MAX_HALVINGS 30

/* change of the log likelihood, far less than a weight's standard error */
#define CONVERGED 1e-3

static LbStatus
find_loss(double *sum, double *gradient, double *hessian, const LbChoices *c,
		  const double *b, LbCancel cancel)
{
	int			F = c->F;
	double		loss = 0;

	if (gradient)
		memset(gradient, 0, F * sizeof(double));
	if (hessian)
		memset(hessian, 0, F * F * sizeof(double));
	for (int64_t g = 0; g < c->n_groups; g++)
	{
		double		max = -INFINITY;
		double		total = 0;
		double		weight = 0;
		double		mean[LB_MAX_CHOICE_FEATURES] = {0};
		double		square[LB_MAX_CHOICE_FEATURES * LB_MAX_CHOICE_FEATURES] = {0};

		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		for (int64_t r = c->offsets[g]; r < c->offsets[g + 1]; r++)
		{
			double		s = c->log_count[r];

			for (int f = 0; f < F; f++)
				s += b[f] * c->x[r * F + f];
			max = s > max ? s : max;
			weight += c->chosen[r];
		}
		if (weight == 0)
			continue;
		for (int64_t r = c->offsets[g]; r < c->offsets[g + 1]; r++)
		{
			const float *x = c->x + r * F;
			double		s = 0;
			double		e;

			for (int f = 0; f < F; f++)
				s += b[f] * x[f];
			loss -= c->chosen[r] * s;
			e = exp(s + c->log_count[r] - max);
			total += e;
			for (int f = 0; f < F && gradient; f++)
			{
				mean[f] += e * x[f];
				gradient[f] -= c->chosen[r] * x[f];
				for (int h = 0; h <= f && hessian; h++)
					square[f * F + h] += e * x[f] * x[h];
			}
		}
		loss += weight * (log(total) + max);
		for (int f = 0; f < F && gradient; f++)
		{
			gradient[f] += weight * mean[f] / total;
			for (int h = 0; h <= f && hessian; h++)
				hessian[f * F + h] += weight *
					(square[f * F + h] / total -
					 mean[f] / total * (mean[h] / total));
		}
	}
	for (int f = 0; f < F; f++)
	{
		double		d = b[f] - c->prior[f];

		loss += c->precision[f] * d * d / 2;
		if (gradient)
			gradient[f] += c->precision[f] * d;
		if (hessian)
		{
			hessian[f * F + f] += c->precision[f];
			for (int h = 0; h < f; h++)
				hessian[h * F + f] = hessian[f * F + h];
		}
	}
	*sum = loss;
	return LB_OK;
}

double
lb_mix_loss(double *gradient, double *hessian, const LbChoices *c,
			const double *b)
{
	double		loss;

	(void) find_loss(&loss, gradient, hessian, c, b, NULL);
	return loss;
}

/*
 * Solves H step = g for the free weights by Cholesky decomposition; the steps
 * of the others are 0.  False if H is not positive definite.
 */
static bool
solve(double *step, const double *H, const double *g, const bool *is_free,
	  int F)
{
	double		L[LB_MAX_CHOICE_FEATURES * LB_MAX_CHOICE_FEATURES] = {0};

	for (int i = 0; i < F; i++)
		for (int j = 0; j <= i; j++)
		{
			double		sum = is_free[i] && is_free[j] ? H[i * F + j] : i == j;

			for (int k = 0; k < j; k++)
				sum -= L[i * F + k] * L[j * F + k];
			if (i == j && !(sum > 0))
				return false;
			L[i * F + j] = i == j ? sqrt(sum) : sum / L[j * F + j];
		}
	for (int i = 0; i < F; i++)
	{
		double		sum = is_free[i] ? g[i] : 0;

		for (int k = 0; k < i; k++)
			sum -= L[i * F + k] * step[k];
		step[i] = sum / L[i * F + i];
	}
	for (int i = F - 1; i >= 0; i--)
	{
		for (int k = i + 1; k < F; k++)
			step[i] -= L[k * F + i] * step[k];
		step[i] /= L[i * F + i];
	}
	return true;
}

LbStatus
lb_mix_fit(double *b, const LbChoices *c, LbCancel cancel)
{
	int			F = c->F;
	double		gradient[LB_MAX_CHOICE_FEATURES];
	double		hessian[LB_MAX_CHOICE_FEATURES * LB_MAX_CHOICE_FEATURES];
	double		loss;

	for (int f = 0; f < F; f++)
		b[f] = fmax(c->prior[f], c->lower[f]);
	if (find_loss(&loss, gradient, hessian, c, b, cancel) != LB_OK)
		return LB_CANCELLED;
	for (int n = 0; n < MAX_STEPS; n++)
	{
		double		step[LB_MAX_CHOICE_FEATURES];
		bool		is_free[LB_MAX_CHOICE_FEATURES];
		double		next[LB_MAX_CHOICE_FEATURES];
		double		decrease = 0;
		double		scale = 1;

		if (!isfinite(loss))
			return LB_NOT_FINITE;
		for (int f = 0; f < F; f++)
			is_free[f] = b[f] > c->lower[f] || gradient[f] < 0;
		if (!solve(step, hessian, gradient, is_free, F))
			return LB_NOT_FINITE;
		for (int f = 0; f < F; f++)
			decrease += step[f] * gradient[f];
		if (decrease < CONVERGED)
			return LB_OK;
		for (int halvings = 0;; halvings++, scale /= 2)
		{
			double		next_loss;

			if (halvings == MAX_HALVINGS)
				return LB_OK;
			for (int f = 0; f < F; f++)
				next[f] = fmax(b[f] - scale * step[f], c->lower[f]);
			if (find_loss(&next_loss, gradient, hessian, c, next,
						  cancel) != LB_OK)
				return LB_CANCELLED;
			if (next_loss < loss)
			{
				loss = next_loss;
				memcpy(b, next, F * sizeof(double));
				break;
			}
		}
	}
	return LB_OK;
}
