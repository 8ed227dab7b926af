/*
 * dense_tile.h
 *		The product of dense.h in the vocabulary of simd.h.
 *
 * Blocks of up to LB_MR rows x 2 vectors stay in registers while the sum runs:
 * a row is broadcast, two vectors of b are loaded, both are multiplied and
 * added.  Lanes past column n compute on what lies there and are not stored.
 *
 * The bias is added to the finished sum, not put under it: then the result has
 * the bits of TensorFlow's MatMul and BiasAdd (with fused multiply-adds).
 * Near a ReLU's kink the last bit decides whether an example has a gradient,
 * and in a deep tower's first steps one such decision grows tenfold a step.
 */
LB_INLINE void
dense_store(float *out, LbVec v, int n)
{
	if (n >= LB_VL)
		vec_storeu(out, v);
	else
	{
		float		lanes[LB_VL];

		memcpy(lanes, &v, sizeof(lanes));
		for (int i = 0; i < n; i++)
			out[i] = lanes[i];
	}
}

/* n floats at p, or zeros past them; a whole vector may be read where n >= VL */
LB_INLINE LbVec
dense_load(const float *p, int n)
{
	float		lanes[LB_VL] __attribute__((aligned(64))) = {0};

	if (n >= LB_VL)
		return vec_loadu(p);
	for (int i = 0; i < n; i++)
		lanes[i] = p[i];
	return vec_load(lanes);
}

/*
 * Rows [row, row + mr) and columns [col, col + nv vectors); mr, nv and side
 * are constants.  side: a_row is 1.  Otherwise every third row has a pointer
 * of its own, for with a pointer to each the compiler runs out of registers
 * and reads them from the stack, a third of the time (seen).
 */
LB_INLINE void
dense_block(const LbDense *p, int row, int col, int mr, int nv, bool side,
			bool fused)
{
	LbVec		acc[LB_MR][2];
	const float *a = p->a + row * p->a_row;
	const float *b = p->b + col;
	ptrdiff_t	a_row = side ? 1 : (ptrdiff_t) p->a_row;
	ptrdiff_t	a_step = side ? (ptrdiff_t) p->a_step : 1;
	const float *a3 = a + 3 * a_row;
	const float *a6 = a + 6 * a_row;
	const float *a9 = a + 9 * a_row;
	ptrdiff_t	n = p->n;
	bool		whole = col + nv * LB_VL <= p->columns;

	LB_UNROLL
	for (int r = 0; r < mr; r++)
		LB_UNROLL
		for (int v = 0; v < nv; v++)
			acc[r][v] = vec_zero();
	for (int s = p->k; s > 0; s--)
	{
		LbVec		b0 = vec_loadu(b);
		LbVec		b1 = nv > 1 ? vec_loadu(b + LB_VL) : b0;

		LB_UNROLL
		for (int r = 0; r < mr; r++)
		{
			const float *at = r < 3 ? a : r < 6 ? a3 : r < 9 ? a6 : a9;
			LbVec		x = vec_set1(side ? a[r] : at[r % 3 * a_row]);

			acc[r][0] = fused ? vec_fused(x, b0, acc[r][0]) :
				vec_fma(x, b0, acc[r][0]);
			if (nv > 1)
				acc[r][1] = fused ? vec_fused(x, b1, acc[r][1]) :
					vec_fma(x, b1, acc[r][1]);
		}
		a += a_step;
		a3 += a_step;
		a6 += a_step;
		a9 += a_step;
		b += n;
	}
	for (int v = 0; v < nv; v++)
	{
		int			left = whole ? LB_VL : p->columns - col - v * LB_VL;
		LbVec		bias = p->bias ?
			dense_load(p->bias + col + v * LB_VL, left) : vec_zero();

		LB_UNROLL
		for (int r = 0; r < mr; r++)
		{
			float	   *out = p->out + (size_t) (row + r) * p->n + col +
				v * LB_VL;
			LbVec		y = p->bias ? vec_add(acc[r][v], bias) : acc[r][v];

			if (p->add)
				y = vec_add(dense_load(out, left), y);
			if (p->relu)
				y = vec_max(y, vec_zero());
			dense_store(out, y, left);
		}
	}
}

LB_INLINE void
dense_rows(const LbDense *p, int row, int mr, bool side, bool fused)
{
	int			col = 0;

	/* two vectors while the second has at least one column */
	for (; col + LB_VL < p->columns; col += 2 * LB_VL)
		dense_block(p, row, col, mr, 2, side, fused);
	if (col < p->columns)
		dense_block(p, row, col, mr, 1, side, fused);
}

LB_INLINE void
dense_all(const LbDense *p, bool side, bool fused)
{
	int			row = 0;

	for (; row + LB_MR <= p->m; row += LB_MR)
		dense_rows(p, row, LB_MR, side, fused);
#if LB_MR > 8
	for (; row + 8 <= p->m; row += 8)
		dense_rows(p, row, 8, side, fused);
#endif
	for (; row + 4 <= p->m; row += 4)
		dense_rows(p, row, 4, side, fused);
	for (; row + 2 <= p->m; row += 2)
		dense_rows(p, row, 2, side, fused);
	for (; row < p->m; row++)
		dense_rows(p, row, 1, side, fused);
}

/* Either a_row or a_step is 1: which one, is compiled in. */
LB_KERNEL void
dense_kernel(const LbDense *p)
{
	if (p->a_row == 1)
		dense_all(p, true, false);
	else
		dense_all(p, false, false);
}

/* For sets whose vec_fma() is not vec_fused(): a_step is 1. */
LB_KERNEL void
dense_kernel_exact(const LbDense *p)
{
	dense_all(p, false, true);
}
