/*
 * softmax_tile.h
 *		The kernels of softmax.h in the vocabulary of simd.h.
 *
 * All three products of the step are lb_block_product():
 *
 *		logits	lanes = rows,	broadcast = columns,	sum over D
 *		dq		lanes = D,		broadcast = rows,		sum over columns
 *		dc		lanes = D,		broadcast = columns,	sum over rows
 */
#include "core/kernels/product_tile.h"

#define PAIR (2 * LB_VL)

/* vectors of lanes that hold rows, in floats */
#define LANES_IN_USE(t, unit) (((t)->n_rows + (unit) - 1) / (unit) * (unit))

LB_KERNEL void
pack_columns(const LbSoftmaxTile *t, int j0, int j1)
{
	for (int j = j0; j < j1; j++)
	{
		const float *row = t->c + (size_t) j * t->Dp;
		float	   *pack = t->cpack + (size_t) (j / LB_MR) * LB_MR * t->D +
			j % LB_MR;

		for (int d = 0; d < t->D; d++)
			pack[(size_t) d * LB_MR] = row[d];
	}
}

LB_KERNEL void
tile_logits(LbSoftmaxTile *t, int j0, int j1)
{
	int			lanes = LANES_IN_USE(t, PAIR);
	LbVec		masked = vec_set1(LB_SM_MASKED);

	for (int j = j0; j < j1; j += LB_MR)
	{
		const float *cpack = t->cpack + (size_t) j * t->D;

		for (int l = 0; l < lanes; l += PAIR)
		{
			LbVec		acc[LB_MR][2];
			LbVec		max0 = vec_load(t->row_max + l);
			LbVec		max1 = vec_load(t->row_max + l + LB_VL);
			float	   *s = t->s + (size_t) j * LB_SM_ROWS + l;

			LB_UNROLL
			for (int r = 0; r < LB_MR; r++)
				acc[r][0] = acc[r][1] = vec_set1(t->bias[j + r]);
			lb_block_product(acc, cpack, 1, LB_MR, t->qt + l, LB_SM_ROWS,
							 t->D, 2);

			/*
			 * A row's own column carries the row's own id: its logit is put
			 * back after masking.
			 */
			if (t->ids != NULL)
			{
				float		own[LB_MR];

				LB_UNROLL
				for (int r = 0; r < LB_MR; r++)
				{
					int			lane = j + r - t->row0 - l;

					vec_store(s + r * LB_SM_ROWS, acc[r][0]);
					vec_store(s + r * LB_SM_ROWS + LB_VL, acc[r][1]);
					own[r] = lane >= 0 && lane < PAIR ?
						s[r * LB_SM_ROWS + lane] : 0;
					acc[r][0] = vec_mask_equal(acc[r][0], t->row_ids + l,
											   t->ids[j + r], masked);
					acc[r][1] = vec_mask_equal(acc[r][1],
											   t->row_ids + l + LB_VL,
											   t->ids[j + r], masked);
				}
				LB_UNROLL
				for (int r = 0; r < LB_MR; r++)
				{
					int			lane = j + r - t->row0 - l;

					vec_store(s + r * LB_SM_ROWS, acc[r][0]);
					vec_store(s + r * LB_SM_ROWS + LB_VL, acc[r][1]);
					if (lane >= 0 && lane < PAIR)
					{
						s[r * LB_SM_ROWS + lane] = own[r];
						acc[r][0] = vec_load(s + r * LB_SM_ROWS);
						acc[r][1] = vec_load(s + r * LB_SM_ROWS + LB_VL);
					}
				}
			}
			LB_UNROLL
			for (int r = 0; r < LB_MR; r++)
			{
				vec_store(s + r * LB_SM_ROWS, acc[r][0]);
				vec_store(s + r * LB_SM_ROWS + LB_VL, acc[r][1]);
				max0 = vec_max(acc[r][0], max0);
				max1 = vec_max(acc[r][1], max1);
			}
			vec_store(t->row_max + l, max0);
			vec_store(t->row_max + l + LB_VL, max1);
		}
	}
}

/* Sums of blocks are summed, then sums of panels: shorter sums, smaller errors */
LB_KERNEL void
tile_exps(LbSoftmaxTile *t, int j0, int j1)
{
	int			lanes = LANES_IN_USE(t, PAIR);

	for (int l = 0; l < lanes; l += PAIR)
	{
		LbVec		max0 = vec_load(t->row_max + l);
		LbVec		max1 = vec_load(t->row_max + l + LB_VL);
		LbVec		sum0 = vec_load(t->row_sum + l);
		LbVec		sum1 = vec_load(t->row_sum + l + LB_VL);
		LbVec		panel0 = vec_zero();
		LbVec		panel1 = vec_zero();
		float	   *s = t->s + (size_t) j0 * LB_SM_ROWS + l;

		for (int j = j0; j < j1; j += LB_MR)
		{
			LbVec		part0 = vec_zero();
			LbVec		part1 = vec_zero();

			for (int r = 0; r < LB_MR; r++, s += LB_SM_ROWS)
			{
				LbVec		p0 = vec_exp2(vec_sub(vec_load(s), max0));
				LbVec		p1 = vec_exp2(vec_sub(vec_load(s + LB_VL), max1));

				vec_store(s, p0);
				vec_store(s + LB_VL, p1);
				part0 = vec_add(part0, p0);
				part1 = vec_add(part1, p1);
			}
			panel0 = vec_add(panel0, part0);
			panel1 = vec_add(panel1, part1);
		}
		sum0 = vec_add(sum0, panel0);
		sum1 = vec_add(sum1, panel1);
		vec_store(t->row_sum + l, sum0);
		vec_store(t->row_sum + l + LB_VL, sum1);
	}
}

/* out (LB_MR rows of Dp, nv vectors of each) gets acc, or acc added */
LB_INLINE void
put_block(float *out, size_t stride, LbVec acc[LB_MR][2], int nv, bool add)
{
	LB_UNROLL
	for (int r = 0; r < LB_MR; r++)
	{
		LB_UNROLL
		for (int v = 0; v < nv; v++)
		{
			float	   *o = out + r * stride + v * LB_VL;

			vec_store(o, add ? vec_add(vec_load(o), acc[r][v]) : acc[r][v]);
		}
	}
}

LB_INLINE void
clear_block(LbVec acc[LB_MR][2])
{
	LB_UNROLL
	for (int r = 0; r < LB_MR; r++)
		acc[r][0] = acc[r][1] = vec_zero();
}

LB_KERNEL void
tile_dq(LbSoftmaxTile *t, int j0, int j1)
{
	int			rows = LANES_IN_USE(t, LB_MR);
	int			n = (j1 < t->N ? j1 : t->N) - j0;

	for (int d = 0; d < t->Dp; d += PAIR)
	{
		const float *c = t->c + (size_t) j0 * t->Dp + d;

		for (int i = 0; i < rows; i += LB_MR)
		{
			const float *s = t->s + (size_t) j0 * LB_SM_ROWS + i;
			float	   *dq = t->dq + (size_t) i * t->Dp + d;
			LbVec		acc[LB_MR][2];

			clear_block(acc);
			if (d + PAIR <= t->Dp)
			{
				lb_block_product(acc, s, 1, LB_SM_ROWS, c, t->Dp, n, 2);
				put_block(dq, t->Dp, acc, 2, true);
			}
			else
			{
				lb_block_product(acc, s, 1, LB_SM_ROWS, c, t->Dp, n, 1);
				put_block(dq, t->Dp, acc, 1, true);
			}
		}
	}
}

LB_KERNEL void
tile_dc(LbSoftmaxTile *t, int j0, int j1, bool first)
{
	for (int d = 0; d < t->Dp; d += PAIR)
	{
		for (int j = j0; j < j1; j += LB_MR)
		{
			const float *s = t->s + (size_t) j * LB_SM_ROWS;
			float	   *dc = t->dc + (size_t) j * t->Dp + d;
			LbVec		acc[LB_MR][2];

			clear_block(acc);
			if (d + PAIR <= t->Dp)
			{
				lb_block_product(acc, s, LB_SM_ROWS, 1, t->qg + d, t->Dp,
								 t->n_rows, 2);
				put_block(dc, t->Dp, acc, 2, !first);
			}
			else
			{
				lb_block_product(acc, s, LB_SM_ROWS, 1, t->qg + d, t->Dp,
								 t->n_rows, 1);
				put_block(dc, t->Dp, acc, 1, !first);
			}
		}
	}
}

#define LB_SOFTMAX_KERNEL \
	.pack_columns = pack_columns, .logits = tile_logits, \
	.exps = tile_exps, .dq = tile_dq, .dc = tile_dc
