/*
 * lb_foldin.c
 *		Fits a query vector for a user outside the training set.
 *
 * The candidates stay fixed; only the one vector is fitted.  With q = mean +
 * deviation * z, it minimises over z
 *
 *		- sum over chosen i of s q.c_i
 *		+ P log sum over sampled j of exp(s q.c_j + bias_j)
 *		+ |z|^2 / 2
 *
 * the softmax loss of P choices, its partition function estimated from a
 * sample, with a Gaussian prior whose mean and variances are those of the
 * trained users: a user without choices gets the mean, and the prior weighs
 * less the more choices there are.  So there is nothing to tune.  It is
 * convex in z; gradient steps of Barzilai and Borwein's length (IMA J. Numer.
 * Anal. 1988), halved until the loss falls, find the minimum to more digits
 * than a ranking needs.
 *
 * All sums have a fixed order, and exp and log are our own, so that a stranger
 * gets the same list on every machine.
 *
 * Cost: two products of the sample (n_negatives x D) a step, some 30 steps.
 */
#include "core/model/lb_foldin.h"

#include <math.h>
#include <string.h>

#include "core/lb_arena.h"
#include "core/lb_math.h"

#define MAX_STEPS 60
#define MAX_HALVINGS 20

typedef struct Scratch
{
	float	   *z;				/* (D) */
	float	   *next;			/* (D): z after a step */
	float	   *g;				/* (D): gradient at z */
	float	   *g_next;			/* (D) */
	float	   *q;				/* (D): the vector for z */
	float	   *p;				/* (n_negatives) */
} Scratch;

static size_t
lay_out(Scratch *s, const LbFoldIn *f, char *block)
{
	LbArena		arena = {block};
	size_t		row = f->D * sizeof(float);

	s->z = lb_arena_cut(&arena, row);
	s->next = lb_arena_cut(&arena, row);
	s->g = lb_arena_cut(&arena, row);
	s->g_next = lb_arena_cut(&arena, row);
	s->q = lb_arena_cut(&arena, row);
	s->p = lb_arena_cut(&arena, f->n_negatives * sizeof(float));
	return arena.used;
}

/* Returns the bytes of scratch for lb_fold_in(). */
size_t
lb_fold_in_bytes(const LbFoldIn *f)
{
	Scratch		s;

	return lay_out(&s, f, NULL);
}

/*
 * Computes the loss at z (D), and overwrites dz (D) with its gradient.  q (D)
 * and p (n_negatives) are scratch; q becomes the vector for z.
 */
double
lb_fold_in_loss(float *dz, const LbFoldIn *f, const float *z, float *q,
				float *p)
{
	int			D = f->D;
	double		loss = 0;
	double		sum = 0;
	float		max = -INFINITY;

	for (int d = 0; d < D; d++)
	{
		q[d] = f->mean[d] + f->deviation[d] * z[d];
		loss += 0.5 * z[d] * z[d];
		dz[d] = 0;
	}
	for (int j = 0; j < f->n_negatives; j++)
	{
		const float *c = f->c + (size_t) f->negatives[j] * D;
		float		s = 0;

		for (int d = 0; d < D; d++)
			s += q[d] * c[d];
		p[j] = f->scale * s + f->bias[j];
		max = fmaxf(max, p[j]);
	}
	for (int j = 0; j < f->n_negatives; j++)
	{
		p[j] = (float) lb_exp(p[j] - max);
		sum += p[j];
	}
	loss += f->n_positives * (max + lb_log(sum));
	for (int j = 0; j < f->n_negatives; j++)
	{
		const float *c = f->c + (size_t) f->negatives[j] * D;
		float		w = (float) (f->n_positives * p[j] / sum);

		for (int d = 0; d < D; d++)
			dz[d] += w * c[d];
	}
	for (int i = 0; i < f->n_positives; i++)
	{
		const float *c = f->c + (size_t) f->positives[i] * D;
		double		s = 0;

		for (int d = 0; d < D; d++)
		{
			s += (double) q[d] * c[d];
			dz[d] -= c[d];
		}
		loss -= f->scale * s;
	}
	for (int d = 0; d < D; d++)
		dz[d] = dz[d] * f->scale * f->deviation[d] + z[d];
	return loss;
}

/* Sets q (D) to the fitted vector; scratch has lb_fold_in_bytes(). */
LbStatus
lb_fold_in(float *q, const LbFoldIn *f, void *scratch, LbCancel cancel)
{
	Scratch		s;
	double		loss;
	double		rate = 0;

	lay_out(&s, f, scratch);
	memset(s.z, 0, f->D * sizeof(float));
	loss = lb_fold_in_loss(s.g, f, s.z, s.q, s.p);
	for (int step = 0; step < MAX_STEPS; step++)
	{
		double		norm = 0;
		double		trial = 0;
		double		moved = 0;
		double		bent = 0;
		int			halvings = 0;

		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		for (int d = 0; d < f->D; d++)
			norm += (double) s.g[d] * s.g[d];
		/* the prior's curvature is 1, so z is this close to the minimum */
		if (norm < 1e-6)
			break;
		if (rate <= 0)
			rate = 1 / sqrt(1 + norm);
		for (; halvings < MAX_HALVINGS; halvings++, rate /= 2)
		{
			for (int d = 0; d < f->D; d++)
				s.next[d] = (float) (s.z[d] - rate * s.g[d]);
			trial = lb_fold_in_loss(s.g_next, f, s.next, s.q, s.p);
			if (trial < loss)
				break;
		}
		if (!(trial < loss))
			break;				/* float32 cannot resolve a lower loss */
		for (int d = 0; d < f->D; d++)
		{
			double		dx = s.next[d] - s.z[d];

			moved += dx * dx;
			bent += dx * (s.g_next[d] - s.g[d]);
		}
		rate = bent > 0 ? moved / bent : rate * 2;
		loss = trial;
		memcpy(s.z, s.next, f->D * sizeof(float));
		memcpy(s.g, s.g_next, f->D * sizeof(float));
	}
	for (int d = 0; d < f->D; d++)
	{
		q[d] = f->mean[d] + f->deviation[d] * s.z[d];
		if (!isfinite(q[d]))
			return LB_NOT_FINITE;
	}
	return LB_OK;
}
