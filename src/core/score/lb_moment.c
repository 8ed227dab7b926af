/*
 * lb_moment.c
 *		Moments: the parts of a recording's score as the next one played.
 *
 * lb_moment.h has the formulas.  Gathering is one pass over the user's plays,
 * from the latest to the first, and over the rows of neighbours and
 * transitions of the latest; it never reads the whole catalogue.
 */
#include "core/score/lb_moment.h"

#include <string.h>

#include "core/lb_arena.h"
#include "core/lb_math.h"

#define MICROSECONDS_PER_DAY INT64_C(86400000000)
#define SCALE 0.01				/* l(x) = log(1 + x / SCALE) */
#define BESIDE_PLAYS 8
#define BESIDE_DECAY 0.8f
#define EVERYBODY 2.0f			/* weight of all users' transitions beside the
								 * user's own */
#define SHRINK 20.0f			/* added to a row's sum */
#define CONTEXT_FACTOR 5.0f
#define CONTEXT_PLAYS 4
#define CLOCK_WIDTH (MICROSECONDS_PER_DAY / 12)
#define CLOCK_SHARE (1.0 / 6)	/* of the day */

static const char *const part_names[LB_MOMENT_PARTS] = {
	"taste", "near", "beside", "follow_1", "follow_2", "follow_3",
	"own", "recency", "hour", "plays", "since", "since_2", "place", "clock",
	"mix"
};

/* taste is divided by its temperature when it is used, see lb_moment_least() */
const LbMomentWeights lb_moment_prior = {{
		/* taste near beside follow; the same of played; own to mix */
		{0.95, 0.96, 0.61, 0.02, 0.21, 0.07,
			0.06, 0, 0.02, 0.10, 0.06, 0.10,
		2.1, 0.60, 0, 0, 0, 0, 0, 0, 0.37},
		{0.64, 0, 1.3, 0.47, 0.61, 0.32,
			0.02, 0, 0.37, 0.50, 0.26, 0.19,
		2.4, 0.29, -0.58, 0, 0, 0, 0, 0, 0.70}
}};

/* Above 0, so that recordings without a row have an order. */
#define LEAST_TASTE 0.01

double
lb_moment_least(int place)
{
	switch (lb_moment_part_of(place))
	{
		case LB_MOMENT_TASTE:
			return place < LB_MOMENT_SHARED ? LEAST_TASTE : 0;
		case LB_MOMENT_OWN:
		case LB_MOMENT_RECENCY:
		case LB_MOMENT_HOUR:
		case LB_MOMENT_PLAYS:
		case LB_MOMENT_SINCE:
		case LB_MOMENT_SINCE_2:
		case LB_MOMENT_PLACE:
		case LB_MOMENT_CLOCK:
			return -INFINITY;
		default:
			return 0;
	}
}

const char *
lb_moment_part_name(int part)
{
	return part_names[part];
}

static int64_t
row_length(const int64_t *offsets, int32_t code)
{
	return offsets != NULL && code > 0 ? offsets[code + 1] - offsets[code] : 0;
}

int64_t
lb_moment_most(const LbMoment *own, const LbMomentModel *model,
			   const LbPlay *plays, int64_t n)
{
	int64_t		most = n > own->n_own ? n : own->n_own;

	for (int64_t i = 0; i < own->n_own && i < LB_MOMENT_NEAR_LENGTH; i++)
		most += row_length(model->neighbours.offsets, own->rows[i].code);
	for (int64_t i = n - 1; i >= 0 && i >= n - BESIDE_PLAYS; i--)
		most += row_length(model->neighbours.offsets, plays[i].code);
	for (int64_t i = n - 1; i >= 0 && i >= n - LB_FOLLOW_REACH; i--)
		most += row_length(model->follow.offsets, plays[i].code);
	return most;
}

static size_t
lay_out(LbMoment *m, int64_t most, int64_t slots, int64_t sums, char *block)
{
	LbArena		arena = {block};

	m->rows = lb_arena_cut(&arena, most * sizeof(LbMomentRow));
	m->slots.places = lb_arena_cut(&arena, slots * sizeof(int32_t));
	m->sums = lb_arena_cut(&arena, sums * sizeof(float));
	m->n = 0;
	m->n_own = 0;
	return arena.used;
}

size_t
lb_moment_bytes(int64_t most)
{
	LbMoment	counted;

	return lay_out(&counted, most, lb_slots_count(most), 0, NULL);
}

void
lb_moment_place(LbMoment *m, int64_t most, void *block)
{
	lay_out(m, most, lb_slots_count(most), 0, block);
	lb_slots_clear(&m->slots, most);
	m->dense = 0;
}

size_t
lb_moment_dense_bytes(int64_t n)
{
	LbMoment	counted;

	return lay_out(&counted, n, n + 1, n + 1, NULL);
}

void
lb_moment_place_dense(LbMoment *m, int64_t n, void *block)
{
	lay_out(m, n, n + 1, n + 1, block);
	m->dense = n;
	memset(m->slots.places, 0, (n + 1) * sizeof(int32_t));
	memset(m->sums, 0, (n + 1) * sizeof(float));
}

void
lb_moment_clear(LbMoment *m)
{
	for (int64_t i = 0; i < m->n; i++)
		m->slots.places[m->rows[i].code] = 0;
	m->n = 0;
	m->n_own = 0;
}

static inline int32_t *
slot_of(const LbMoment *m, int32_t code)
{
	if (m->dense > 0)
		return &m->slots.places[code];
	return lb_slots_find(&m->slots, &m->rows->code, sizeof(LbMomentRow), code);
}

int64_t
lb_moment_find(const LbMoment *m, int32_t code)
{
	return m->n == 0 ? -1 : (int64_t) *slot_of(m, code) - 1;
}

static inline LbMomentRow *
row_of(LbMoment *m, int32_t code)
{
	int32_t    *slot = slot_of(m, code);

	if (*slot == 0)
	{
		m->rows[m->n] = (LbMomentRow)
		{
			.code = code
		};
		*slot = (int32_t) ++m->n;
	}
	return &m->rows[*slot - 1];
}

static double
days_ago(int64_t now, int64_t time)
{
	return now > time ? ((double) now - (double) time) / MICROSECONDS_PER_DAY :
		0;
}

/* True if the play was within two hours of the current time of day. */
static bool
is_at_clock(int64_t now, int64_t time)
{
	int64_t		apart = (now - time) % MICROSECONDS_PER_DAY;

	return now > time && (apart < CLOCK_WIDTH ||
						  apart > MICROSECONDS_PER_DAY - CLOCK_WIDTH);
}

void
lb_moment_gather_own(LbMoment *m, const LbPlay *plays, int64_t n, int64_t now)
{
	int64_t		known = 0;
	int64_t		at_clock = 0;

	for (int64_t i = n - 1; i >= 0; i--)
	{
		LbMomentRow *row;

		if (plays[i].code <= 0)
			continue;
		row = row_of(m, plays[i].code);
		row->w += (float) (1 / (1 + days_ago(now, plays[i].time)));
		if (row->plays == 0)
			row->since = (float) (n - 1 - i);
		row->place += 1.0f / (float) (n - i);
		row->plays++;
		known++;
		if (is_at_clock(now, plays[i].time))
		{
			row->clock++;
			at_clock++;
		}
		row->in_hour = row->in_hour || now - plays[i].time < LB_FOLLOW_GAP;
	}
	/* the prior share counts as six plays */
	m->clock = (at_clock + 6 * CLOCK_SHARE) / (known + 6);
	m->w_sum = 0;
	for (int64_t i = 0; i < m->n; i++)
		m->w_sum += m->rows[i].w;
	m->n_own = m->n;
}

/*
 * Sums the neighbours of the latest own recordings.  If each code has a slot,
 * the sums are adjacent while they grow, and become rows at the end.
 */
static void
gather_near(LbMoment *m, const LbNeighbours *nb)
{
	int64_t		own = m->n_own < LB_MOMENT_NEAR_LENGTH ? m->n_own :
	LB_MOMENT_NEAR_LENGTH;

	for (int64_t i = 0; i < own; i++)
	{
		int32_t		code = m->rows[i].code;
		float		factor = (float) lb_log1p(m->rows[i].plays);

		if (m->dense > 0)
			for (int64_t k = nb->offsets[code]; k < nb->offsets[code + 1]; k++)
				m->sums[nb->codes[k]] += factor * nb->weights[k];
		else
			for (int64_t k = nb->offsets[code]; k < nb->offsets[code + 1]; k++)
				row_of(m, nb->codes[k])->near += factor * nb->weights[k];
	}
	for (int32_t code = 1; code <= m->dense; code++)
		if (m->sums[code] != 0)
		{
			row_of(m, code)->near = m->sums[code];
			m->sums[code] = 0;
		}
}

static void
gather_neighbours(LbMoment *m, const LbNeighbours *nb, const LbPlay *plays,
				  int64_t n)
{
	float		decay = 1;

	gather_near(m, nb);
	for (int64_t i = n - 1; i >= 0 && i >= n - BESIDE_PLAYS; i--)
	{
		int32_t		code = plays[i].code;

		for (int64_t k = 0; k < row_length(nb->offsets, code); k++)
			row_of(m, nb->codes[nb->offsets[code] + k])->beside +=
				decay * nb->weights[nb->offsets[code] + k];
		decay *= BESIDE_DECAY;
	}
}

static void
gather_everybody(LbMoment *m, const LbFollow *f, const LbPlay *plays,
				 int64_t n)
{
	for (int d = 0; d < LB_FOLLOW_REACH && d < n; d++)
	{
		int32_t		a = plays[n - 1 - d].code;
		float		sum;

		if (row_length(f->offsets, a) == 0)
			continue;
		sum = f->sums[(int64_t) a * LB_FOLLOW_REACH + d] + SHRINK;
		for (int64_t k = f->offsets[a]; k < f->offsets[a + 1]; k++)
			if (f->counts[k * LB_FOLLOW_REACH + d] > 0)
				row_of(m, f->codes[k])->all[d] +=
					f->counts[k * LB_FOLLOW_REACH + d] / sum;
	}
}

/*
 * True if a play before plays[q] has the same recording as that many plays
 * before the end.
 */
static inline bool
has_common(const LbPlay *plays, int64_t n, int64_t q)
{
	bool		any = false;

	for (int d = 1; d <= LB_FOLLOW_REACH && d <= q; d++)
		any |= plays[q - d].code == plays[n - d].code;
	return any;
}

/*
 * Counts the user's earlier transitions from the same recording: plays[q]
 * after plays[q - d].
 */
static void
gather_habits(LbMoment *m, const LbPlay *plays, int64_t n, int64_t now)
{
	for (int64_t q = 1; q < n; q++)
	{
		float		age = 0;

		if (plays[q].code <= 0 || !has_common(plays, n, q))
			continue;
		for (int d = 1; d <= LB_FOLLOW_REACH && d <= q; d++)
		{
			int64_t		apart = plays[q].time - plays[q - d].time;
			float		w;

			if (apart >= LB_FOLLOW_GAP)
				break;
			if (apart <= 0 || plays[q - d].code <= 0 ||
				plays[q - d].code != plays[n - d].code)
				continue;
			if (age == 0)
				age = (float) (1 / sqrt(1 + days_ago(now, plays[q].time)));
			w = age;
			for (int j = 2; d == 1 && j <= CONTEXT_PLAYS && j <= q &&
				 plays[q - j].code == plays[n - j].code; j++)
				w *= CONTEXT_FACTOR;
			row_of(m, plays[q].code)->own[d - 1] += w;
			m->own_sums[d - 1] += w;
		}
	}
}

void
lb_moment_gather(LbMoment *m, const LbMomentModel *model, const LbPlay *plays,
				 int64_t n, int64_t now)
{
	memset(m->own_sums, 0, sizeof(m->own_sums));
	m->in_session = n > 0 && now - plays[n - 1].time < LB_FOLLOW_GAP;
	lb_moment_gather_own(m, plays, n, now);
	if (model->neighbours.offsets != NULL)
		gather_neighbours(m, &model->neighbours, plays, n);
	if (model->follow.offsets != NULL)
		gather_everybody(m, &model->follow, plays, n);
	gather_habits(m, plays, n, now);
}

static double
l(double x)
{
	return x == 0 ? 0 : lb_log1p(x / SCALE);
}

void
lb_moment_values(double *values, const LbMoment *m, const LbMomentRow *row,
				 double dot)
{
	double		r[LB_FOLLOW_REACH];

	memset(values, 0, LB_MOMENT_PARTS * sizeof(double));
	values[LB_MOMENT_TASTE] = dot;
	if (row == NULL)
		return;
	for (int d = 0; d < LB_FOLLOW_REACH; d++)
	{
		r[d] = (row->own[d] + EVERYBODY * row->all[d]) /
			(m->own_sums[d] + EVERYBODY);
		values[LB_MOMENT_FOLLOW + d] = l(r[d]);
	}
	values[LB_MOMENT_NEAR] = sqrt(row->near);
	values[LB_MOMENT_BESIDE] = l(row->beside);
	if (row->plays > 0)
	{
		double		since = lb_log1p(row->since);

		values[LB_MOMENT_OWN] = 1;
		values[LB_MOMENT_RECENCY] = l(row->w);
		values[LB_MOMENT_HOUR] = row->in_hour;
		values[LB_MOMENT_PLAYS] = lb_log1p(row->plays);
		values[LB_MOMENT_SINCE] = since;
		values[LB_MOMENT_SINCE_2] = since * since;
		values[LB_MOMENT_PLACE] = l(row->place);
		values[LB_MOMENT_CLOCK] = lb_log1p(row->clock / m->clock) -
			values[LB_MOMENT_PLAYS];
	}
	values[LB_MOMENT_MIX] = l(((row->w > 0 ? row->w / m->w_sum : 0) + r[0]) /
							  2);
}

/* Returns the weight of b among the neighbours of a. */
static double
nearness(const LbNeighbours *nb, int32_t a, int32_t b)
{
	for (int64_t k = 0; k < row_length(nb->offsets, a); k++)
		if (nb->codes[nb->offsets[a] + k] == b)
			return nb->weights[nb->offsets[a] + k];
	return 0;
}

void
lb_moment_sources(const LbMoment *m, const LbMomentModel *model,
				  const LbPlay *plays, int64_t n, const LbMomentRow *row,
				  int part, double value, LbMomentSource source, void *arg)
{
	const LbNeighbours *nb = &model->neighbours;
	double		decay = 1;

	switch (part)
	{
		case LB_MOMENT_NEAR:
			for (int64_t i = 0; i < m->n_own && i < LB_MOMENT_NEAR_LENGTH; i++)
			{
				double		sum = lb_log1p(m->rows[i].plays) *
					nearness(nb, m->rows[i].code, row->code);

				if (sum > 0)
					source(m->rows[i].code, value * sum / row->near, arg);
			}
			return;
		case LB_MOMENT_BESIDE:
			for (int64_t i = n - 1; i >= 0 && i >= n - BESIDE_PLAYS; i--)
			{
				double		sum = decay *
					nearness(nb, plays[i].code, row->code);

				if (sum > 0)
					source(plays[i].code, value * sum / row->beside, arg);
				decay *= BESIDE_DECAY;
			}
			return;
		case LB_MOMENT_FOLLOW:
		case LB_MOMENT_FOLLOW + 1:
		case LB_MOMENT_FOLLOW + 2:
			source(plays[n - 1 - (part - LB_MOMENT_FOLLOW)].code, value, arg);
			return;
		default:
			source(row->code, value, arg);
	}
}

void
lb_moment_features(float *x, const LbMoment *m, const LbMomentRow *row,
				   double dot)
{
	bool		own = row != NULL && row->w > 0;
	double		values[LB_MOMENT_PARTS];

	lb_moment_values(values, m, row, dot);
	memset(x, 0, LB_MOMENT_WEIGHTS * sizeof(float));
	for (int p = 0; p < LB_MOMENT_PARTS; p++)
		x[lb_moment_weight_place(p, own)] = (float) values[p];
}

double
lb_moment_added(const LbMoment *m, const LbMomentRow *row,
				const double *weights)
{
	double		values[LB_MOMENT_PARTS];
	double		sum = 0;

	lb_moment_values(values, m, row, 0);
	for (int p = 0; p < LB_MOMENT_PARTS; p++)
		sum += weights[lb_moment_weight_place(p, row->w > 0)] * values[p];
	return sum;
}
