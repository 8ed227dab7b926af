/*
 * lb_scan_vnni.c
 *		The scans for AVX-512 VNNI: the dot products of the int8 index; nothing on other machines.
 *
 * The pragma stands before every include; only lb_scan_kernel() may hand out
 * what is compiled here.
 */
#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#endif

#include <immintrin.h>

#include "core/lb_scan_int.h"

static inline __attribute__((always_inline)) int
note(int32_t *places, int32_t *dots, __m512i acc, int32_t floor, int place)
{
	__mmask16	hit = _mm512_cmpge_epi32_mask(acc, _mm512_set1_epi32(floor));
	__m512i		lane;

	if (hit == 0)
		return 0;
	lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
							 15);
	_mm512_mask_compressstoreu_epi32(dots, hit, acc);
	_mm512_mask_compressstoreu_epi32(places, hit,
									 _mm512_add_epi32(lane,
													  _mm512_set1_epi32(place)));
	return __builtin_popcount(hit);
}

/* four groups at a time: one product takes five cycles to come out */
int
lb_scan_codes_vnni(int32_t *places, int32_t *dots, const uint8_t *codes,
				   int n_groups, int n_quads, const int8_t *qcodes,
				   int32_t start, const int32_t *floors)
{
	size_t		stride = (size_t) n_quads * LB_GROUP * 4;
	int			n = 0;
	int			g = 0;

	for (; g + 4 <= n_groups; g += 4, codes += 4 * stride)
	{
		__m512i		acc[4];

		for (int i = 0; i < 4; i++)
			acc[i] = _mm512_set1_epi32(start);
		for (int k = 0; k < n_quads; k++)
		{
			const uint8_t *c = codes + (size_t) k * LB_GROUP * 4;
			int32_t		quad;
			__m512i		q;

			memcpy(&quad, qcodes + k * 4, sizeof(quad));
			q = _mm512_set1_epi32(quad);
			for (int i = 0; i < 4; i++)
				acc[i] = _mm512_dpbusd_epi32(
											 acc[i], _mm512_load_si512(c + i * stride), q);
		}
		for (int i = 0; i < 4; i++)
			n += note(places + n, dots + n, acc[i], floors[g + i],
					  (g + i) * LB_GROUP);
	}
	for (; g < n_groups; g++, codes += stride)
	{
		__m512i		acc = _mm512_set1_epi32(start);

		for (int k = 0; k < n_quads; k++)
		{
			int32_t		quad;

			memcpy(&quad, qcodes + k * 4, sizeof(quad));
			acc = _mm512_dpbusd_epi32(
									  acc, _mm512_load_si512(codes + (size_t) k * LB_GROUP * 4),
									  _mm512_set1_epi32(quad));
		}
		n += note(places + n, dots + n, acc, floors[g], g * LB_GROUP);
	}
	return n;
}

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int lb_scan_vnni_not_for_this_machine;
#endif
