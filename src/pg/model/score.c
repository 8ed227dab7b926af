/*
 * score.c
 *		The parts of a score, and the scores of one user.
 *
 * Scores are computed for a block of recordings at a time, part by part, so
 * that a part costs one indirect call a block.
 */
#include "pg/model/score.h"

#include <math.h>

#include "core/lb_math.h"

#include "pg/model/candidates.h"
#include "pg/model/twotower.h"

/* Recordings computed together. */
#define BLOCK 256

static bool
has_neighbours(const TwoTower *model)
{
	return model->counted.neighbours.offsets != NULL;
}

static bool
has_recency(const TwoTower *model)
{
	return model->counted.history_recency != NULL;
}

/* The square root of the sum of the neighbours' weights. */
static void
add_neighbours(double *sums, double weight, const Scorer *s,
			   const int32 *places, int n)
{
	for (int i = 0; i < n; i++)
		sums[i] += weight * sqrt(s->related.sums[places[i]]);
}

/*
 * Divides the root among the user's recordings in proportion to their part of
 * the sum.
 */
static void
neighbour_sources(const Scorer *s, int64 place, double value,
				  PartSource source, void *arg)
{
	const LbNeighbours *nb = &s->model->counted.neighbours;
	int32		code = s->related.codes[place];

	for (int i = 0; i < lbrec_n_sources(s); i++)
		for (int64 k = nb->offsets[s->codes[i]];
			 k < nb->offsets[s->codes[i] + 1]; k++)
			if (nb->codes[k] == code)
				source(s->codes[i], value *
					   (lb_log1p(s->plays[i]) * nb->weights[k]) /
					   s->related.sums[place], arg);
}

static void
add_own(double *sums, double weight, const Scorer *s, const int32 *places,
		int n)
{
	for (int i = 0; i < n; i++)
		if (places[i] < s->n_own)
			sums[i] += weight;
}

/* The log of the plays' decayed weight (lb_mix_decay). */
static void
add_recency(double *sums, double weight, const Scorer *s,
			const int32 *places, int n)
{
	for (int i = 0; i < n; i++)
		if (places[i] < s->n_own)
			sums[i] += weight * s->recency[places[i]];
}

/*
 * The log of the number of plays, old and new alike: habits too old for the
 * decayed weight say more about the next months than about the next days.
 */
static void
add_plays(double *sums, double weight, const Scorer *s, const int32 *places,
		  int n)
{
	for (int i = 0; i < n; i++)
		if (places[i] < s->n_own)
			sums[i] += weight * log1p(s->plays[places[i]]);
}

/*
 * The means of the priors are close to the weights fitted on three very
 * different data sets (jodie, hetrec, one of invented albums).
 */
const ScorePart lbrec_score_parts[LB_N_PARTS] = {
	[LB_PART_NEIGHBOUR] = {
		.name = "neighbour", .line = "neighbour", .kind = SCORE_FOUND,
		.least = 0, .prior = 3, .precision = 1, .fitted_least = 0,
		.present = has_neighbours, .add = add_neighbours,
		.sources = neighbour_sources
	},
	[LB_PART_OWN] = {
		.name = "own", .line = "repeat", .kind = SCORE_PLAYED, .lowers = true,
		.least = -INFINITY, .prior = 4, .precision = 1 / 4.0,
		.fitted_least = -INFINITY, .present = has_recency,
		.add = add_own
	},
	[LB_PART_RECENCY] = {
		.name = "recency", .line = "repeat", .kind = SCORE_PLAYED,
		.lowers = true, .least = -INFINITY, .prior = 0.4, .precision = 12,
		.fitted_least = -INFINITY, .present = has_recency,
		.add = add_recency
	},
	[LB_PART_PLAYS] = {
		.name = "plays", .line = "repeat", .kind = SCORE_PLAYED, .least = 0,
		.prior = 0.3, .precision = 12, .fitted_least = 0,
		.present = has_recency, .add = add_plays
	},
	[LB_PART_OWN_SHARE] = {
		.name = "own_share", .kind = SCORE_SHARE, .lowers = true, .least = -1,
		.prior = 0.2, .precision = 4, .fitted_least = 0,
		.present = has_recency
	},
};

/* Returns the scorer of a known user; nothing is gathered yet. */
Scorer
lbrec_scorer(const TwoTower *model, int32 user)
{
	const Counted *c = &model->counted;
	Scorer		s = {.model = model};
	int64		from;

	if (user == 0 || !model->mixed)
		return s;
	from = c->history_offsets[user];
	s.n_own = (int) (c->history_offsets[user + 1] - from);
	s.codes = c->history_codes + from;
	s.plays = c->history_plays + from;
	if (c->history_recency)
		s.recency = c->history_recency + from;
	return s;
}

/*
 * Finds the related recordings, in the current memory context.  There may be a
 * hundred thousand, so do this for one user after another.
 */
void
lbrec_find_related(Scorer *s)
{
	const LbNeighbours *nb;
	int64		most;

	if (s->n_own == 0 || s->related.n > 0)
		return;
	nb = has_neighbours(s->model) ? &s->model->counted.neighbours : NULL;
	most = lb_related_most(nb, s->codes, s->n_own, lbrec_n_sources(s));
	lb_related_place(&s->related, most,
					 palloc_extended(lb_related_bytes(most),
									 MCXT_ALLOC_HUGE));
	lb_related_gather(&s->related, nb, s->codes, s->plays, s->n_own,
					  lbrec_n_sources(s));
}

void
lbrec_free_related(Scorer *s)
{
	/* sums stand at the beginning of the block */
	if (s->related.n > 0)
		pfree(s->related.sums);
	s->related.n = 0;
}

/* Returns the candidate's place among the related, or -1. */
int64
lbrec_related_place(const Scorer *s, int64 candidate)
{
	return s->related.n == 0 ? -1 :
		lb_related_find(&s->related, lbrec_code_of(candidate));
}

/*
 * True if the candidate is one of the user's own recordings.  Needs the
 * related.
 */
bool
lbrec_is_own(const Scorer *s, int64 candidate)
{
	int64		place = lbrec_related_place(s, candidate);

	return place >= 0 && place < s->n_own;
}

/*
 * Scores (n) related recordings at places (n), with dot products dots (n); n
 * is at most BLOCK.  least: omit the parts that can only raise a score.
 */
static void
score_block(float *scores, const Scorer *s, const int32 *places,
			const float *dots, int n, bool least)
{
	const double *weights = s->model->mix.weight;
	double		found[BLOCK];
	double		sums[BLOCK];
	bool		any_own = false;

	for (int i = 0; i < n; i++)
	{
		found[i] = dots[i];
		any_own |= places[i] < s->n_own;
	}
	for (int p = 0; p < LB_N_PARTS; p++)
	{
		const ScorePart *part = &lbrec_score_parts[p];

		if (part->kind != SCORE_FOUND || least || !part->present(s->model))
			continue;
		part->add(found, weights[p], s, places, n);
	}
	if (!any_own)
	{
		for (int i = 0; i < n; i++)
			scores[i] = (float) found[i];
		return;
	}
	memcpy(sums, found, n * sizeof(double));
	for (int p = 0; p < LB_N_PARTS; p++)
	{
		const ScorePart *part = &lbrec_score_parts[p];

		if (part->kind == SCORE_FOUND || (least && !part->lowers) ||
			!part->present(s->model))
			continue;
		if (part->kind == SCORE_PLAYED)
			part->add(sums, weights[p], s, places, n);
		else
			for (int i = 0; i < n; i++)
				if (places[i] < s->n_own)
					sums[i] += weights[p] * found[i];
	}
	for (int i = 0; i < n; i++)
		scores[i] = (float) sums[i];
}

/*
 * Fills the scores (n) of related recordings, from their places (n) among the
 * related and their dot products dots (n).
 */
void
lbrec_related_scores(float *scores, const Scorer *s, const int32 *places,
					 const float *dots, int n)
{
	for (int from = 0; from < n; from += BLOCK)
		score_block(scores + from, s, places + from, dots + from,
					Min(n - from, BLOCK), false);
}

/*
 * The same without the parts that can only raise a score.  Places are those of
 * the user's own, 0 to n_own - 1; the related need not be found.
 */
void
lbrec_least_scores(float *scores, const Scorer *s, const int32 *places,
				   const float *dots, int n)
{
	for (int from = 0; from < n; from += BLOCK)
		score_block(scores + from, s, places + from, dots + from,
					Min(n - from, BLOCK), true);
}

/*
 * Returns the score of a candidate with that dot product.  Needs the related.
 */
float
lbrec_full_score(const Scorer *s, int64 candidate, float dot)
{
	int32		place = (int32) lbrec_related_place(s, candidate);
	float		score;

	if (place < 0)
		return dot;
	score_block(&score, s, &place, &dot, 1, false);
	return score;
}

/*
 * Returns the value of a part other than SCORE_SHARE, at a place among the
 * related; 0 at -1, no place.
 */
double
lbrec_part_value(const ScorePart *part, const Scorer *s, int64 place)
{
	int32		at = (int32) place;
	double		value = 0;

	if (place >= 0 && part->present(s->model))
		part->add(&value, 1, s, &at, 1);
	return value;
}

/*
 * Scales weights fitted for one member to the sum of n members' dot products.
 * A share needs no scaling: it multiplies the dot product.
 */
LbMix
lbrec_mix_of_members(LbMix mix, int n_members)
{
	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].kind != SCORE_SHARE)
			mix.weight[p] *= n_members;
	return mix;
}

/* The inverse of lbrec_mix_of_members(). */
LbMix
lbrec_mix_of_one(LbMix mix, int n_members)
{
	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].kind != SCORE_SHARE)
			mix.weight[p] /= n_members;
	return mix;
}
