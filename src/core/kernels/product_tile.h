/*
 * product_tile.h
 *		The product that the softmax and scan tiles use.
 */
#ifndef LB_KERNELS_PRODUCT_TILE_H
#define LB_KERNELS_PRODUCT_TILE_H

/*
 * acc[r][v] += sum over k < n of
 * a[r * a_row + k * a_step] * b[k * b_step + v * LB_VL + lane], each lane one
 * chain in ascending k.  r runs over LB_MR broadcasts, v over nv (1 or 2)
 * vectors; the strides are constants where it is inlined, as far as can be.
 */
LB_INLINE void
lb_block_product(LbVec acc[LB_MR][2], const float *a, size_t a_row,
				 size_t a_step, const float *b, size_t b_step, int n, int nv)
{
	for (int k = 0; k < n; k++)
	{
		LbVec		b0 = vec_load(b);
		LbVec		b1 = nv > 1 ? vec_load(b + LB_VL) : b0;

		LB_UNROLL
		for (int r = 0; r < LB_MR; r++)
		{
			LbVec		x = vec_set1(a[r * a_row]);

			acc[r][0] = vec_fma(x, b0, acc[r][0]);
			if (nv > 1)
				acc[r][1] = vec_fma(x, b1, acc[r][1]);
		}
		a += a_step;
		b += b_step;
	}
}

#endif							/* LB_KERNELS_PRODUCT_TILE_H */
