/*
 * test_moment.c
 *		Transitions, their rows, and the parts of a moment's scores, beside
 *		the definitions computed with full matrices.
 */
#include <math.h>

#include "core/score/lb_moment.h"
#include "unit.h"

#define N 14					/* codes 1 to N - 1; 0 is unknown */
#define PLAYS 300
#define USERS 6
#define REACH LB_FOLLOW_REACH
#define DAY INT64_C(86400000000)

static LbPlay plays[USERS][PLAYS];
static float C[REACH][N][N];
static float S[N][N];			/* neighbours' weights, symmetric */

/* the same as rows */
static int64_t follow_offsets[N + 1];
static int32_t follow_codes[N * N];
static float follow_counts[N * N * REACH];
static float follow_sums[N * REACH];
static int64_t near_offsets[N + 1];
static int32_t near_codes[N * N];
static float near_weights[N * N];

/* Plays with sessions, unknown recordings and equal times. */
static void
make_plays(LbPlay *p, int n)
{
	int64_t		t = INT64_C(1000000) * DAY / 1000;

	for (int i = 0; i < n; i++)
	{
		t += unit_below(6) == 0 ? unit_below(40) * DAY / 8 :
			unit_below(4) * INT64_C(60000000);
		p[i] = (LbPlay)
		{
			unit_below(N), t
		};
		/* habits: sometimes the same as three plays before */
		if (i > 4 && unit_below(3) > 0)
			p[i].code = p[i - 4].code;
	}
}

static bool
is_transition(const LbPlay *a, const LbPlay *b)
{
	return a->code > 0 && b->code > 0 && b->time > a->time &&
		b->time - a->time < LB_FOLLOW_GAP;
}

static void
make_model(LbMomentModel *model)
{
	int64_t		n = 0;

	memset(C, 0, sizeof(C));
	for (int u = 0; u < USERS; u++)
	{
		make_plays(plays[u], PLAYS);
		for (int i = 0; i < PLAYS; i++)
			for (int d = 1; d <= REACH && i + d < PLAYS; d++)
			{
				if (plays[u][i + d].time - plays[u][i].time >= LB_FOLLOW_GAP)
					break;
				if (is_transition(&plays[u][i], &plays[u][i + d]))
					C[d - 1][plays[u][i].code][plays[u][i + d].code]++;
			}
	}
	memset(follow_sums, 0, sizeof(follow_sums));
	for (int a = 0; a < N; a++)
	{
		follow_offsets[a] = n;
		for (int b = 1; b < N && a > 0; b++)
		{
			bool		any = false;

			for (int d = 0; d < REACH; d++)
			{
				any = any || C[d][a][b] > 0;
				follow_sums[a * REACH + d] += C[d][a][b];
				follow_counts[n * REACH + d] = C[d][a][b];
			}
			if (any)
				follow_codes[n++] = b;
		}
	}
	follow_offsets[N] = n;
	n = 0;
	for (int a = 1; a < N; a++)
		for (int b = 1; b < a; b++)
			S[a][b] = S[b][a] = unit_below(3) == 0 ?
				(float) unit_below(100) / 100 : 0;
	for (int a = 0; a < N; a++)
	{
		near_offsets[a] = n;
		for (int b = 1; b < N && a > 0; b++)
			if (S[a][b] > 0)
			{
				near_codes[n] = b;
				near_weights[n++] = S[a][b];
			}
	}
	near_offsets[N] = n;
	model->neighbours = (LbNeighbours)
	{
		near_offsets, near_codes, near_weights
	};
	model->follow = (LbFollow)
	{
		follow_offsets, follow_codes, follow_counts,
			follow_sums
	};
}

static void
test_rows(void)
{
	LbMomentModel model;
	uint64_t   *all = unit_alloc(USERS * PLAYS * REACH * sizeof(uint64_t));
	int64_t		n = 0;

	make_model(&model);
	for (int u = 0; u < USERS; u++)
		n += lb_follow_transitions(all + n, plays[u], PLAYS);
	for (int32_t a = 1; a < N; a++)
	{
		uint64_t	row[USERS * PLAYS * REACH];
		int32_t		codes[USERS * PLAYS * REACH];
		float		counts[USERS * PLAYS * REACH * REACH];
		int64_t		length = 0;
		int64_t		found;
		int64_t		expected = follow_offsets[a + 1] - follow_offsets[a];

		for (int64_t i = 0; i < n; i++)
			if (lb_transition_from(all[i]) == a)
				row[length++] = all[i];
		found = lb_follow_row(codes, counts, row, length, NULL);
		CHECK_MSG(found == expected, "row %d: %d", a, (int) found);
		for (int64_t k = 0; k < found && k < expected; k++)
		{
			CHECK(codes[k] == follow_codes[follow_offsets[a] + k]);
			for (int d = 0; d < REACH; d++)
				CHECK(counts[k * REACH + d] ==
					  follow_counts[(follow_offsets[a] + k) * REACH + d]);
		}
		/* a bounded row keeps the most frequent, by code */
		if (expected > 3)
		{
			float		least = INFINITY;
			int			above = 0;

			length = 0;
			for (int64_t i = 0; i < n; i++)
				if (lb_transition_from(all[i]) == a)
					row[length++] = all[i];
			found = lb_follow_row(codes, counts, row, length, NULL);
			found = lb_follow_keep(codes, counts, found, 3, row);
			CHECK(found == 3 && codes[0] < codes[1] && codes[1] < codes[2]);
			for (int k = 0; k < 3; k++)
				least = fminf(least, counts[k * REACH] +
							  counts[k * REACH + 1] / 2 +
							  counts[k * REACH + 2] / 3);
			for (int b = 1; b < N; b++)
				above += C[0][a][b] + C[1][a][b] / 2 + C[2][a][b] / 3 >
					least * 1.00001f;
			CHECK_MSG(above <= 2, "%d above", above);
		}
		length = 0;
		for (int64_t i = 0; i < n; i++)
			if (lb_transition_from(all[i]) == a)
				row[length++] = all[i];
		CHECK(length < 2 ||
			  lb_follow_row(codes, counts, row, length, unit_cancel) == -1);
	}
	free(all);
}

static double
l(double x)
{
	return log(1 + x / 0.01);
}

/* The values of one recording as lb_moment.h defines them. */
static void
naive_values(double *values, const LbPlay *p, int n, int64_t now, int b,
			 double dot, bool *played)
{
	double		w = 0;
	double		near = 0;
	double		beside = 0;
	double		counts[N] = {0};
	double		W = 0;
	double		r_1 = 0;
	bool		in_hour = false;
	double		since = 0;
	double		place = 0;
	double		clock = 0;
	double		at_clock = 1;
	double		known = 6;

	memset(values, 0, LB_MOMENT_PARTS * sizeof(double));
	for (int i = 0; i < n; i++)
	{
		double		hours = fmod((double) (now - p[i].time), (double) DAY) /
			(double) DAY * 24;
		bool		at = now > p[i].time && (hours < 2 || hours > 22);

		counts[p[i].code]++;
		known += p[i].code > 0;
		at_clock += p[i].code > 0 && at;
		if (p[i].code == b)
		{
			since = n - 1 - i;
			place += 1.0 / (n - i);
			clock += at;
		}
		W += p[i].code > 0 ? 1 / (1 + (double) (now - p[i].time) / (double) DAY) : 0;
		if (p[i].code == b)
		{
			w += 1 / (1 + (double) (now - p[i].time) / (double) DAY);
			in_hour = in_hour || now - p[i].time < LB_FOLLOW_GAP;
		}
	}
	for (int a = 1; a < N; a++)
		if (counts[a] > 0)
			near += log(1 + counts[a]) * S[a][b];
	for (int j = 0; j < 8 && j < n; j++)
		beside += pow(0.8, j) * S[p[n - 1 - j].code][b];
	*played = w > 0;
	values[LB_MOMENT_TASTE] = dot;
	values[LB_MOMENT_NEAR] = sqrt(near);
	values[LB_MOMENT_BESIDE] = l(beside);
	for (int d = 1; d <= REACH; d++)
	{
		double		own = 0;
		double		sum = 0;
		double		all = 0;
		double		total = 0;

		if (d <= n)
		{
			int			a = p[n - d].code;

			for (int c = 1; c < N; c++)
				total += a > 0 ? C[d - 1][a][c] : 0;
			all = a > 0 ? C[d - 1][a][b] / (total + 20) : 0;
			for (int q = d; q < n; q++)
			{
				double		x;

				if (p[q - d].code != a || !is_transition(&p[q - d], &p[q]))
					continue;
				x = 1 / sqrt(1 + (double) (now - p[q].time) / (double) DAY);
				for (int j = 2; d == 1 && j <= 4 && q - j >= 0; j++)
				{
					if (p[q - j].code != p[n - j].code)
						break;
					x *= 5;
				}
				sum += x;
				own += p[q].code == b ? x : 0;
			}
		}
		values[LB_MOMENT_FOLLOW + d - 1] = l((own + 2 * all) / (sum + 2));
		if (d == 1)
			r_1 = (own + 2 * all) / (sum + 2);
	}
	values[LB_MOMENT_OWN] = w > 0;
	values[LB_MOMENT_RECENCY] = l(w);
	values[LB_MOMENT_HOUR] = in_hour;
	if (w > 0)
	{
		double		q = at_clock / known;

		values[LB_MOMENT_PLAYS] = log(1 + counts[b]);
		values[LB_MOMENT_SINCE] = log(1 + since);
		values[LB_MOMENT_SINCE_2] = log(1 + since) * log(1 + since);
		values[LB_MOMENT_PLACE] = l(place);
		values[LB_MOMENT_CLOCK] = log((clock + q) / ((counts[b] + 1) * q));
	}
	values[LB_MOMENT_MIX] = l(((w > 0 ? w / W : 0) + r_1) / 2);
}

static bool
is_near(double a, double b)
{
	return fabs(a - b) <= 2e-5 * (1 + fabs(b));
}

/* The same moment in a block for all codes, after another one, bit by bit. */
static void
check_dense(const LbMoment *m, const LbMomentModel *model, const LbPlay *p,
			int n, int64_t now)
{
	void	   *block = unit_alloc(lb_moment_dense_bytes(N - 1));
	LbMoment	dense;

	lb_moment_place_dense(&dense, N - 1, block);
	lb_moment_gather(&dense, model, plays[0], PLAYS, now + DAY);
	lb_moment_clear(&dense);
	lb_moment_gather(&dense, model, p, n, now);
	CHECK(dense.n == m->n && dense.n_own == m->n_own);
	CHECK(dense.w_sum == m->w_sum && dense.in_session == m->in_session);
	CHECK(memcmp(dense.own_sums, m->own_sums, sizeof(m->own_sums)) == 0);
	for (int64_t i = 0; i < m->n; i++)
	{
		int64_t		place = lb_moment_find(&dense, m->rows[i].code);
		double		x[2][LB_MOMENT_PARTS];

		CHECK(place >= 0 && (i >= m->n_own || place == i));
		if (place < 0)
			continue;
		lb_moment_values(x[0], m, &m->rows[i], 0);
		lb_moment_values(x[1], &dense, &dense.rows[place], 0);
		CHECK(memcmp(x[0], x[1], sizeof(x[0])) == 0);
	}
	free(block);
}

static void
check_moment(const LbMomentModel *model, const LbPlay *p, int n, int64_t now)
{
	LbMoment	own;
	LbMoment	m;
	int64_t		most;
	void	   *own_block = unit_alloc(lb_moment_bytes(n));
	void	   *block;
	double		weights[LB_MOMENT_WEIGHTS];

	for (int i = 0; i < LB_MOMENT_WEIGHTS; i++)
		weights[i] = unit_normal();
	lb_moment_place(&own, n, own_block);
	lb_moment_gather_own(&own, p, n, now);
	most = lb_moment_most(&own, model, p, n);
	block = unit_alloc(lb_moment_bytes(most));
	lb_moment_place(&m, most, block);
	lb_moment_gather(&m, model, p, n, now);
	CHECK(m.n <= most && m.n_own == own.n_own);
	check_dense(&m, model, p, n, now);
	for (int b = 1; b < N; b++)
	{
		int64_t		place = lb_moment_find(&m, b);
		const LbMomentRow *row = place < 0 ? NULL : &m.rows[place];
		double		dot = unit_normal();
		double		values[LB_MOMENT_PARTS];
		double		naive[LB_MOMENT_PARTS];
		float		x[LB_MOMENT_WEIGHTS];
		double		score = 0;
		double		direct = 0;
		bool		played;

		lb_moment_values(values, &m, row, dot);
		naive_values(naive, p, n, now, b, dot, &played);
		for (int i = 0; i < LB_MOMENT_PARTS; i++)
			CHECK_MSG(is_near(values[i], naive[i]), "%s of %d: %g, %g",
					  lb_moment_part_name(i), b, values[i], naive[i]);
		CHECK((row != NULL && row->w > 0) == played);
		CHECK(played == (place >= 0 && place < m.n_own));
		lb_moment_features(x, &m, row, dot);
		for (int i = 0; i < LB_MOMENT_WEIGHTS; i++)
			score += weights[i] * x[i];
		direct = lb_moment_taste(row, weights) * dot +
			(row ? lb_moment_added(&m, row, weights) : 0);
		CHECK_MSG(is_near(score, direct), "%g, %g", score, direct);
	}
	free(own_block);
	free(block);
}

static void
test_values(void)
{
	LbMomentModel model;
	LbMomentModel none = {{0}, {0}};

	make_model(&model);
	for (int u = 0; u < USERS; u++)
		for (int n = 0; n <= PLAYS; n += n < 12 ? 1 : 37)
		{
			int64_t		now = n == 0 ? DAY : plays[u][n - 1].time +
				(n % 2 ? 1000000 : 3 * DAY);

			check_moment(&model, plays[u], n, now);
		}
	/* a model without rows knows the user's own habits */
	{
		LbMoment	m;
		void	   *block = unit_alloc(lb_moment_bytes(PLAYS));

		lb_moment_place(&m, PLAYS, block);
		lb_moment_gather(&m, &none, plays[0], PLAYS,
						 plays[0][PLAYS - 1].time);
		CHECK(m.n == m.n_own && m.n > 0);
		free(block);
	}
}

UNIT_MAIN(RUN(test_rows); RUN(test_values);)
