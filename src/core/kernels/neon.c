/*
 * neon.c
 *		The sets for 64-bit ARM: with NEON, which all have, and with its dot
 *		products of bytes.
 */
#include "core/kernels/lb_kernels.h"

#if defined(__aarch64__)

#if defined(__linux__)
#include <sys/auxv.h>
#endif

#include <arm_neon.h>

#include "core/kernels/simd.h"

#define LB_VL 4
#define LB_MR 12
typedef float32x4_t LbVec;
typedef int32x4_t LbVecInt;

#define vec_zero() vdupq_n_f32(0)
#define vec_set1(x) vdupq_n_f32(x)
#define vec_load(p) vld1q_f32(p)
#define vec_store(p, v) vst1q_f32(p, v)
#define vec_loadu(p) vld1q_f32(p)
#define vec_storeu(p, v) vst1q_f32(p, v)
#define vec_add(a, b) vaddq_f32(a, b)
#define vec_sub(a, b) vsubq_f32(a, b)
#define vec_mul(a, b) vmulq_f32(a, b)
#define vec_fma(a, b, c) vfmaq_f32(c, a, b)
#define vec_fused(a, b, c) vfmaq_f32(c, a, b)
#define vec_rsqrt(x) vdivq_f32(vec_set1(1), vsqrtq_f32(x))
#define vec_int_load(p) vld1q_s32(p)
#define vec_int_store(p, v) vst1q_s32(p, v)

/* not vmaxq_f32(), which is NaN if one of the two is */
LB_INLINE LbVec
vec_max(LbVec a, LbVec b)
{
	return vbslq_f32(vcgtq_f32(a, b), a, b);
}

LB_INLINE LbVecInt
vec_count_above(LbVecInt n, LbVec a, LbVec b)
{
	return vsubq_s32(n, vreinterpretq_s32_u32(vcgtq_f32(a, b)));
}

/* a bit for each lane of a mask */
LB_INLINE unsigned
mask_bits(uint32x4_t mask)
{
	static const uint32_t bits[] = {1, 2, 4, 8};

	return vaddvq_u32(vandq_u32(mask, vld1q_u32(bits)));
}

LB_INLINE unsigned
vec_not_below(LbVec a, LbVec b)
{
	return mask_bits(vmvnq_u32(vcltq_f32(a, b)));
}

LB_INLINE LbVec
vec_mask_equal(LbVec v, const int32_t *lane_ids, int32_t id, LbVec other)
{
	return vbslq_f32(vceqq_s32(vld1q_s32(lane_ids), vdupq_n_s32(id)), other,
					 v);
}

LB_INLINE LbVec
vec_exp2(LbVec x)
{
	LbVec		n = vrndnq_f32(x);
	LbVec		r = vec_sub(x, n);
	LbVec		p = vec_set1(LB_EXP2_C5);

	p = vec_fma(p, r, vec_set1(LB_EXP2_C4));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C3));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C2));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C1));
	p = vec_fma(p, r, vec_set1(LB_EXP2_C0));

	/*
	 * p is in [0.7, 1.5): adding to its exponent is multiplying by 2^n; a NaN
	 * has n = 0 there
	 */
	p = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p),
										vshlq_n_s32(vcvtq_s32_f32(n), 23)));
	return vbslq_f32(vcltq_f32(x, vec_set1(LB_SM_EXP_MIN)), vec_zero(), p);
}

LB_INLINE LbVec
vec_load_part(const float *p, int n)
{
	float		lanes[LB_VL] = {p[0], n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, 0};

	return vld1q_f32(lanes);
}

LB_INLINE void
vec_transpose(LbVec x[LB_VL])
{
	float64x2_t y0 = vreinterpretq_f64_f32(vtrn1q_f32(x[0], x[1]));
	float64x2_t y1 = vreinterpretq_f64_f32(vtrn2q_f32(x[0], x[1]));
	float64x2_t y2 = vreinterpretq_f64_f32(vtrn1q_f32(x[2], x[3]));
	float64x2_t y3 = vreinterpretq_f64_f32(vtrn2q_f32(x[2], x[3]));

	x[0] = vreinterpretq_f32_f64(vtrn1q_f64(y0, y2));
	x[1] = vreinterpretq_f32_f64(vtrn1q_f64(y1, y3));
	x[2] = vreinterpretq_f32_f64(vtrn2q_f64(y0, y2));
	x[3] = vreinterpretq_f32_f64(vtrn2q_f64(y1, y3));
}

#include "core/kernels/dense_tile.h"
#include "core/kernels/rows_tile.h"
#include "core/kernels/softmax_tile.h"
#include "core/kernels/scan_tile.h"

/* The codes with their sign: they are stored with 128 added. */
LB_INLINE	int8x16_t
load_codes(const uint8_t *codes)
{
	return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes), vdupq_n_u8(0x80)));
}

/* Four dimensions of the query, for each of four candidates. */
LB_INLINE	int8x16_t
load_quad(const int8_t *qcodes)
{
	int32_t		quad;

	memcpy(&quad, qcodes, sizeof(quad));
	return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}

/* Notes those of a group, with products acc, that reach the floor. */
LB_INLINE int
note_group(int32_t *places, int32_t *dots, const int32x4_t acc[4],
		   int32_t floor, int place)
{
	int			n = 0;

	for (int i = 0; i < 4; i++)
	{
		unsigned	bits = mask_bits(vcgeq_s32(acc[i], vdupq_n_s32(floor)));
		int32_t		values[4];

		if (bits == 0)
			continue;
		vst1q_s32(values, acc[i]);
		for (; bits != 0; bits &= bits - 1)
		{
			int			lane = __builtin_ctz(bits);

			places[n] = place + 4 * i + lane;
			dots[n++] = values[lane];
		}
	}
	return n;
}

static int
scan_codes(int32_t *places, int32_t *dots, const uint8_t *codes, int n_groups,
		   int n_quads, const int8_t *qcodes, int32_t start,
		   const int32_t *floors)
{
	int			n = 0;

	(void) start;				/* codes have their sign here */
	for (int g = 0; g < n_groups; g++)
	{
		int32x4_t	half[4][2]; /* two sums of two dimensions a candidate */
		int32x4_t	acc[4];

		for (int i = 0; i < 4; i++)
			half[i][0] = half[i][1] = vdupq_n_s32(0);
		for (int k = 0; k < n_quads; k++, codes += LB_GROUP * 4)
		{
			int8x16_t	q = load_quad(qcodes + k * 4);

			for (int i = 0; i < 4; i++)
			{
				int8x16_t	c = load_codes(codes + 16 * i);

				half[i][0] = vpadalq_s16(half[i][0],
										 vmull_s8(vget_low_s8(c),
												  vget_low_s8(q)));
				half[i][1] = vpadalq_s16(half[i][1], vmull_high_s8(c, q));
			}
		}
		for (int i = 0; i < 4; i++)
			acc[i] = vpaddq_s32(half[i][0], half[i][1]);
		n += note_group(places + n, dots + n, acc, floors[g], g * LB_GROUP);
	}
	return n;
}

#if defined(__clang__)
#define DOTPROD __attribute__((target("dotprod")))
#else
#define DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

DOTPROD static int
scan_codes_dotprod(int32_t *places, int32_t *dots, const uint8_t *codes,
				   int n_groups, int n_quads, const int8_t *qcodes,
				   int32_t start, const int32_t *floors)
{
	int			n = 0;

	(void) start;				/* codes have their sign here */
	for (int g = 0; g < n_groups; g++)
	{
		int32x4_t	acc[4];

		for (int i = 0; i < 4; i++)
			acc[i] = vdupq_n_s32(0);
		for (int k = 0; k < n_quads; k++, codes += LB_GROUP * 4)
		{
			int8x16_t	q = load_quad(qcodes + k * 4);

			for (int i = 0; i < 4; i++)
				acc[i] = vdotq_s32(acc[i], load_codes(codes + 16 * i), q);
		}
		n += note_group(places + n, dots + n, acc, floors[g], g * LB_GROUP);
	}
	return n;
}

static bool
usable(void)
{
	return true;
}

static bool
usable_dotprod(void)
{
#if defined(__linux__)
	return (getauxval(AT_HWCAP) & (1ul << 20)) != 0;	/* HWCAP_ASIMDDP */
#else
	return false;
#endif
}

const LbKernels lb_kernels_neon = {
	.name = "neon",
	.usable = usable,
	.dense = dense_kernel,
	.dense_exact = dense_kernel,
	.rows = {LB_ROWS_KERNEL},
	.softmax = {LB_SOFTMAX_KERNEL},
	.scan = {LB_SCAN_KERNEL, .scan_codes = scan_codes},
};

/*
 * An instruction of it does four times the products of a fused multiply-add,
 * as with AVX-512 VNNI: hence fast_codes, by analogy.
 */
const LbKernels lb_kernels_dotprod = {
	.name = "dotprod",
	.usable = usable_dotprod,
	.dense = dense_kernel,
	.dense_exact = dense_kernel,
	.rows = {LB_ROWS_KERNEL},
	.softmax = {LB_SOFTMAX_KERNEL},
	.scan = {LB_SCAN_KERNEL, .scan_codes = scan_codes_dotprod,
		.fast_codes = true},
	};

#endif							/* __aarch64__ */
