/*
 * test_neighbour.c
 *		Pairs, rows and sums beside matrices that are filled one by one.
 */
#include <math.h>

#include "core/score/lb_neighbour.h"
#include "unit.h"

#define N 12					/* codes 1 to N - 1; 0 is unknown */
#define LISTENS 200
#define GAP 50

/* J as the definition has it: once a user, pair and distance */
static void
naive_counts(double J[N][N], const int32_t *codes, const int64_t *times,
			 int n)
{
	static bool seen[N][N][LB_NEIGHBOUR_REACH + 1];

	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < n; i++)
		for (int j = i + 1; j < n && j <= i + LB_NEIGHBOUR_REACH; j++)
		{
			int			a = codes[i];
			int			b = codes[j];

			if (a == b || a == 0 || b == 0 || times[j] - times[i] >= GAP ||
				seen[a][b][j - i])
				continue;
			seen[a][b][j - i] = true;
			J[a][b] += 1.0 / (j - i);
			J[b][a] += 1.0 / (j - i);
		}
}

/* Listens of a user, with sessions and unknown recordings. */
static void
make_listens(int32_t *codes, int64_t *times, int n)
{
	int64_t		t = 0;

	for (int i = 0; i < n; i++)
	{
		t += unit_below(5) == 0 ? unit_below(3 * GAP) : unit_below(12);
		times[i] = t;
		codes[i] = unit_below(N);
	}
}

static double J[N][N];
static float sums[N];
static uint64_t entries[N][LISTENS * 10 * LB_NEIGHBOUR_REACH * 2];
static int64_t n_entries[N];

static void
count_all(void)
{
	memset(J, 0, sizeof(J));
	memset(sums, 0, sizeof(sums));
	memset(n_entries, 0, sizeof(n_entries));
	for (int user = 0; user < 10; user++)
	{
		int32_t		codes[LISTENS];
		int64_t		times[LISTENS];
		uint64_t	pairs[LISTENS * LB_NEIGHBOUR_REACH];
		int			n = unit_below(LISTENS + 1);
		int64_t		n_pairs;

		make_listens(codes, times, n);
		naive_counts(J, codes, times, n);
		n_pairs = lb_neighbour_pairs(pairs, codes, times, n, GAP, NULL);
		for (int64_t i = 0; i < n_pairs; i++)
		{
			int32_t		a = lb_pair_from(pairs[i]);
			int32_t		b = lb_pair_to(pairs[i]);
			float		count = lb_pair_count(pairs[i]);

			sums[a] += count;
			sums[b] += count;
			entries[a][n_entries[a]++] = lb_neighbour_entry(b, count);
			entries[b][n_entries[b]++] = lb_neighbour_entry(a, count);
		}
	}
}

static double
naive_weight(int a, int b)
{
	double		sum_a = LB_NEIGHBOUR_SHRINK;
	double		sum_b = LB_NEIGHBOUR_SHRINK;

	for (int k = 0; k < N; k++)
	{
		sum_a += J[a][k];
		sum_b += J[b][k];
	}
	return J[a][b] / sqrt(sum_a * sum_b);
}

static void
test_rows_of_all(void)
{
	count_all();
	for (int a = 1; a < N; a++)
	{
		static int32_t codes[LISTENS * 10 * LB_NEIGHBOUR_REACH * 2];
		static float counts[LISTENS * 10 * LB_NEIGHBOUR_REACH * 2];
		int64_t		n = lb_neighbour_row(codes, counts, entries[a],
										 n_entries[a], NULL);
		int			expected = 0;

		for (int b = 0; b < N; b++)
			expected += J[a][b] > 0;
		CHECK_MSG(n == expected, "%d of %d", (int) n, expected);
		for (int64_t i = 0; i < n; i++)
		{
			CHECK(i == 0 || codes[i] > codes[i - 1]);
			CHECK(fabs(counts[i] - J[a][codes[i]]) < 1e-4);
			CHECK(fabs(lb_neighbour_weight(counts[i], sums[a],
										   sums[codes[i]]) -
					   naive_weight(a, codes[i])) < 1e-5);
		}
	}
}

static void
test_rows_of_the_nearest(void)
{
	count_all();
	for (int a = 1; a < N; a++)
	{
		static int32_t codes[LISTENS * 10 * LB_NEIGHBOUR_REACH * 2];
		static float counts[LISTENS * 10 * LB_NEIGHBOUR_REACH * 2];
		int64_t		all = lb_neighbour_row(codes, counts, entries[a],
										   n_entries[a], NULL);
		int64_t		n = lb_neighbour_keep(codes, counts, all, a, sums, 4,
										  entries[a]);
		bool		kept[N] = {false};
		double		least = 1;

		CHECK_MSG(n == 4, "%d", (int) n);
		for (int64_t i = 0; i < n; i++)
		{
			kept[codes[i]] = true;
			least = fmin(least, naive_weight(a, codes[i]));
		}
		for (int b = 1; b < N; b++)
			CHECK(kept[b] || naive_weight(a, b) <= least + 1e-6);
	}
}

/* a listen at the gap is another session; the same recording is no pair */
static void
test_borders(void)
{
	int32_t		codes[] = {1, 2, 2, 3, 0, 4};
	int64_t		times[] = {0, GAP - 1, GAP, GAP + 1, GAP + 2, GAP + 3};
	uint64_t	pairs[6 * LB_NEIGHBOUR_REACH];
	int64_t		n = lb_neighbour_pairs(pairs, codes, times, 6, GAP, NULL);
	bool		has_1_2 = false;

	for (int64_t i = 0; i < n; i++)
	{
		int32_t		from = lb_pair_from(pairs[i]);
		int32_t		to = lb_pair_to(pairs[i]);

		CHECK(from != to && from > 0 && to > 0);
		CHECK(!(from == 1 && to == 3));
		has_1_2 |= from == 1 && to == 2 && lb_pair_count(pairs[i]) == 1;
	}
	CHECK(has_1_2);
	/* 1-2; 2-3 at 1 and 2; 2-4 at 3; 3-4 at 2 */
	CHECK_MSG(n == 5, "%d", (int) n);
	CHECK(lb_neighbour_pairs(pairs, codes, times, 0, GAP, NULL) == 0);
	CHECK(lb_neighbour_pairs(pairs, codes, times, 1, GAP, NULL) == 0);
}

/* codes up to the largest keep apart */
static void
test_large_codes(void)
{
	int32_t		codes[] = {INT32_MAX, INT32_MAX - 1};
	int64_t		times[] = {0, 1};
	uint64_t	pairs[2 * LB_NEIGHBOUR_REACH];

	CHECK(lb_neighbour_pairs(pairs, codes, times, 2, GAP, NULL) == 1);
	CHECK(lb_pair_from(pairs[0]) == INT32_MAX);
	CHECK(lb_pair_to(pairs[0]) == INT32_MAX - 1);
	CHECK(lb_pair_count(pairs[0]) == 1);
}

static void
test_related(void)
{
	int64_t		offsets[N + 1];
	int32_t		codes[N * N];
	float		weights[N * N];
	LbNeighbours nb = {offsets, codes, weights};
	int64_t		used = 0;

	for (int a = 0; a < N; a++)
	{
		offsets[a] = used;
		for (int b = 1; b < N && a > 0; b++)
			if (b != a && unit_below(3) == 0)
			{
				codes[used] = b;
				weights[used++] = (float) (1 + unit_below(100)) / 100;
			}
	}
	offsets[N] = used;
	for (int round = 0; round < 50; round++)
	{
		int32_t		own[N];
		float		plays[N];
		double		expected[N] = {0};
		bool		related[N] = {false};
		int			n = 0;
		int			n_related = 0;
		int			n_sources;
		int64_t		most;
		LbRelated	t;
		void	   *block;

		for (int a = N - 1; a >= 1; a--)
			if (unit_below(3) == 0)
			{
				own[n] = a;
				plays[n++] = (float) (1 + unit_below(20));
			}
		n_sources = n > 0 ? unit_below(n + 1) : 0;
		for (int i = 0; i < n; i++)
		{
			related[own[i]] = true;
			for (int64_t k = offsets[own[i]];
				 i < n_sources && k < offsets[own[i] + 1]; k++)
			{
				related[codes[k]] = true;
				expected[codes[k]] += weights[k] * log1p(plays[i]);
			}
		}
		most = lb_related_most(&nb, own, n, n_sources);
		block = malloc(lb_related_bytes(most));
		lb_related_place(&t, most, block);
		lb_related_gather(&t, &nb, own, plays, n, n_sources);
		for (int a = 1; a < N; a++)
		{
			int64_t		at = lb_related_find(&t, a);

			n_related += related[a];
			CHECK((at >= 0) == related[a]);
			CHECK(at < 0 || t.codes[at] == a);
			CHECK(at < 0 || fabs(t.sums[at] - expected[a]) < 1e-9);
		}
		CHECK(t.n == n_related);
		for (int i = 0; i < n; i++)
			CHECK(t.codes[i] == own[i]);
		free(block);
	}
}

UNIT_MAIN(
		  RUN(test_rows_of_all);
		  RUN(test_rows_of_the_nearest);
		  RUN(test_borders);
		  RUN(test_large_codes);
		  RUN(test_related);
)
