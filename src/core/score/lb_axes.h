/*
 * lb_axes.h
 *		The two principal axes of a set of vectors, for a map of them.
 */
#ifndef LB_AXES_H
#define LB_AXES_H

#include "core/lb_core.h"

/*
 * The axes of n vectors, rows of x (n,D).  lb_axes_bytes() returns the size of
 * block.
 */
typedef struct LbAxes
{
	const float *x;
	int			n;
	int			D;
	double	   *mean;			/* (D) */
	double	   *axes;			/* (2,D) of unit length, orthogonal */
	double	   *next;			/* (2,D) */
	double		variance;		/* mean squared distance from the mean */
	double		shares[2];		/* share of the variance along each axis */
} LbAxes;

extern size_t lb_axes_bytes(int D);
extern void lb_axes_begin(LbAxes *a, const float *x, int n, int D,
						  void *block);
extern double lb_axes_step(LbAxes *a);
extern void lb_axes_place(double place[2], const LbAxes *a, const float *row);

#endif							/* LB_AXES_H */
