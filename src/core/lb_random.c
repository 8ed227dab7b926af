/*
 * lb_random.c
 *		xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64.
 *
 * The server's own generator changed with PostgreSQL 15 and libc's differs
 * between systems; a model must be reproducible from its seed on all of them.
 * Streams keep consumers apart: drawing one more initial weight must not
 * change the order in which listens are shuffled.
 */
#include "core/lb_random.h"

static uint64_t
splitmix(uint64_t *x)
{
	uint64_t	z = (*x += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void
lb_random_seed(LbRandom *rng, uint64_t seed, uint64_t stream)
{
	uint64_t	x = seed;

	x = splitmix(&x) ^ (stream * UINT64_C(0xd1342543de82ef95));
	for (int i = 0; i < 4; i++)
		rng->s[i] = splitmix(&x);
}

uint64_t
lb_random_next(LbRandom *rng)
{
	uint64_t   *s = rng->s;
	uint64_t	m = s[1] * 5;
	uint64_t	result = ((m << 7) | (m >> 57)) * 9;
	uint64_t	t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return result;
}

/* Computes the upper and lower half of a 128-bit product. */
static uint64_t
multiply(uint64_t *low, uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__)
	unsigned __int128 product = (unsigned __int128) a * b;

	*low = (uint64_t) product;
	return (uint64_t) (product >> 64);
#else
	/* for 32-bit machines: products of halves, as on paper */
	uint64_t	a0 = (uint32_t) a;
	uint64_t	a1 = a >> 32;
	uint64_t	b0 = (uint32_t) b;
	uint64_t	b1 = b >> 32;
	uint64_t	middle = a1 * b0 + (a0 * b0 >> 32);
	uint64_t	other = a0 * b1 + (uint32_t) middle;

	*low = a * b;
	return a1 * b1 + (middle >> 32) + (other >> 32);
#endif
}

/*
 * Returns an integer from 0 to n - 1, n > 0, without modulo bias (Lemire,
 * 2019).
 */
uint64_t
lb_random_below(LbRandom *rng, uint64_t n)
{
	uint64_t	low;
	uint64_t	high = multiply(&low, lb_random_next(rng), n);

	if (low < n)
	{
		uint64_t	least = -n % n;

		while (low < least)
			high = multiply(&low, lb_random_next(rng), n);
	}
	return high;
}

/* Returns a float from low to high; only rounding gives high itself. */
float
lb_random_uniform(LbRandom *rng, float low, float high)
{
	float		u = (float) (lb_random_next(rng) >> 40) * 0x1p-24f;

	return low + (high - low) * u;
}

/*
 * Shuffles from the end (Fisher and Yates): settles the items from high - 1
 * down to low.  Calls for adjacent ranges from n down to 0 make one shuffle.
 */
void
lb_random_shuffle_part(LbRandom *rng, uint32_t *items, int64_t high,
					   int64_t low)
{
	for (int64_t i = high - 1; i >= low && i > 0; i--)
	{
		int64_t		j = (int64_t) lb_random_below(rng, (uint64_t) i + 1);
		uint32_t	held = items[i];

		items[i] = items[j];
		items[j] = held;
	}
}

void
lb_random_shuffle(LbRandom *rng, uint32_t *items, int64_t n)
{
	lb_random_shuffle_part(rng, items, n, 0);
}
