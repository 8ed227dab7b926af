/*
 * blas.c
 *		The set that uses a BLAS library for products, for machines that
 *		support none of our own sets.
 *
 * Scans use bound_tile.h, so that answers have the same bits as those of the
 * other sets; functions that a BLAS lacks come from the portable set.
 */
#include "core/kernels/blas.h"

#include "core/kernels/generic.h"

#include "core/kernels/dense_tile.h"
#include "core/kernels/rows_tile.h"
#include "core/kernels/softmax_tile.h"

static LbBlas blas;

void
lb_blas_use(const LbBlas *functions)
{
	blas = *functions;
}

static bool
usable(void)
{
	return blas.sgemm != NULL && blas.sgemv != NULL;
}

static void
dense_blas(const LbDense *p)
{
	/* with both steps 1, a is one row or one column */
	bool		transposed = p->a_row == 1 && (p->a_step != 1 || p->k > 1);

	blas.sgemm(LB_ROW_MAJOR, transposed ? LB_TRANS : LB_NO_TRANS, LB_NO_TRANS,
			   p->m, p->columns, p->k, 1, p->a,
			   (int) (transposed ? p->a_step : p->a_row), p->b, p->n,
			   p->add ? 1 : 0, p->out, p->n);
	if (p->bias == NULL && !p->relu)
		return;
	for (int i = 0; i < p->m; i++)
	{
		float	   *out = p->out + (size_t) i * p->n;

		for (int j = 0; j < p->columns; j++)
		{
			float		y = p->bias != NULL ? out[j] + p->bias[j] : out[j];

			/* as vec_max(): a NaN becomes zero */
			out[j] = !p->relu || y > 0 ? y : 0;
		}
	}
}

/* The tile's rows are lanes: s (columns, LB_SM_ROWS) = c qt + bias. */
static void
logits_blas(LbSoftmaxTile *t, int j0, int j1)
{
	float	   *s = t->s + (size_t) j0 * LB_SM_ROWS;
	LbVec		masked = vec_set1(LB_SM_MASKED);

	for (int j = j0; j < j1; j++)
		for (int i = 0; i < LB_SM_ROWS; i++)
			t->s[(size_t) j * LB_SM_ROWS + i] = t->bias[j];
	blas.sgemm(LB_ROW_MAJOR, LB_NO_TRANS, LB_NO_TRANS, j1 - j0, LB_SM_ROWS,
			   t->D, 1, t->c + (size_t) j0 * t->Dp, t->Dp, t->qt, LB_SM_ROWS,
			   1, s, LB_SM_ROWS);
	for (int j = j0; j < j1; j++, s += LB_SM_ROWS)
	{
		int			own_lane = j - t->row0;
		bool		has_own = own_lane >= 0 && own_lane < LB_SM_ROWS;
		float		own = has_own ? s[own_lane] : 0;

		/* a row's own column carries the row's own id: it stays */
		for (int l = 0; t->ids != NULL && l < LB_SM_ROWS; l += LB_VL)
			vec_store(s + l, vec_mask_equal(vec_load(s + l), t->row_ids + l,
											t->ids[j], masked));
		if (has_own)
			s[own_lane] = own;
		for (int l = 0; l < LB_SM_ROWS; l += LB_VL)
			vec_store(t->row_max + l, vec_max(vec_load(s + l),
											  vec_load(t->row_max + l)));
	}
}

static void
dq_blas(LbSoftmaxTile *t, int j0, int j1)
{
	int			n = (j1 < t->N ? j1 : t->N) - j0;

	blas.sgemm(LB_ROW_MAJOR, LB_TRANS, LB_NO_TRANS, t->n_rows, t->Dp, n, 1,
			   t->s + (size_t) j0 * LB_SM_ROWS, LB_SM_ROWS,
			   t->c + (size_t) j0 * t->Dp, t->Dp, 1, t->dq, t->Dp);
}

static void
dc_blas(LbSoftmaxTile *t, int j0, int j1, bool first)
{
	blas.sgemm(LB_ROW_MAJOR, LB_NO_TRANS, LB_NO_TRANS, j1 - j0, t->Dp,
			   t->n_rows, 1, t->s + (size_t) j0 * LB_SM_ROWS, LB_SM_ROWS,
			   t->qg, t->Dp, first ? 0 : 1, t->dc + (size_t) j0 * t->Dp,
			   t->Dp);
}

/* Larger than those of our own sets: a call of a BLAS costs a microsecond. */
#define BOUND_LANES LB_QUERY_LANES
#define BOUND_MR LB_CAND_UNIT

LB_INLINE void
bound_dots(float *out, const float *q, const float *c, int D, int n)
{
	blas.sgemv(LB_ROW_MAJOR, LB_NO_TRANS, n, D, 1, c, D, q, 1, 0, out, 1);
}

LB_INLINE void
bound_block(float *s, const float *qt, const float *cpack, int D)
{
	blas.sgemm(LB_ROW_MAJOR, LB_TRANS, LB_NO_TRANS, BOUND_MR, BOUND_LANES, D,
			   1, cpack, BOUND_MR, qt, BOUND_LANES, 0, s, BOUND_LANES);
}

#include "core/kernels/bound_tile.h"

const LbKernels lb_kernels_blas = {
	.name = "blas",
	.usable = usable,
	.dense = dense_blas,
	.dense_exact = dense_kernel_exact,
	.rows = {LB_ROWS_KERNEL},
	.softmax = {
		.pack_columns = pack_columns,
		.logits = logits_blas,
		.exps = tile_exps,
		.dq = dq_blas,
		.dc = dc_blas,
	},
	.scan = {LB_SCAN_KERNEL, .scan_codes = scan_codes},
};
