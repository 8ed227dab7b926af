/*
 * portable.c
 *		The set in plain C and GCC's generic vectors: for any machine, and what
 *		the other sets are tested against.
 */
#include "core/kernels/lb_kernels.h"

#include "core/kernels/fused.h"
#include "core/kernels/simd.h"

static bool
usable(void)
{
	return true;
}

#define LB_VL 4
#define LB_MR 6
typedef float LbVec __attribute__((vector_size(16)));
typedef LbVec LbVecAnywhere __attribute__((aligned(4), may_alias));
typedef int32_t LbVecInt __attribute__((vector_size(16)));
typedef uint32_t LbVecBits __attribute__((vector_size(16)));

#define vec_zero() ((LbVec) {0, 0, 0, 0})
#define vec_set1(x) ((LbVec) {(x), (x), (x), (x)})
#define vec_load(p) (*(const LbVec *) (p))
#define vec_store(p, v) (*(LbVec *) (p) = (v))
#define vec_loadu(p) ((LbVec) *(const LbVecAnywhere *) (p))
#define vec_storeu(p, v) (*(LbVecAnywhere *) (p) = (v))
#define vec_add(a, b) ((a) + (b))
#define vec_sub(a, b) ((a) - (b))
#define vec_mul(a, b) ((a) * (b))
#define vec_fma(a, b, c) ((a) * (b) + (c))

LB_INLINE LbVec
vec_rsqrt(LbVec x)
{
	for (int l = 0; l < LB_VL; l++)
		x[l] = 1 / __builtin_sqrtf(x[l]);
	return x;
}


/* a where the mask is all ones, b where it is zero */
LB_INLINE LbVec
vec_select(LbVecInt mask, LbVec a, LbVec b)
{
	return (LbVec) ((mask & (LbVecInt) a) | (~mask & (LbVecInt) b));
}

LB_INLINE LbVec
vec_max(LbVec a, LbVec b)
{
	return vec_select((LbVecInt) (a > b), a, b);
}

LB_INLINE LbVec
vec_mask_equal(LbVec v, const int32_t *lane_ids, int32_t id, LbVec other)
{
	LbVecInt	wanted = {id, id, id, id};

	return vec_select(*(const LbVecInt *) lane_ids == wanted, other, v);
}

LB_INLINE LbVec
vec_exp2(LbVec x)
{
	LbVec		magic = vec_set1(12582912.0f);
	LbVec		shifted = x + magic;
	LbVec		r = x - (shifted - magic);
	LbVec		p = vec_set1(LB_EXP2_C5);

	p = vec_fma(p, r, vec_set1(LB_EXP2_C4));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C3));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C2));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C1));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C0));
	p = (LbVec) ((LbVecBits) p + ((LbVecBits) shifted << 23));
	p = vec_select((LbVecInt) (x == x), p, x);
	return vec_select((LbVecInt) (x < vec_set1(LB_SM_EXP_MIN)), vec_zero(),
					  p);
}

#include "core/kernels/dense_tile.h"
#include "core/kernels/rows_tile.h"
#include "core/kernels/softmax_tile.h"

/* Scans: the fused operation is emulated, a number at a time. */
#define LANES 8
#define MR 4

static inline float
chain(const float *q, const float *c, int D)
{
	float		acc = 0;

	for (int d = 0; d < D; d++)
		acc = lb_fused(q[d], c[d], acc);
	return acc;
}

static void
score_range(float *out, const float *q, const float *c, int D, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = chain(q, c + (size_t) i * D, D);
}

static void
score_rows(float *out, const float *q, const float *c, int D,
		   const int32_t *rows, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = chain(q, c + (size_t) rows[i] * D, D);
}

/* chains of LANES queries and MR candidates */
static inline void
block_chains(float acc[MR][LANES], const float *qt, const float *cpack, int D)
{
	memset(acc, 0, sizeof(float) * MR * LANES);
	for (int d = 0; d < D; d++)
	{
		for (int r = 0; r < MR; r++)
		{
			for (int l = 0; l < LANES; l++)
				acc[r][l] = lb_fused(qt[d * LANES + l], cpack[d * MR + r],
									 acc[r][l]);
		}
	}
}

static void
tile_counts(int32_t *counts, const float *floor, const float *qt,
			const float *cpack, int D, int n_blocks)
{
	for (int b = 0; b < n_blocks; b++)
	{
		float		acc[MR][LANES];

		block_chains(acc, qt, cpack + (size_t) b * MR * D, D);
		for (int r = 0; r < MR; r++)
		{
			for (int l = 0; l < LANES; l++)
				counts[l] += acc[r][l] > floor[l];
		}
	}
}

static int
tile_hits(LbHit *hits, int max_hits, const float *floor, const float *qt,
		  const float *cpack, int D, int *n_blocks)
{
	int			n_hits = 0;
	int			b;

	for (b = 0; b < *n_blocks && n_hits + LANES * MR <= max_hits; b++)
	{
		float		acc[MR][LANES];

		block_chains(acc, qt, cpack + (size_t) b * MR * D, D);
		for (int r = 0; r < MR; r++)
		{
			for (int l = 0; l < LANES; l++)
			{
				if (acc[r][l] < floor[l])
					continue;
				hits[n_hits].lane = l;
				hits[n_hits].candidate = b * MR + r;
				hits[n_hits].score = acc[r][l];
				n_hits++;
			}
		}
	}
	*n_blocks = b;
	return n_hits;
}

static int
scan_codes(int32_t *places, int32_t *dots, const uint8_t *codes, int n_groups,
		   int n_quads, const int8_t *qcodes, int32_t start,
		   const int32_t *floors)
{
	int			n = 0;

	for (int g = 0; g < n_groups; g++)
	{
		int32_t		acc[LB_GROUP];

		for (int l = 0; l < LB_GROUP; l++)
			acc[l] = start;
		for (int k = 0; k < n_quads; k++, codes += LB_GROUP * 4)
		{
			for (int l = 0; l < LB_GROUP; l++)
			{
				for (int d = 0; d < 4; d++)
					acc[l] += codes[l * 4 + d] * qcodes[k * 4 + d];
			}
		}
		for (int l = 0; l < LB_GROUP; l++)
		{
			if (acc[l] < floors[g])
				continue;
			places[n] = g * LB_GROUP + l;
			dots[n] = acc[l];
			n++;
		}
	}
	return n;
}

const LbKernels lb_kernels_portable = {
	.name = "portable",
	.usable = usable,
	.dense = dense_kernel,
	.rows = {LB_ROWS_KERNEL},
	.softmax = {LB_SOFTMAX_KERNEL},
	.scan = {
		.lanes = LANES,
		.mr = MR,
		.score_range = score_range,
		.score_rows = score_rows,
		.tile_counts = tile_counts,
		.tile_hits = tile_hits,
		.scan_codes = scan_codes,
	},
};
