/*
 * lb_dense_tile.h
 *		The product of lb_dense.h in the vectors of lb_cpu_simd.h.
 *
 * Blocks of up to LB_MR rows x 2 vectors stay in registers while the sum runs:
 * a row is broadcast, two vectors of b are loaded, both are multiplied and
 * added.  Lanes past column n compute on what lies there and are not stored.
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
		{
			const float *from = p->add ?
				p->out + (size_t) (row + r) * p->n + col + v * LB_VL :
				p->bias ? p->bias + col + v * LB_VL : NULL;
			int			n = p->n - col - v * LB_VL;
			float		lanes[LB_VL] __attribute__((aligned(64))) = {0};

			if (from == NULL)
				acc[r][v] = vec_zero();
			else if (n >= LB_VL)
				acc[r][v] = LB_DENSE_LOAD(from);
			else
			{
				for (int i = 0; i < n; i++)
					lanes[i] = from[i];
				acc[r][v] = vec_load(lanes);
			}
		}
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
	LB_UNROLL
	for (int r = 0; r < mr; r++)
		LB_UNROLL
		for (int v = 0; v < nv; v++)
			dense_store(p->out + (size_t) (row + r) * p->n + col + v * LB_VL,
						p->relu ? vec_max(acc[r][v], vec_zero()) : acc[r][v],
						p->n - col - v * LB_VL);
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
