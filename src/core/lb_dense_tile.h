/*
 * lb_dense_tile.h
 *		The product of lb_dense.h in the vectors of lb_cpu_simd.h.
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
typedef LbVec LbVecAnywhere __attribute__((aligned(4), may_alias));

#define LB_DENSE_LOAD(p) ((LbVec) *(const LbVecAnywhere *) (p))

LB_INLINE void
dense_store(float *out, LbVec v, int n)
{
	if (n >= LB_VL)
		*(LbVecAnywhere *) out = v;
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
		return LB_DENSE_LOAD(p);
	for (int i = 0; i < n; i++)
		lanes[i] = p[i];
	return vec_load(lanes);
}

/* Rows [row, row + mr) and columns [col, col + nv vectors), mr, nv constant. */
LB_INLINE void
dense_block(const LbDense *p, int row, int col, int mr, int nv)
{
	LbVec		acc[LB_MR][2];
	const float *a = p->a + row * p->a_row;
	const float *b = p->b + col;

	LB_UNROLL
	for (int r = 0; r < mr; r++)
		LB_UNROLL
		for (int v = 0; v < nv; v++)
			acc[r][v] = vec_zero();
	for (int s = 0; s < p->k; s++)
	{
		LbVec		b0 = LB_DENSE_LOAD(b);
		LbVec		b1 = nv > 1 ? LB_DENSE_LOAD(b + LB_VL) : b0;

		LB_UNROLL
		for (int r = 0; r < mr; r++)
		{
			LbVec		x = vec_set1(a[r * p->a_row]);

			acc[r][0] = vec_fma(x, b0, acc[r][0]);
			if (nv > 1)
				acc[r][1] = vec_fma(x, b1, acc[r][1]);
		}
		a += p->a_step;
		b += p->n;
	}
	for (int v = 0; v < nv; v++)
	{
		int			n = p->n - col - v * LB_VL;
		LbVec		bias = p->bias ?
			dense_load(p->bias + col + v * LB_VL, n) : vec_zero();

		LB_UNROLL
		for (int r = 0; r < mr; r++)
		{
			float	   *out = p->out + (size_t) (row + r) * p->n + col +
				v * LB_VL;
			LbVec		y = p->bias ? vec_add(acc[r][v], bias) : acc[r][v];

			if (p->add)
				y = vec_add(dense_load(out, n), y);
			if (p->relu)
				y = vec_max(y, vec_zero());
			dense_store(out, y, n);
		}
	}
}

LB_INLINE void
dense_rows(const LbDense *p, int row, int mr)
{
	int			col = 0;

	/* two vectors while the second has at least one column */
	for (; col + LB_VL < p->n; col += 2 * LB_VL)
		dense_block(p, row, col, mr, 2);
	if (col < p->n)
		dense_block(p, row, col, mr, 1);
}

void
LB_DENSE_KERNEL(const LbDense *p)
{
	int			row = 0;

	for (; row + LB_MR <= p->m; row += LB_MR)
		dense_rows(p, row, LB_MR);
#if LB_MR > 8
	for (; row + 8 <= p->m; row += 8)
		dense_rows(p, row, 8);
#endif
	for (; row + 4 <= p->m; row += 4)
		dense_rows(p, row, 4);
	for (; row + 2 <= p->m; row += 2)
		dense_rows(p, row, 2);
	for (; row < p->m; row++)
		dense_rows(p, row, 1);
}
