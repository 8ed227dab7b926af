/*
 * portable.c
 *		The set for any machine; the other sets are tested against it.
 */
#include "core/kernels/generic.h"

#include "core/kernels/dense_tile.h"
#include "core/kernels/rows_tile.h"
#include "core/kernels/softmax_tile.h"

#define BOUND_LANES (2 * LB_VL)
#define BOUND_MR LB_MR

LB_INLINE void
bound_dots(float *out, const float *q, const float *c, int D, int n)
{
	for (int i = 0; i < n; i++, c += D)
	{
		LbVec		acc0 = vec_zero();
		LbVec		acc1 = vec_zero();
		float		sum = 0;
		int			d = 0;

		for (; d + 2 * LB_VL <= D; d += 2 * LB_VL)
		{
			acc0 = vec_fma(vec_loadu(q + d), vec_loadu(c + d), acc0);
			acc1 = vec_fma(vec_loadu(q + d + LB_VL), vec_loadu(c + d + LB_VL),
						   acc1);
		}
		for (; d < D; d++)
			sum += q[d] * c[d];
		acc0 = vec_add(acc0, acc1);
		for (int l = 0; l < LB_VL; l++)
			sum += acc0[l];
		out[i] = sum;
	}
}

LB_INLINE void
bound_block(float *s, const float *qt, const float *cpack, int D)
{
	LbVec		acc[LB_MR][2];

	LB_UNROLL
	for (int r = 0; r < LB_MR; r++)
		acc[r][0] = acc[r][1] = vec_zero();
	lb_block_product(acc, cpack, 1, LB_MR, qt, BOUND_LANES, D, 2);
	LB_UNROLL
	for (int r = 0; r < LB_MR; r++)
	{
		vec_store(s + r * BOUND_LANES, acc[r][0]);
		vec_store(s + r * BOUND_LANES + LB_VL, acc[r][1]);
	}
}

#include "core/kernels/bound_tile.h"

static bool
usable(void)
{
	return true;
}

const LbKernels lb_kernels_portable = {
	.name = "portable",
	.usable = usable,
	.dense = dense_kernel,
	.dense_exact = dense_kernel_exact,
	.rows = {LB_ROWS_KERNEL},
	.softmax = {LB_SOFTMAX_KERNEL},
	.scan = {LB_SCAN_KERNEL, .scan_codes = scan_codes},
};
