/*
 * test_hostile.c
 *		Tables and image files as an attacker might have made
 *		them: blocks that are no index, and arrays of numbers that no training
 *		writes, under a checksum that is right.
 *
 * src/pg checks sizes, places and checksums before it calls the core, but
 * nothing checks that floats make sense.  So with arbitrary floats the core
 * may refuse (LB_NOT_FINITE) or answer.  Its answer must be in range, without
 * duplicates and the same with and without an index, and sanitizers must find
 * no access to foreign memory.  The sequence is fixed, so every run does the
 * same.
 */
#include "core/model/lb_foldin.h"
#include "core/score/lb_neighbour.h"
#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_top.h"
#include "unit.h"

static LbStatus
topk(int64_t *found, int64_t *ids, float *scores, const float *q,
	 const LbCandidates *set, int64_t k, void *scratch, LbCancel cancel)
{
	LbBest		best = {k, found, ids, scores};

	return lb_topk(&best, q, set, scratch, cancel);
}

#define MAX_N 400
#define MAX_D 40
#define ROUNDS 400

/* arbitrary bits, or a value at the edge of arithmetic */
static float
odd_float(bool finite)
{
	static const float turns[] = {0, -0.0f, 1, -1, 3.4028235e38f,
		-3.4028235e38f, 1e-45f, -1e-45f, 1.1754944e-38f, 1e19f, -1e19f, 1e-20f,
	16777216, 127.5f, 1.0000001f, INFINITY, -INFINITY, NAN};
	float		x;

	do
	{
		uint32_t	bits = (uint32_t) unit_random();

		if (unit_below(2) == 0)
			x = turns[unit_below(sizeof(turns) / sizeof(turns[0]))];
		else
			memcpy(&x, &bits, sizeof(x));
	} while (finite && !isfinite(x));
	return x;
}

static void
fill(float *x, int n, int kind)
{
	for (int i = 0; i < n; i++)
		switch (kind)
		{
			case 0:				/* as in a model, with a few odd ones */
				x[i] = unit_below(50) == 0 ? odd_float(true) :
					(float) (unit_below(2001) - 1000) / 1000;
				break;
			case 1:				/* all odd */
				x[i] = odd_float(true);
				break;
			case 2:				/* all alike */
				x[i] = i == 0 ? odd_float(true) : x[0];
				break;
			default:			/* not even numbers */
				x[i] = odd_float(false);
				break;
		}
}

static bool
all_finite(const float *x, int n)
{
	for (int i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

/* the answer is valid: ids in range, distinct, in ranking order */
static void
check_answer(const int64_t *ids, const float *scores, int64_t found,
			 int64_t most, int n)
{
	bool		seen[MAX_N] = {false};

	CHECK(found >= 0 && found <= most);
	for (int64_t i = 0; i < found && i < most; i++)
	{
		CHECK_MSG(ids[i] >= 0 && ids[i] < n, "%d", (int) ids[i]);
		if (ids[i] < 0 || ids[i] >= n)
			continue;
		CHECK(!seen[ids[i]]);
		seen[ids[i]] = true;
		CHECK(!isnan(scores[i]));
		if (i > 0)
			CHECK(scores[i - 1] > scores[i] ||
				  (scores[i - 1] == scores[i] && ids[i - 1] < ids[i]));
	}
}

/* any floats as vectors: with the index as without it */
static void
test_vectors(void)
{
	int			refused = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		int			n = 1 + unit_below(MAX_N);
		int			D = 1 + unit_below(MAX_D);
		int64_t		k = 1 + unit_below(n);
		float	   *c = unit_alloc((size_t) n * D * sizeof(float));
		float	   *q = unit_alloc(D * sizeof(float));
		void	   *index = unit_alloc(lb_index_bytes(n, D));
		LbCandidates set = {.c = c, .n = n, .D = D};
		int64_t		ids[2][MAX_N];
		float		scores[2][MAX_N];
		int64_t		found[2] = {0, 0};
		int			kind = round % 4;
		LbStatus	status;

		fill(c, n * D, kind);
		fill(q, D, kind == 3 ? 1 : kind);
		status = lb_index_build(index, c, n, D, NULL, NULL);
		if (!all_finite(c, n * D))
		{
			CHECK(status == LB_NOT_FINITE);
			refused++;
		}
		else
		{
			CHECK(status == LB_OK);
			CHECK(lb_index_check(index, lb_index_bytes(n, D), n, D));
			for (int with = 0; with < 2; with++)
			{
				void	   *scratch;

				set.index = with ? index : NULL;
				scratch = unit_alloc(lb_topk_bytes(&set, k));
				CHECK(topk(&found[with], ids[with], scores[with], q, &set,
						   k, scratch, NULL) == LB_OK);
				free(scratch);
				check_answer(ids[with], scores[with], found[with], k, n);
			}
			CHECK(found[0] == k && found[1] == k);
			CHECK(memcmp(ids[0], ids[1], k * sizeof(int64_t)) == 0);
			CHECK(memcmp(scores[0], scores[1], k * sizeof(float)) == 0);
		}
		free(c);
		free(q);
		free(index);
	}
	CHECK(refused > 0);
}

/* rejects bytes that are no index of that shape, of any length */
static void
test_no_index(void)
{
	for (int round = 0; round < ROUNDS; round++)
	{
		int			n = 1 + unit_below(200);
		int			D = 1 + unit_below(MAX_D);
		size_t		bytes = lb_index_bytes(n, D);
		float	   *c = unit_alloc((size_t) n * D * sizeof(float));
		char	   *index = unit_alloc(bytes);
		char	   *cut;
		size_t		left = (size_t) unit_below((int) bytes);

		fill(c, n * D, 0);
		CHECK(lb_index_build(index, c, n, D, NULL, NULL) == LB_OK);
		CHECK(lb_index_check(index, bytes, n, D));
		CHECK(!lb_index_check(index, bytes, n + 1, D));
		CHECK(!lb_index_check(index, bytes, n, D + 1));
		CHECK(!lb_index_check(index, bytes - 1, n, D));
		/* a cut index must not be read beyond its end */
		cut = malloc(left ? left : 1);
		memcpy(cut, index, left);
		CHECK(!lb_index_check(cut, left, n, D));
		free(cut);
		for (size_t i = 0; i < bytes; i++)
			index[i] = (char) unit_random();
		CHECK(!lb_index_check(index, bytes, n, D));
		free(c);
		free(index);
	}
}

/* rows of neighbours with any weights, lists with any plays */
static void
test_neighbours(void)
{
	for (int round = 0; round < ROUNDS; round++)
	{
		int			n = 2 + unit_below(60);
		int64_t    *offsets = unit_alloc((n + 2) * sizeof(int64_t));
		int32_t    *codes;
		float	   *weights;
		int32_t		own[64];
		float		plays[64];
		int			n_own = unit_below(n) + 1;
		int64_t		n_sources = unit_below(n_own + 1);
		int64_t		most;
		LbNeighbours nb;
		LbRelated	t;
		void	   *block;

		offsets[0] = offsets[1] = 0;
		for (int r = 1; r <= n; r++)
			offsets[r + 1] = offsets[r] + unit_below(5);
		codes = unit_alloc(offsets[n + 1] * sizeof(int32_t));
		weights = unit_alloc(offsets[n + 1] * sizeof(float));
		for (int64_t i = 0; i < offsets[n + 1]; i++)
		{
			/* doubled in a row, and the row's own, as no training has them */
			codes[i] = 1 + unit_below(n);
			weights[i] = odd_float(false);
		}
		for (int i = 0; i < n_own; i++)
		{
			own[i] = i + 1;
			plays[i] = odd_float(false);
		}
		nb = (LbNeighbours)
		{
			offsets, codes, weights
		};
		most = lb_related_most(&nb, own, n_own, n_sources);
		block = unit_alloc(lb_related_bytes(most));
		lb_related_place(&t, most, block);
		lb_related_gather(&t, &nb, own, plays, n_own, n_sources);
		CHECK(t.n >= n_own && t.n <= most);
		for (int64_t i = 0; i < t.n; i++)
		{
			CHECK(t.codes[i] >= 1 && t.codes[i] <= n);
			CHECK(lb_related_find(&t, t.codes[i]) == i);
		}
		CHECK(lb_related_find(&t, n + 1) == -1);
		CHECK(lb_related_find(&t, INT32_MAX) == -1);
		free(block);
		free(offsets);
		free(codes);
		free(weights);
	}
}

/* a row's entries with any counts and sums, as a warm start takes them */
static void
test_rows(void)
{
	for (int round = 0; round < ROUNDS; round++)
	{
		int			n = unit_below(100);
		int			N = 1 + unit_below(30);
		int			most = unit_below(12);
		uint64_t   *entries = unit_alloc(n * sizeof(uint64_t));
		int32_t    *codes = unit_alloc(n * sizeof(int32_t));
		float	   *counts = unit_alloc(n * sizeof(float));
		float		sums[32];
		int64_t		kept;

		for (int i = 0; i <= N; i++)
			sums[i] = odd_float(false);
		for (int i = 0; i < n; i++)
			entries[i] = lb_neighbour_entry(1 + unit_below(N),
											odd_float(false));
		most = most == 0 ? 1 : most;
		if (n > 24)
			CHECK(lb_neighbour_row(codes, counts, entries, n,
								   unit_cancel) == -1);
		kept = lb_neighbour_row(codes, counts, entries, n, NULL);
		kept = lb_neighbour_keep(codes, counts, kept, 1, sums, most, entries);
		CHECK(kept <= most);
		CHECK(kept >= 0 && kept <= n && kept <= N);
		for (int64_t i = 0; i < kept; i++)
			CHECK(codes[i] >= 1 && codes[i] <= N &&
				  (i == 0 || codes[i - 1] < codes[i]));
		free(entries);
		free(codes);
		free(counts);
	}
}

/* a new user among arbitrary vectors: finite numbers, or no answer */
static void
test_fold_in(void)
{
	for (int round = 0; round < ROUNDS / 4; round++)
	{
		int			n = 4 + unit_below(40);
		int			D = 1 + unit_below(16);
		float	   *c = unit_alloc((size_t) n * D * sizeof(float));
		float	   *mean = unit_alloc(D * sizeof(float));
		float	   *deviation = unit_alloc(D * sizeof(float));
		float	   *q = unit_alloc(D * sizeof(float));
		int32_t		ids[64];
		float		bias[64];
		LbFoldIn	f = {.c = c, .D = D, .positives = ids, .n_positives = 2,
			.negatives = ids, .bias = bias, .n_negatives = n, .mean = mean,
		.deviation = deviation, .scale = round % 2 ? 10 : odd_float(true)};
		void	   *scratch = unit_alloc(lb_fold_in_bytes(&f));

		fill(c, n * D, round % 4);
		fill(mean, D, round % 4);
		fill(bias, n, round % 4);
		for (int d = 0; d < D; d++)
			deviation[d] = fabsf(odd_float(true)) + 1e-6f;
		for (int i = 0; i < n; i++)
			ids[i] = i;
		if (lb_fold_in(q, &f, scratch, NULL) == LB_OK)
			CHECK(all_finite(q, D));
		else
			CHECK(true);
		free(c);
		free(mean);
		free(deviation);
		free(q);
		free(scratch);
	}
}

UNIT_MAIN(
		  RUN(test_vectors);
		  RUN(test_no_index);
		  RUN(test_neighbours);
		  RUN(test_rows);
		  RUN(test_fold_in);
)
