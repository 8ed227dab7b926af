/*
 * codes_avx2.h
 *		The int8 index's dot products with AVX2, for the sets that have it but
 *		no better instruction.
 */
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

static int
scan_codes(int32_t *places, int32_t *dots, const uint8_t *codes, int n_groups,
		   int n_quads, const int8_t *qcodes, int32_t start,
		   const int32_t *floors)
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
