/*
 * softmax.h
 *		The kernels of the softmax step: the arithmetic of a tile.  Packing,
 *		threads and reductions are those of lb_softmax.c.
 *
 * A worker handles LB_SM_ROWS rows at a time against all N columns.  The
 * logits of that tile are stored column by column, s[j * LB_SM_ROWS + i]: the
 * vector lanes are rows, so maximum and sum need no horizontal step, and the
 * stride is a constant, so broadcasts in the gradient products need no
 * address arithmetic.
 */
#ifndef LB_KERNELS_SOFTMAX_H
#define LB_KERNELS_SOFTMAX_H

#include "core/lb_core.h"

/*
 * Rows of a tile.  With N = 2048 the tile takes 786 kB: it stays in a 2 MB L2.
 * Fewer rows would read and write dc more often (every tile adds to all of it).
 */
#define LB_SM_ROWS 96

/* Columns between two checks of the cancel flag, and in one exp + dq pass. */
#define LB_SM_PANEL 96

/* Columns and width are padded to multiples of these. */
#define LB_SM_COLUMN_UNIT 12
#define LB_SM_WIDTH_UNIT 16

/* A masked logit: exp of it is 0 in every kernel, and no sum overflows. */
#define LB_SM_MASKED (-3.0e38f)

/*
 * exp2 below this is taken as 0.  2^-115 is nothing beside a row sum of at
 * least 1, and products with it stay clear of denormals, which are slow.
 */
#define LB_SM_EXP_MIN (-115.0f)

typedef struct LbSoftmaxTile
{
	/* Shared by all workers, read only: */
	int			N;				/* columns */
	int			D;				/* width of q and c */
	int			Np;				/* N in column units */
	int			Dp;				/* D in width units */
	double	   *mean;			/* (D): mean of the candidates */
	float	   *c;				/* (Np, Dp): candidates minus their mean */
	float	   *cpack;			/* c in the layout for logits: (Np / mr, D,
								 * mr), columns in register blocks */
	float	   *bias;			/* (Np), times log2(e) */
	int32_t    *ids;			/* (Np) or NULL */

	/* The worker's own: */
	int			row0;			/* first row of the tile */
	int			n_rows;			/* rows in use, up to LB_SM_ROWS */
	float	   *s;				/* (Np, ROWS): logits, then exp of them */
	float	   *qt;				/* (D, ROWS): q * scale * log2(e), transposed */
	float	   *qg;				/* (ROWS, Dp): q * scale * weight / sum */
	float	   *row_max;		/* (ROWS) */
	float	   *row_sum;		/* (ROWS): sum of exp2(s - row_max), without
								 * the positive */
	float	   *dq;				/* (ROWS, Dp) */
	float	   *dc;				/* (Np, Dp): this worker's share */
	int32_t    *row_ids;		/* (ROWS) */
	double	   *sums;			/* (D): sum of its part of some rows */
} LbSoftmaxTile;

/*
 * One instruction set.  Each function handles columns [j0, j1); j0 is a
 * multiple of LB_SM_PANEL, j1 too or Np.
 */
typedef struct LbSoftmaxKernel
{
	/* t->cpack from t->c */
	void		(*pack_columns) (const LbSoftmaxTile *t, int j0, int j1);
	/* s = logits to base 2, masked; row_max raised */
	void		(*logits) (LbSoftmaxTile *t, int j0, int j1);
	/* s = exp2(s - row_max); row_sum += s */
	void		(*exps) (LbSoftmaxTile *t, int j0, int j1);
	/* dq += s^T * c */
	void		(*dq) (LbSoftmaxTile *t, int j0, int j1);
	/* dc (+)= s * qg; the first tile stores instead of adding */
	void		(*dc) (LbSoftmaxTile *t, int j0, int j1, bool first);
} LbSoftmaxKernel;

#endif							/* LB_KERNELS_SOFTMAX_H */
