/*
 * test_split.c
 *		The random source, and tf.data's shuffle buffer.
 */
#include "core/model/lb_split.h"
#include "unit.h"

static void
test_random(void)
{
	LbRandom	a;
	LbRandom	b;
	int			counts[7] = {0};

	lb_random_seed(&a, 42, 1);
	lb_random_seed(&b, 42, 1);
	for (int i = 0; i < 100; i++)
		CHECK(lb_random_next(&a) == lb_random_next(&b));
	lb_random_seed(&b, 42, 2);
	CHECK(lb_random_next(&a) != lb_random_next(&b));
	/* written down: a model must not change because a library did */
	lb_random_seed(&a, 42, 1);
	CHECK(lb_random_next(&a) == UINT64_C(0xc2faaa11a6d3ad7d));
	for (int i = 0; i < 70000; i++)
		counts[lb_random_below(&a, 7)]++;
	for (int i = 0; i < 7; i++)
		CHECK_MSG(counts[i] > 9600 && counts[i] < 10400, "%d", counts[i]);
	for (int i = 0; i < 1000; i++)
	{
		float		x = lb_random_uniform(&a, -0.05f, 0.05f);

		CHECK(x >= -0.05f && x < 0.05f);
	}
}

/* The k-th output is one of the first size + k rows, and none comes twice. */
static void
check_buffer(int64_t n, int64_t n_out, int64_t size)
{
	uint32_t   *out = unit_alloc(n_out * sizeof(uint32_t));
	uint32_t   *buffer = unit_alloc(size * sizeof(uint32_t));
	char	   *seen = unit_alloc(n);
	LbRandom	rng;
	int64_t		moved = 0;

	memset(seen, 0, n);
	lb_random_seed(&rng, 7, 1);
	lb_shuffle_buffer(out, n_out, n, buffer, size, &rng);
	for (int64_t i = 0; i < n_out; i++)
	{
		CHECK(out[i] < n && out[i] < size + i);
		if (out[i] < n)
			CHECK(!seen[out[i]]++);
		moved += out[i] != i;
	}
	CHECK(size == 1 ? moved == 0 : moved > n_out / 2);
	free(out);
	free(buffer);
	free(seen);
}

static void
test_shuffle_buffer(void)
{
	check_buffer(1000, 500, 400);
	check_buffer(1000, 1000, 400);
	check_buffer(300, 300, 400);
	check_buffer(50, 50, 1);
}

static void
test_shuffle(void)
{
	uint32_t	items[1000];
	LbRandom	rng;
	int64_t		sum = 0;
	int			fixed = 0;

	for (int i = 0; i < 1000; i++)
		items[i] = i;
	lb_random_seed(&rng, 1, 1);
	lb_random_shuffle(&rng, items, 1000);
	for (int i = 0; i < 1000; i++)
	{
		sum += items[i];
		fixed += items[i] == (uint32_t) i;
	}
	CHECK(sum == 999 * 1000 / 2);
	CHECK(fixed < 10);
}

UNIT_MAIN(RUN(test_random);
		  RUN(test_shuffle_buffer);
		  RUN(test_shuffle);)
