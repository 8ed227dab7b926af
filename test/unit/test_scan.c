/*
 * test_scan.c
 *		Exact scoring: every method gives the same bits.
 *
 * The oracle is written from the definition with libm's fmaf(): all scores,
 * sorted.  The index, the batch, the filters and the counts must agree with it
 * bit by bit, on every instruction set, for vectors made to be awkward.
 */
#include <float.h>
#include <math.h>

#include "core/kernels/fused.h"
#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_batch.h"
#include "core/scan/lb_scan_rank.h"
#include "core/scan/lb_scan_tiles.h"
#include "unit.h"

/* the limits that lb_scan_index.c states, and a size well below them */
#define LARGEST_INDEXED 0x1p50f
#define SMALLEST_ASKED 0x1p-50f
#define SMALLEST_SCALED 0x1p-60f
#define FAR_BELOW 0x1p-55f

typedef struct Ranked
{
	float		score;
	int64_t		id;
} Ranked;

/* The calls with their results and sizes as arguments. */
static LbStatus
topk(int64_t *found, int64_t *ids, float *scores, const float *q,
	 const LbCandidates *set, int64_t k, void *scratch, LbCancel cancel)
{
	LbBest		best = {k, found, ids, scores};

	return lb_topk(&best, q, set, scratch, cancel);
}

static LbStatus
topk_batch(int64_t *found, int64_t *ids, float *scores, const float *q,
		   int64_t n, const LbCandidates *set, int64_t k, void *scratch,
		   LbThreads *pool, LbCancel cancel)
{
	LbBest		best = {k, found, ids, scores};

	return lb_topk_batch(&best, q, n, set, scratch, pool, cancel);
}

static float
naive_score(const float *q, const float *c, int D)
{
	float		acc = 0;

	for (int d = 0; d < D; d++)
		acc = fmaf(q[d], c[d], acc);
	if (isnan(acc))
		return -INFINITY;
	return acc == 0 ? 0 : acc;
}

static int
by_rank(const void *a, const void *b)
{
	const Ranked *x = a;
	const Ranked *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* whether j is allowed; *next is the place in the list, from 0 as j goes up */
static bool
allowed(const LbCandidates *set, int64_t j, int64_t *next)
{
	if (set->allow != NULL)
		return set->allow[j / 64] >> (j % 64) & 1;
	if (set->list == NULL)
		return true;
	if (*next == set->n_list || set->list[*next] != j)
		return false;
	(*next)++;
	return true;
}

/* all that are allowed, in ranking order */
static int64_t
naive_rank(Ranked *out, const float *q, const LbCandidates *set)
{
	int64_t		n = 0;
	int64_t		next = 0;

	for (int64_t j = 0; j < set->n; j++)
	{
		if (!allowed(set, j, &next))
			continue;
		out[n].score = naive_score(q, set->c + j * set->D, set->D);
		out[n++].id = j;
	}
	qsort(out, n, sizeof(Ranked), by_rank);
	return n;
}

static bool
same_bits(float a, float b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

static void
check_answer(const Ranked *right, int64_t n_right, int64_t k,
			 const int64_t *ids, const float *scores, int64_t found,
			 const char *what, const LbCandidates *set)
{
	int64_t		wanted = k < n_right ? k : n_right;
	int64_t		wrong = -1;

	CHECK_MSG(found == wanted, "%s: %ld found, %ld wanted", what,
			  (long) found, (long) wanted);
	for (int64_t i = 0; i < wanted && i < found && wrong < 0; i++)
	{
		if (ids[i] != right[i].id || !same_bits(scores[i], right[i].score))
			wrong = i;
	}
	CHECK_MSG(wrong < 0, "%s %s n %ld D %d k %ld: rank %ld is %ld (%a), not "
			  "%ld (%a)", lb_kernels()->name, what, (long) set->n,
			  set->D, (long) k, (long) wrong, (long) ids[wrong], scores[wrong],
			  (long) right[wrong].id, right[wrong].score);
}

enum Kind
{
	NORMAL, TIES, ZEROS, EQUAL_ROWS, HUGE_NORMS, OVERFLOW, TINY, DENORMAL,
	MIXED_NORMS, ONE_LARGE, LARGEST, ANY_BITS, BOUNDARY, NEAR_TIES, ADVERSE,
	N_KINDS
};

/* any finite float, each bit by chance: denormals and huge ones side by side */
static float
any_finite(void)
{
	float		x;

	do
	{
		uint32_t	bits = (uint32_t) (unit_random() >> 32);

		memcpy(&x, &bits, sizeof(x));
	} while (!isfinite(x));
	return x;
}

/* where the index begins and ends to be of use, and the floats beside it */
static float
at_boundary(void)
{
	static const float edges[] = {LARGEST_INDEXED, SMALLEST_ASKED,
		SMALLEST_SCALED, FLT_MIN};
	float		x = edges[unit_below(4)];

	x *= unit_below(3) == 0 ? 127 : 1;
	x = nextafterf(x, unit_below(2) ? INFINITY : 0);
	x = unit_below(2) ? nextafterf(x, 0) : x;
	return unit_below(2) ? x : -x;
}

/* makes awkward rows */
static void
fill(float *x, int64_t n, int D, enum Kind kind)
{
	for (int64_t i = 0; i < n; i++)
	{
		float	   *row = x + i * D;
		float		norm = expf(2 * unit_normal());

		for (int d = 0; d < D; d++)
		{
			float		v = unit_normal();

			switch (kind)
			{
				case NORMAL:
					row[d] = v;
					break;
				case TIES:
					row[d] = (float) (unit_below(3) - 1);
					break;
				case ZEROS:
					row[d] = unit_below(20) == 0 ? v : -0.0f;
					break;
				case EQUAL_ROWS:
					row[d] = i > 0 && unit_below(50) != 0 ? x[d] : v;
					break;
				case HUGE_NORMS:
					row[d] = v * 1e14f;
					break;
				case OVERFLOW:
					row[d] = v * 3e19f;
					break;
				case TINY:
					row[d] = v * 1e-18f;
					break;
				case DENORMAL:
					row[d] = v * 3e-23f;
					break;
				case MIXED_NORMS:
					row[d] = v * norm;
					break;
				case ONE_LARGE:
					row[d] = d == i % D ? 100 * v : 0.01f * v;
					break;
				case LARGEST:
					row[d] = copysignf(FLT_MAX, v) * (unit_below(4) ? 1 :
													  0.5f);
					break;
				case ANY_BITS:
					row[d] = any_finite();
					break;
				case BOUNDARY:
					row[d] = d == i % D ? at_boundary() : v * FAR_BELOW;
					break;
				case NEAR_TIES:
					/* the last bits decide, far below what a code can tell */
					row[d] = i == 0 ? v : x[d];
					if (i > 0 && d == unit_below(D))
						row[d] = nextafterf(row[d], v < 0 ? -2 : 2);
					break;
				default:
					/* components halfway between two codes */
					row[d] = d == 0 ? 127 : (float) unit_below(120) + 0.5f;
					break;
			}
		}
	}
}

typedef struct Data
{
	LbCandidates set;
	float	   *c;
	float	   *q;				/* n_queries rows */
	int			n_queries;
	void	   *index;
	uint64_t   *bits;
	int32_t    *list;
	Ranked	   *right;			/* of the query ranked last */
	int64_t		n_right;
	const float *ranked;
	int64_t    *ids;
	float	   *scores;
} Data;

static void
data_make(Data *x, int64_t n, int D, int n_queries, enum Kind kind)
{
	size_t		bytes = lb_index_bytes(n, D);

	memset(x, 0, sizeof(*x));
	x->n_queries = n_queries;
	x->c = unit_alloc(n * D * sizeof(float));
	x->q = unit_alloc((size_t) n_queries * D * sizeof(float));
	x->index = unit_alloc(bytes);
	x->bits = unit_alloc((n + 63) / 64 * 8);
	x->list = unit_alloc(n * sizeof(int32_t));
	x->right = malloc((n + 1) * sizeof(Ranked));
	x->ids = malloc((n + 1) * n_queries * sizeof(int64_t));
	x->scores = malloc((n + 1) * n_queries * sizeof(float));
	fill(x->c, n, D, kind);
	fill(x->q, n_queries, D, kind);
	x->set.c = x->c;
	x->set.n = n;
	x->set.D = D;
	CHECK(lb_index_build(x->index, x->c, n, D, NULL, NULL) == LB_OK);
	CHECK(lb_index_check(x->index, bytes, n, D));
	CHECK(!lb_index_check(x->index, bytes - 1, n, D));
	CHECK(!lb_index_check(x->index, bytes, n + 1, D));
	CHECK(!lb_index_check(x->index, bytes, n, D + 1));
}

static void
data_free(Data *x)
{
	free(x->c);
	free(x->q);
	free(x->index);
	free(x->bits);
	free(x->list);
	free(x->right);
	free(x->ids);
	free(x->scores);
}

/* each in `one_in` with even chance, as bitmap or as list; 0: no filter */
static void
set_filter(Data *x, int one_in, bool as_list)
{
	x->set.allow = NULL;
	x->set.list = NULL;
	x->set.n_list = 0;
	if (one_in == 0)
		return;
	/* bits behind the last one must not matter */
	memset(x->bits, 0xff, (x->set.n + 63) / 64 * 8);
	for (int64_t j = 0; j < x->set.n; j++)
	{
		if (unit_below(one_in) != 0)
			x->bits[j / 64] &= ~(UINT64_C(1) << j % 64);
		else
			x->list[x->set.n_list++] = (int32_t) j;
	}
	if (as_list)
		x->set.list = x->list;
	else
		x->set.allow = x->bits;
}

static void
check_query(Data *x, const float *q, int64_t k, const char *what)
{
	if (q != NULL)
		x->n_right = naive_rank(x->right, q, &x->set);
	else
		q = x->ranked;			/* another k of the same */
	x->ranked = q;

	for (int with_index = 0; with_index < 2; with_index++)
	{
		void	   *scratch;
		int64_t		found;

		x->set.index = with_index ? x->index : NULL;
		scratch = unit_alloc(lb_topk_bytes(&x->set, k));
		CHECK(topk(&found, x->ids, x->scores, q, &x->set, k, scratch,
				   NULL) == LB_OK);
		check_answer(x->right, x->n_right, k, x->ids, x->scores, found,
					 with_index ? what : "plain", &x->set);
		free(scratch);
	}
}

static void
check_batch(Data *x, int64_t k, int n_threads, bool with_index)
{
	int64_t    *found = malloc(x->n_queries * sizeof(int64_t));
	LbThreads	pool;
	void	   *scratch;

	x->set.index = with_index ? x->index : NULL;
	lb_threads_start(&pool, n_threads);
	scratch = unit_alloc(lb_topk_batch_bytes(&x->set, x->n_queries, k,
											 n_threads));
	CHECK(topk_batch(found, x->ids, x->scores, x->q, x->n_queries, &x->set,
					 k, scratch, &pool, NULL) == LB_OK);
	for (int i = 0; i < x->n_queries; i++)
	{
		int64_t		n_right = naive_rank(x->right, x->q + i * x->set.D,
										 &x->set);

		check_answer(x->right, n_right, k, x->ids + i * k, x->scores + i * k,
					 found[i], with_index ? "batch, index" : "batch",
					 &x->set);
	}
	free(scratch);
	free(found);
	lb_threads_stop(&pool);
}

/* the emulation of the fused operation, where the portable build needs one */
static void
test_fused_step_is_fmaf(void)
{
	for (int i = 0; i < 400000; i++)
	{
		uint32_t	bits[3];
		float		x[3];

		for (int k = 0; k < 3; k++)
		{
			uint32_t	exponent = 0;

			bits[k] = (uint32_t) (unit_random() >> 32);
			switch (i % 4)
			{
				case 0:			/* any float */
					exponent = bits[k] >> 23 & 0xff;
					break;
				case 1:			/* near one another: cancellation */
					exponent = 127 + (uint32_t) unit_below(4);
					break;
				case 2:			/* sums far apart: sticky bits */
					exponent = k < 2 ? 127 : 127 - 20 -
						(uint32_t) unit_below(10);
					bits[k] &= ~(uint32_t) 0xfff;
					break;
				case 3:			/* results in the denormal range */
					exponent = k < 2 ? 63 : (uint32_t) unit_below(3);
					break;
			}
			bits[k] = (bits[k] & 0x807fffffu) | exponent << 23;
			memcpy(&x[k], &bits[k], sizeof(float));
			if (!isfinite(x[k]))
				x[k] = 1;
		}
		if (!same_bits(lb_fused(x[0], x[1], x[2]), fmaf(x[0], x[1], x[2])))
		{
			CHECK_MSG(false, "fmaf(%a, %a, %a) = %a, not %a", x[0], x[1],
					  x[2], fmaf(x[0], x[1], x[2]),
					  lb_fused(x[0], x[1], x[2]));
			return;
		}
	}
	CHECK(true);
}

static void
test_score_is_the_chain(void)
{

	for (UNIT_EACH_SET(set))
	{
		for (int D = 1; D <= 70; D++)
		{
			float		q[70];
			float		c[70];

			for (int kind = 0; kind < N_KINDS; kind++)
			{
				fill(q, 1, D, (enum Kind) kind);
				fill(c, 1, D, (enum Kind) kind);
				CHECK(same_bits(lb_score(q, c, D), naive_score(q, c, D)));
			}
		}
	}
}

static void
test_keys_order_and_return(void)
{
	static const float values[] = {
		-INFINITY, -FLT_MAX, -1, -FLT_MIN, -1e-45f, 0, 1e-45f, FLT_MIN, 1,
		FLT_MAX, INFINITY,
	};
	int			n = (int) (sizeof(values) / sizeof(values[0]));

	for (int i = 0; i < n; i++)
	{
		uint64_t	key = lb_key_make(values[i], 77);

		CHECK(key > LB_KEY_NONE);
		CHECK(same_bits(lb_key_score(key), values[i]));
		CHECK(lb_key_index(key) == 77);
		CHECK(lb_key_make(values[i], 76) > key);
		CHECK(i == 0 || lb_key_make(values[i - 1], 0) < key);
	}
	CHECK(same_bits(lb_score_finish(-0.0f), 0.0f));
	CHECK(same_bits(lb_score_finish(NAN), -INFINITY));
}

static int
by_key(const void *a, const void *b)
{
	uint64_t	x = *(const uint64_t *) a;
	uint64_t	y = *(const uint64_t *) b;

	return x > y ? -1 : x < y;
}

static void
test_select_and_sort(void)
{
	for (int round = 0; round < 400; round++)
	{
		int			n = 1 + unit_below(round < 300 ? 60 : 3000);
		int			k = unit_below(n + 1);
		uint64_t   *keys = unit_alloc(n * sizeof(uint64_t));
		uint64_t   *sorted = unit_alloc(n * sizeof(uint64_t));
		uint64_t	lowest = UINT64_MAX;
		uint64_t	highest = 0;

		for (int i = 0; i < n; i++)
			keys[i] = round % 3 == 0 ? (uint64_t) i :
				round % 3 == 1 ? (uint64_t) (n - i) : unit_random();
		memcpy(sorted, keys, n * sizeof(uint64_t));
		qsort(sorted, n, sizeof(uint64_t), by_key);
		lb_key_select(keys, n, k);
		for (int i = 0; i < n; i++)
		{
			if (i < k)
				lowest = keys[i] < lowest ? keys[i] : lowest;
			else
				highest = keys[i] > highest ? keys[i] : highest;
		}
		CHECK(k == 0 || lowest == sorted[k - 1]);
		CHECK(k == n || highest == sorted[k]);
		lb_key_sort(keys, n);
		CHECK(memcmp(keys, sorted, n * sizeof(uint64_t)) == 0);
		free(keys);
		free(sorted);
	}
}

static void
test_topk_is_the_same_for_all_kinds(void)
{
	static const int widths[] = {1, 2, 3, 7, 16, 31, 32, 33, 64, 100, 300};
	static const int sizes[] = {1, 2, 15, 16, 17, 100, 257, 1000, 4099};

	for (UNIT_EACH_SET(set))
	{
		for (int kind = 0; kind < N_KINDS; kind++)
		{
			for (int s = 0; s < 9; s++)
			{
				int			n = sizes[s];
				int			D = widths[unit_below(11)];
				Data		x;

				data_make(&x, n, D, 2, (enum Kind) kind);
				for (int i = 0; i < x.n_queries; i++)
				{
					const float *q = x.q + i * D;

					check_query(&x, q, 1, "index");
					check_query(&x, NULL, 1 + n / 100, "index");
					check_query(&x, NULL, 1 + n / 5, "index");
					check_query(&x, NULL, n, "index");
					check_query(&x, NULL, n + 1000, "index");
				}
				data_free(&x);
			}
		}
	}
}

/* a query of another make than the candidates; zero queries */
static void
test_topk_of_other_queries(void)
{

	for (UNIT_EACH_SET(set))
	{
		for (int kind = 0; kind < N_KINDS; kind++)
		{
			Data		x;
			float		q[20];

			data_make(&x, 700, 20, 1, (enum Kind) kind);
			for (int other = 0; other < N_KINDS; other++)
			{
				fill(q, 1, 20, (enum Kind) other);
				check_query(&x, q, 30, "other query");
			}
			memset(q, 0, sizeof(q));
			check_query(&x, q, 30, "zero query");
			q[7] = FLT_MAX;
			check_query(&x, q, 30, "largest query");
			q[7] = -1e-45f;
			check_query(&x, q, 30, "smallest query");
			data_free(&x);
		}
	}
}

static void
test_filters(void)
{
	static const int one_in[] = {1, 2, 5, 40, 2000};

	for (UNIT_EACH_SET(set))
	{
		for (int round = 0; round < 2 * N_KINDS; round++)
		{
			Data		x;
			int			n = 1 + unit_below(2000);

			data_make(&x, n, 1 + unit_below(40), 3,
					  (enum Kind) (round % N_KINDS));
			for (int f = 0; f < 5; f++)
			{
				set_filter(&x, one_in[f], round % 2 == 1);
				check_query(&x, x.q, 1 + unit_below(n), "filter");
				check_query(&x, NULL, 5, "filter");
				check_batch(&x, 1 + unit_below(n < 20 ? n : 20), 1,
							round % 4 < 2);
			}
			data_free(&x);
		}
	}
}

static void
test_batch(void)
{
	static const int widths[] = {1, 5, 16, 32, 48, 64, 129};

	for (UNIT_EACH_SET(set))
	{
		for (int round = 0; round < 3 * N_KINDS; round++)
		{
			Data		x;
			int			n = 1 + unit_below(1200);

			data_make(&x, n, widths[round % 7], 1 + unit_below(50),
					  (enum Kind) (round % N_KINDS));
			for (int with_index = 0; with_index < 2; with_index++)
			{
				check_batch(&x, 1 + n / 50, 1 + round % 3, with_index);
				check_batch(&x, 1 + unit_below(n), 1, with_index);
			}
			data_free(&x);
		}
	}
}

/*
 * Every width up to 300, which no tile divides, with sizes that no tile
 * divides either: one query, batches, filters, ranks.
 */
static void
test_every_width(void)
{
	int			n_sets = 0;

	for (UNIT_EACH_SET(set))
	{
		n_sets++;
		for (int D = 1; D <= 300; D++)
		{
			enum Kind	kind = (enum Kind) ((D + n_sets) % N_KINDS);
			int			n = 33 + unit_below(80);
			int32_t		truth = unit_below(n);
			int64_t		count;
			int64_t		right = 0;
			void	   *scratch;
			LbRanking	r;
			Data		x;

			data_make(&x, n, D, 3, kind);
			check_query(&x, x.q, 1 + n / 9, "index");
			check_batch(&x, 1 + unit_below(n / 5), 1, D % 2 == 0);
			set_filter(&x, 1 + unit_below(4), D % 2 == 0);
			check_query(&x, x.q + D, 1 + n / 9, "filter");
			for (int j = 0; j < n; j++)
				right += naive_score(x.q, x.c + (size_t) j * D, D) >
					naive_score(x.q, x.c + (size_t) truth * D, D);
			scratch = unit_alloc(lb_rank_counts_bytes(1, n, D, 1));
			r = (LbRanking)
			{
				.q = x.q, .n_queries = 1, .true_candidate = &truth, .c = x.c,
					.n = n, .D = D
			};
			CHECK(lb_rank_counts(&count, &r, scratch, NULL, NULL) == LB_OK);
			CHECK_MSG(count == right, "%s kind %d n %d D %d: rank %ld, not %ld",
					  set->name, kind, n, D, (long) count,
					  (long) right);
			free(scratch);
			data_free(&x);
		}
	}
}

static void
test_rank_counts(void)
{
	static const int widths[] = {1, 5, 16, 32, 48, 64, 129};

	for (UNIT_EACH_SET(set))
	{
		for (int round = 0; round < 3 * N_KINDS; round++)
		{
			Data		x;
			int			n = 1 + unit_below(1500);
			int			D = widths[round % 7];
			int			n_queries = round % 10 == 0 ? 2100 :
			1 + unit_below(90);
			int64_t    *counts;
			int64_t    *right;
			int32_t    *truth;
			float	   *floor;
			int			n_threads = 1 + round % 3;
			LbThreads	pool;
			LbRanking	r;
			void	   *scratch;

			if (n_queries == 2100)
				n = 1 + unit_below(100);
			data_make(&x, n, D, n_queries, (enum Kind) (round % N_KINDS));
			counts = malloc(n_queries * sizeof(int64_t));
			right = malloc(n_queries * sizeof(int64_t));
			truth = malloc(n_queries * sizeof(int32_t));
			floor = malloc(n_queries * sizeof(float));
			for (int i = 0; i < n_queries; i++)
			{
				truth[i] = unit_below(n);
				floor[i] = naive_score(x.q + i * D, x.c + truth[i] * D, D);
				right[i] = 0;
				for (int j = 0; j < n; j++)
					right[i] += naive_score(x.q + i * D, x.c + j * D, D) >
						floor[i];
			}
			lb_threads_start(&pool, n_threads);
			scratch = unit_alloc(lb_rank_counts_bytes(n_queries, n, D,
													  n_threads));
			r = (LbRanking)
			{
				.q = x.q, .n_queries = n_queries, .true_candidate = truth,
					.c = x.c, .n = n, .D = D
			};
			CHECK(lb_rank_counts(counts, &r, scratch, &pool, NULL) == LB_OK);
			CHECK_MSG(memcmp(counts, right, n_queries * 8) == 0,
					  "%s n %d D %d queries %d kind %d",
					  set->name, n, D, n_queries, round % N_KINDS);
			memset(counts, 1, n_queries * 8);
			r.true_candidate = NULL;
			r.floor = floor;
			CHECK(lb_rank_counts(counts, &r, scratch, &pool, NULL) == LB_OK);
			r.true_candidate = truth;
			r.floor = NULL;
			CHECK(memcmp(counts, right, n_queries * 8) == 0);
			for (int most = 1; most < 300; most *= 3)
			{
				bool		same = true;

				memset(counts, 1, n_queries * 8);
				r.most = most;
				CHECK(lb_rank_counts(counts, &r, scratch, &pool, NULL) ==
					  LB_OK);
				for (int i = 0; i < n_queries; i++)
					same = same && counts[i] ==
						(right[i] < most ? right[i] : most);
				CHECK_MSG(same, "%s n %d D %d queries %d most %d",
						  set->name, n, D, n_queries, most);
			}
			truth[n_queries - 1] = n;
			CHECK(lb_rank_counts(counts, &r, scratch, &pool, NULL) ==
				  LB_BAD_ARGUMENT);
			lb_threads_stop(&pool);
			free(scratch);
			free(counts);
			free(right);
			free(truth);
			free(floor);
			data_free(&x);
		}
	}
}

/* What a visitor has seen of the tiles of a call. */
typedef struct Seen
{
	const Data *x;
	int			n_queries;
	int			n;
	int			D;
	int64_t    *next;			/* (n_queries) the candidate to come */
	int64_t		wrong;
} Seen;

static void
see_tile(void *arg, const LbScoreTile *t)
{
	Seen	   *seen = arg;

	seen->wrong += t->n_queries > LB_TILE_QUERIES;
	for (int i = 0; i < t->n_queries; i++)
	{
		int			query = t->first_query + i;

		seen->wrong += seen->next[query] != t->first_candidate;
		seen->next[query] += t->n_candidates;
		for (int j = 0; j < t->n_candidates; j++)
			seen->wrong += lb_score_finish(t->scores[j * t->stride + i]) !=
				naive_score(seen->x->q + (size_t) query * seen->D,
							seen->x->c + (size_t) (t->first_candidate + j) *
							seen->D, seen->D);
	}
}

static void
test_tiles(void)
{
	static const int widths[] = {1, 5, 16, 48, 129, 1024};

	for (UNIT_EACH_SET(set))
	{
		for (int round = 0; round < 2 * N_KINDS; round++)
		{
			Data		x;
			int			n = round == 0 ? 1 : 1 + unit_below(400);
			int			D = widths[round % 6];
			int			n_queries = 1 + unit_below(150);
			void	   *scratch = unit_alloc(lb_tiles_bytes(n_queries, D));
			Seen		seen = {&x, n_queries, n, D};

			data_make(&x, n, D, n_queries, round % N_KINDS);
			seen.next = unit_alloc(n_queries * sizeof(int64_t));
			memset(seen.next, 0, n_queries * sizeof(int64_t));
			CHECK(lb_visit_tiles(x.q, n_queries, x.c, n, D, scratch, see_tile,
								 &seen, NULL) == LB_OK);
			for (int i = 0; i < n_queries; i++)
				seen.wrong += seen.next[i] != n;
			CHECK_MSG(seen.wrong == 0, "%s n %d D %d queries %d kind %d: %ld",
					  set->name, n, D, n_queries, round % N_KINDS,
					  (long) seen.wrong);
			CHECK(lb_visit_tiles(x.q, n_queries, x.c, n, D, scratch, see_tile,
								 &seen, unit_cancel) == LB_CANCELLED);
			CHECK(lb_visit_tiles(x.q, n_queries, x.c, n, 0, scratch, see_tile,
								 &seen, NULL) == LB_BAD_ARGUMENT);
			free(seen.next);
			free(scratch);
			data_free(&x);
		}
	}
}

static void
test_index_threads_and_bad_values(void)
{
	static const float bad[] = {NAN, INFINITY, -INFINITY};
	size_t		bytes = lb_index_bytes(5003, 12);
	void	   *other = unit_alloc(bytes);
	LbThreads	pool;
	Data		x;

	data_make(&x, 5003, 12, 1, MIXED_NORMS);
	lb_threads_start(&pool, 3);
	CHECK(lb_index_build(other, x.c, 5003, 12, &pool, NULL) == LB_OK);
	CHECK(memcmp(other, x.index, bytes) == 0);
	CHECK(lb_index_build(other, x.c, 5003, 12, &pool, unit_cancel) ==
		  LB_CANCELLED);
	lb_threads_stop(&pool);
	for (int k = 0; k < 3; k++)
	{
		x.c[5003 * 12 - 1] = bad[k];
		CHECK(lb_index_build(other, x.c, 5003, 12, NULL, NULL) ==
			  LB_NOT_FINITE);
	}
	memset(other, 0, 64);
	CHECK(!lb_index_check(other, bytes, 5003, 12));
	free(other);
	data_free(&x);
}

/*
 * The index must be used, not only be right: rows far from the answer are
 * changed after it was built, so that scoring one would put it first.
 */
static void
test_index_reads_few_rows(void)
{

	for (UNIT_EACH_SET(set))
	{
		Data		x;
		int64_t		found;
		void	   *scratch;

		data_make(&x, 20000, 32, 1, NORMAL);
		naive_rank(x.right, x.q, &x.set);
		for (int64_t i = 1000; i < x.set.n; i++)
		{
			for (int d = 0; d < 32; d++)
				x.c[x.right[i].id * 32 + d] = 1000 * x.q[d];
		}
		x.set.index = x.index;
		scratch = unit_alloc(lb_topk_bytes(&x.set, 20));
		CHECK(topk(&found, x.ids, x.scores, x.q, &x.set, 20, scratch,
				   NULL) == LB_OK);
		check_answer(x.right, x.set.n, 20, x.ids, x.scores, found,
					 "few rows", &x.set);
		free(scratch);
		scratch = unit_alloc(lb_topk_batch_bytes(&x.set, 1, 20, 1));
		if (set->scan.fast_codes)
		{
			CHECK(topk_batch(&found, x.ids, x.scores, x.q, 1, &x.set, 20,
							 scratch, NULL, NULL) == LB_OK);
			check_answer(x.right, x.set.n, 20, x.ids, x.scores, found,
						 "few rows, batch", &x.set);
		}
		free(scratch);
		data_free(&x);
	}
}

static void
test_cancel_and_arguments(void)
{
	Data		x;
	int64_t		found;
	int64_t		counts[3];
	int32_t		truth[3] = {0, 1, 2};
	LbRanking	r;
	void	   *scratch;

	data_make(&x, 1000, 8, 3, NORMAL);
	for (int with_index = 0; with_index < 2; with_index++)
	{
		x.set.index = with_index ? x.index : NULL;
		scratch = unit_alloc(lb_topk_bytes(&x.set, 10));
		CHECK(topk(&found, x.ids, x.scores, x.q, &x.set, 10, scratch,
				   unit_cancel) == LB_CANCELLED);
		CHECK(topk(&found, x.ids, x.scores, x.q, &x.set, 0, scratch,
				   NULL) == LB_BAD_ARGUMENT);
		free(scratch);
	}
	scratch = unit_alloc(lb_topk_batch_bytes(&x.set, 3, 10, 1));
	CHECK(topk_batch(counts, x.ids, x.scores, x.q, 3, &x.set, 10, scratch,
					 NULL, unit_cancel) == LB_CANCELLED);
	free(scratch);
	scratch = unit_alloc(lb_rank_counts_bytes(3, 1000, 8, 1));
	r = (LbRanking)
	{
		.q = x.q, .n_queries = 3, .true_candidate = truth, .c = x.c,
			.n = 1000, .D = 8
	};
	CHECK(lb_rank_counts(counts, &r, scratch, NULL, unit_cancel) ==
		  LB_CANCELLED);
	free(scratch);

	/* nothing to rank */
	x.set.n = 0;
	x.set.index = NULL;
	scratch = unit_alloc(lb_topk_bytes(&x.set, 10));
	CHECK(topk(&found, x.ids, x.scores, x.q, &x.set, 10, scratch, NULL) ==
		  LB_OK && found == 0);
	free(scratch);
	data_free(&x);
}

UNIT_MAIN(
	RUN(test_fused_step_is_fmaf);
	RUN(test_score_is_the_chain);
	RUN(test_keys_order_and_return);
	RUN(test_select_and_sort);
	RUN(test_topk_is_the_same_for_all_kinds);
	RUN(test_topk_of_other_queries);
	RUN(test_filters);
	RUN(test_batch);
	RUN(test_every_width);
	RUN(test_rank_counts);
	RUN(test_tiles);
	RUN(test_index_threads_and_bad_values);
	RUN(test_index_reads_few_rows);
	RUN(test_cancel_and_arguments);)
