/*
 * lb_scan_avx2.c
 *		The scans for AVX2 and FMA; nothing on other machines.
 *
 * The pragma stands before every include; only lb_scan_kernel() may hand out
 * what is compiled here.
 */
#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define LB_SIMD 256
#include "core/lb_scan_int.h"
#include "core/lb_cpu_simd.h"

LB_INLINE void
transpose_rows(__m256 x[8])
{
	__m256		y[8];

	LB_UNROLL
	for (int i = 0; i < 8; i += 2)
	{
		y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
		y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
	}
	LB_UNROLL
	for (int i = 0; i < 8; i += 4)
	{
		x[i] = _mm256_shuffle_ps(y[i], y[i + 2], 0x44);
		x[i + 1] = _mm256_shuffle_ps(y[i], y[i + 2], 0xee);
		x[i + 2] = _mm256_shuffle_ps(y[i + 1], y[i + 3], 0x44);
		x[i + 3] = _mm256_shuffle_ps(y[i + 1], y[i + 3], 0xee);
	}
	LB_UNROLL
	for (int i = 0; i < 4; i++)
	{
		y[i] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x20);
		y[i + 4] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x31);
	}
	LB_UNROLL
	for (int i = 0; i < 8; i++)
		x[i] = y[i];
}

#define vec_loadu(p) _mm256_loadu_ps(p)
#define vec_storeu(p, v) _mm256_storeu_ps(p, v)

/* the first n floats, 0 < n < 8; memory behind them is not touched */
LB_INLINE __m256
vec_load_part(const float *p, int n)
{
	__m256i		lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n),
													lane));
}

#include "core/lb_scan_tile.h"

/*
 * There is no product of signed bytes, and that of unsigned with signed ones
 * saturates at 16 bits: so |C| times Q with C's sign, at most 2 * 127 * 127.
 */
LB_INLINE __m256i
add_products(__m256i acc, const uint8_t *codes, __m256i q)
{
	__m256i		c = _mm256_xor_si256(
									 _mm256_load_si256((const __m256i *) codes),
									 _mm256_set1_epi8((char) 0x80));
	__m256i		pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(c),
											 _mm256_sign_epi8(q, c));

	return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs,
												   _mm256_set1_epi16(1)));
}

int
lb_scan_codes_avx2(int32_t *places, int32_t *dots, const uint8_t *codes,
				   int n_groups, int n_quads, const int8_t *qcodes,
				   int32_t start, const int32_t *floors)
{
	int			n = 0;

	(void) start;				/* codes have their sign here */
	for (int g = 0; g < n_groups; g++)
	{
		__m256i		acc0 = _mm256_setzero_si256();
		__m256i		acc1 = _mm256_setzero_si256();
		__m256i		below = _mm256_set1_epi32(floors[g] - 1);
		int32_t		values[LB_GROUP];
		unsigned	bits;

		for (int k = 0; k < n_quads; k++, codes += LB_GROUP * 4)
		{
			int32_t		quad;
			__m256i		q;

			memcpy(&quad, qcodes + k * 4, sizeof(quad));
			q = _mm256_set1_epi32(quad);
			acc0 = add_products(acc0, codes, q);
			acc1 = add_products(acc1, codes + 32, q);
		}
		bits = (unsigned) _mm256_movemask_ps(
											 _mm256_castsi256_ps(_mm256_cmpgt_epi32(acc0, below)));
		bits |= (unsigned) _mm256_movemask_ps(
											  _mm256_castsi256_ps(_mm256_cmpgt_epi32(acc1, below))) << 8;
		if (bits == 0)
			continue;
		_mm256_storeu_si256((__m256i *) values, acc0);
		_mm256_storeu_si256((__m256i *) (values + 8), acc1);
		for (; bits != 0; bits &= bits - 1)
		{
			int			lane = __builtin_ctz(bits);

			places[n] = g * LB_GROUP + lane;
			dots[n] = values[lane];
			n++;
		}
	}
	return n;
}

const LbScanKernel lb_scan_avx2 = {
	LB_SCAN_KERNEL_FIELDS,
	.scan_codes = lb_scan_codes_avx2,
};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int lb_scan_avx2_not_for_this_machine;
#endif
