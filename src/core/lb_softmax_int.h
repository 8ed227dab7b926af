/*
 * lb_softmax_int.h
 *		What lb_softmax.c (packing, threads, reductions) and the kernels (tile
 *		arithmetic, one file per instruction set) share.
 *
 * A worker handles LB_SM_ROWS rows at a time against all N columns.  The
 * logits of that tile are stored column by column, s[j * LB_SM_ROWS + i]: the
 * vector lanes are rows, so maximum and sum need no horizontal step, and the
 * stride is a constant, so broadcasts in the gradient products need no
 * address arithmetic.
 */
#ifndef LB_SOFTMAX_INT_H
#define LB_SOFTMAX_INT_H

#include "core/lb_core.h"

/*
 * Rows of a tile.  With N = 2048 the tile takes 786 kB: it stays in a 2 MB L2.
 * Fewer rows would read and write dc more often (every tile adds to all of it).
 */
#define LB_SM_ROWS 96

/* Columns between two looks at the cancel flag, and of one exp + dq pass. */
#define LB_SM_PANEL 96

/*
 * Room for columns and width is padded to these, which every kernel's units
 * divide: the memory needed does not depend on the instruction set.
 */
#define LB_SM_COLUMN_ROOM 96
#define LB_SM_WIDTH_ROOM 32

/* A masked logit: exp of it is 0 in every kernel, and no sum overflows. */
#define LB_SM_MASKED (-3.0e38f)

/*
 * exp2 below this is taken as 0.  2^-115 is nothing beside a row sum of at
 * least 1, and products with it stay clear of denormals, which are slow.
 */
#define LB_SM_EXP_MIN (-115.0f)

/* 2^x on [-0.5, 0.5], relative error 7.5e-8 (Remez) */
#define LB_EXP2_C0 0x1.000002p+0f
#define LB_EXP2_C1 0x1.62e428p-1f
#define LB_EXP2_C2 0x1.ebf918p-3f
#define LB_EXP2_C3 0x1.c6b6e4p-5f
#define LB_EXP2_C4 0x1.3d0c52p-7f
#define LB_EXP2_C5 0x1.5c08e6p-10f

typedef struct LbSoftmaxTile
{
	/* shared by all workers, read only */
	int			N;				/* columns */
	int			D;				/* width of q and c */
	int			Np;				/* N in the kernel's column units */
	int			Dp;				/* D in its width units */
	double	   *mean;			/* (D): of the candidates */
	float	   *c;				/* (Np, Dp): candidates less their mean */
	float	   *cpack;			/* c as logits want it: (Np / mr, D, mr),
								 * columns in register blocks */
	float	   *crow;			/* c as dq wants it, unless it takes c */
	float	   *bias;			/* (Np), times log2(e) */
	int32_t    *ids;			/* (Np) or NULL */

	/* the worker's own */
	int			row0;			/* first row of the tile */
	int			n_rows;			/* rows in use, up to LB_SM_ROWS */
	float	   *s;				/* (Np, ROWS): logits, then exp of them */
	float	   *qt;				/* (D, ROWS): q * scale * log2(e), transposed */
	float	   *qg;				/* (ROWS, Dp): q * scale * weight / sum */
	float	   *row_max;		/* (ROWS) */
	float	   *row_sum;		/* (ROWS): of exp2(s - row_max) but the
								 * positive */
	float	   *dq;				/* (ROWS, Dp), or (Dp, ROWS) if dq_transposed */
	float	   *dc;				/* (Np, Dp): this worker's share */
	int32_t    *row_ids;		/* (ROWS) */
	double	   *sums;			/* (D): of its part of some rows */
	void	   *extra;			/* LB_SM_EXTRA_BYTES(Dp), for the kernel */
} LbSoftmaxTile;

/* what lb_softmax_amx.c wants: q and q' as pairs, a panel of p as pairs */
#define LB_SM_EXTRA_BYTES(Dp) \
	((2 * (size_t) (Dp) + LB_SM_PANEL) * LB_SM_ROWS * sizeof(uint32_t))

/*
 * One instruction set.  Each function handles columns [j0, j1); j0 is a
 * multiple of LB_SM_PANEL, j1 too or Np.
 */
typedef struct LbSoftmaxKernel
{
	int			column_unit;
	int			width_unit;
	bool		dq_transposed;
	/* t->cpack, and t->crow, from t->c */
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

extern const LbSoftmaxKernel lb_softmax_portable;
#if defined(__x86_64__)
extern const LbSoftmaxKernel lb_softmax_avx2;
extern const LbSoftmaxKernel lb_softmax_avx512;
extern const LbSoftmaxKernel lb_softmax_amx;
#endif

/* For tests: this kernel whatever the CPU; NULL again afterwards. */
extern const LbSoftmaxKernel *lb_softmax_override;

#endif							/* LB_SOFTMAX_INT_H */
