/*
 * lb_scan_avx512.c
 *		The scans for AVX-512; nothing on other machines.
 *
 * The pragma stands before every include; only lb_scan_kernel() may hand out
 * what is compiled here.
 */
#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#define LB_SIMD 512
#include "core/lb_scan_int.h"
#include "core/lb_cpu_simd.h"

LB_INLINE void
transpose_rows(__m512 x[16])
{
	__m512		y[16];

	LB_UNROLL
	for (int i = 0; i < 16; i += 2)
	{
		y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
		y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
	}
	LB_UNROLL
	for (int i = 0; i < 16; i += 4)
	{
		x[i] = _mm512_shuffle_ps(y[i], y[i + 2], 0x44);
		x[i + 1] = _mm512_shuffle_ps(y[i], y[i + 2], 0xee);
		x[i + 2] = _mm512_shuffle_ps(y[i + 1], y[i + 3], 0x44);
		x[i + 3] = _mm512_shuffle_ps(y[i + 1], y[i + 3], 0xee);
	}

	/*
	 * x[4 g + k] has dimensions k, k + 4, k + 8, k + 12 of rows 4 g .. 4 g +
	 * 3
	 */
	LB_UNROLL
	for (int k = 0; k < 4; k++)
	{
		y[k] = _mm512_shuffle_f32x4(x[k], x[k + 4], 0x88);
		y[k + 4] = _mm512_shuffle_f32x4(x[k], x[k + 4], 0xdd);
		y[k + 8] = _mm512_shuffle_f32x4(x[k + 8], x[k + 12], 0x88);
		y[k + 12] = _mm512_shuffle_f32x4(x[k + 8], x[k + 12], 0xdd);
	}
	LB_UNROLL
	for (int k = 0; k < 4; k++)
	{
		x[k] = _mm512_shuffle_f32x4(y[k], y[k + 8], 0x88);
		x[k + 8] = _mm512_shuffle_f32x4(y[k], y[k + 8], 0xdd);
		x[k + 4] = _mm512_shuffle_f32x4(y[k + 4], y[k + 12], 0x88);
		x[k + 12] = _mm512_shuffle_f32x4(y[k + 4], y[k + 12], 0xdd);
	}
}

#define vec_loadu(p) _mm512_loadu_ps(p)
#define vec_storeu(p, v) _mm512_storeu_ps(p, v)
#define vec_load_part(p, n) \
	_mm512_maskz_loadu_ps((__mmask16) ((1u << (n)) - 1), p)

#include "core/lb_scan_tile.h"

const LbScanKernel lb_scan_avx512 = {
	LB_SCAN_KERNEL_FIELDS,
	.scan_codes = lb_scan_codes_avx2,
};

const LbScanKernel lb_scan_vnni = {
	LB_SCAN_KERNEL_FIELDS,
	.scan_codes = lb_scan_codes_vnni,
};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int lb_scan_avx512_not_for_this_machine;
#endif
