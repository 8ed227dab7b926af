/*
 * lb_moment.h
 *		Moments: the parts of a recording's score as the next one played.
 *
 * A moment is a user's plays so far and a time.  The score of recording b is
 * the sum over parts of weight * value.  There are two vectors of weights: of
 * moments in a session, whose last play is less than an hour ago, and of
 * others.  A shared part has one weight for recordings new to the user and
 * another for those that the user has played.
 *
 *		taste		<q,c>, the towers' dot product				shared
 *		near		sqrt(sum of neighbours' weights of all own)	shared
 *		beside		l(sum over the last 8 plays of 0.8^j * neighbour's
 *					weight)										shared
 *		follow_d	l(r_d), d = 1, 2, 3							shared
 *		own			1, where b was played
 *		recency		l(w), w the sum over plays of b of 1 / (1 + days)
 *		hour		1, where b was played in the last hour
 *		plays		log(1 + n), n the user's plays of b
 *		since		log(1 + s), s the user's plays after the last of b
 *		since_2		its square: what was just played may be unwelcome
 *		place		l(sum over plays of b of 1 / (1 + plays after it))
 *		clock		log((c + q) / ((n + 1) q)), c those of the n at this time
 *					of the day, two hours more or less, q their share in all
 *		mix			l((w / W + r_1) / 2), W the sum of w over all own
 *
 * with l(x) = log(1 + x / 0.01), a the d-th last play, and
 *
 *		r_d = (own_d(b) + 2 C_d(a,b) / (C_d(a,.) + 20)) / (own_d(.) + 2)
 *
 * C_d(a,b) counts all users' transitions from a to b at distance d
 * (lb_follow.h); own_d(b) those of the user, each counting 1 / sqrt(1 + days),
 * and for d = 1 five times as much for each further play before a, three at
 * most, that agrees with those before the moment.  So a user's own habit
 * counts if there is one, and all users' otherwise: Dirichlet smoothing (Zhai
 * and Lafferty, SIGIR 2001) of a Markov chain.
 */
#ifndef LB_MOMENT_H
#define LB_MOMENT_H

#include <math.h>

#include "core/score/lb_follow.h"
#include "core/score/lb_neighbour.h"

/* A score's parts; the first LB_MOMENT_SHARED have two weights. */
typedef enum LbMomentPart
{
	LB_MOMENT_TASTE,
	LB_MOMENT_NEAR,
	LB_MOMENT_BESIDE,
	LB_MOMENT_FOLLOW,			/* one a distance */
	LB_MOMENT_SHARED = LB_MOMENT_FOLLOW + LB_FOLLOW_REACH,
	LB_MOMENT_OWN = LB_MOMENT_SHARED,
	LB_MOMENT_RECENCY,
	LB_MOMENT_HOUR,
	LB_MOMENT_PLAYS,
	LB_MOMENT_SINCE,
	LB_MOMENT_SINCE_2,
	LB_MOMENT_PLACE,
	LB_MOMENT_CLOCK,
	LB_MOMENT_MIX,
	LB_MOMENT_PARTS
} LbMomentPart;

/*
 * Indices of weights: parts of new recordings, then those of played ones, with
 * the parts that have only one weight.
 */
#define LB_MOMENT_WEIGHTS (LB_MOMENT_SHARED + LB_MOMENT_PARTS)

/* The weights of moments: [1] in a session, [0] otherwise. */
typedef struct LbMomentWeights
{
	double		of[2][LB_MOMENT_WEIGHTS];
} LbMomentWeights;

/* Number of the user's latest distinct recordings whose neighbours count. */
#define LB_MOMENT_NEAR_LENGTH 500

/* All facts about a recording at a moment except its dot product. */
typedef struct LbMomentRow
{
	int32_t		code;
	float		w;				/* decayed weight of its plays; 0: new to the
								 * user */
	float		plays;
	float		since;			/* number of plays after its last one */
	float		place;			/* weight of its plays by their place */
	float		clock;			/* number of its plays at this time of day */
	bool		in_hour;		/* played in the last hour */
	float		near;			/* sum of neighbours' weights */
	float		beside;
	float		own[LB_FOLLOW_REACH];
	float		all[LB_FOLLOW_REACH];
} LbMomentRow;

/* A moment; rows are the recordings with more than a dot product. */
typedef struct LbMoment
{
	int64_t		n;
	int64_t		n_own;			/* the first rows, latest first */
	LbMomentRow *rows;
	LbSlots		slots;			/* by hash, or by code if dense */
	int64_t		dense;			/* number of codes with slots, 0: by hash */
	float	   *sums;			/* (dense + 1) zeros; sums of neighbours while
								 * gathering */
	double		w_sum;			/* sum of w over the own recordings */
	double		clock;			/* share of plays at this time of the day */
	float		own_sums[LB_FOLLOW_REACH];
	bool		in_session;		/* the last play is less than an hour ago */
} LbMoment;

/* All users' transitions: rows of a model; offsets NULL if there are none. */
typedef struct LbMomentModel
{
	LbNeighbours neighbours;
	LbFollow	follow;
} LbMomentModel;

/* Returns the bytes of a moment with room for that many rows. */
extern size_t lb_moment_bytes(int64_t most);
extern void lb_moment_place(LbMoment *m, int64_t most, void *block);

/*
 * The same for several moments of codes up to n, one after another, with a
 * slot for each code: faster if the whole catalogue is read anyway.  Call
 * lb_moment_clear() between two of them.
 */
extern size_t lb_moment_dense_bytes(int64_t n);
extern void lb_moment_place_dense(LbMoment *m, int64_t n, void *block);
extern void lb_moment_clear(LbMoment *m);

/*
 * Gathers the user's own recordings, the last played first, from plays (n) in
 * the order of time.  m was placed for n rows.
 */
extern void lb_moment_gather_own(LbMoment *m, const LbPlay *plays, int64_t n,
								 int64_t now);

/*
 * Returns the maximum number of rows, given a moment with the own recordings.
 */
extern int64_t lb_moment_most(const LbMoment *own, const LbMomentModel *model,
							  const LbPlay *plays, int64_t n);

/* Fills m, which was placed for lb_moment_most() rows. */
extern void lb_moment_gather(LbMoment *m, const LbMomentModel *model,
							 const LbPlay *plays, int64_t n, int64_t now);

/* Returns the index of a code's row, or -1. */
extern int64_t lb_moment_find(const LbMoment *m, int32_t code);

/*
 * Computes the values of the parts (LB_MOMENT_PARTS) of a row with that dot
 * product.
 */
extern void lb_moment_values(double *values, const LbMoment *m,
							 const LbMomentRow *row, double dot);

/* Returns the index of the weight of a part for such a recording. */
static inline int
lb_moment_weight_place(int part, bool own)
{
	return (own || part >= LB_MOMENT_SHARED ? LB_MOMENT_SHARED : 0) + part;
}

/*
 * Called with the code of a play or of an own recording, and its share of a
 * part's value.
 */
typedef void (*LbMomentSource) (int32_t code, double share, void *arg);

/*
 * Divides the value of a part of a row among its sources: near among the own
 * recordings, beside among the last plays, in proportion to their sums;
 * follow_d comes from the d-th last play, other parts from the recording
 * itself.  taste is not divided.
 */
extern void lb_moment_sources(const LbMoment *m, const LbMomentModel *model,
							  const LbPlay *plays, int64_t n,
							  const LbMomentRow *row, int part, double value,
							  LbMomentSource source, void *arg);

/*
 * Computes the features x (LB_MOMENT_WEIGHTS) whose product with the weights
 * is the score; row NULL: a recording without a row.
 */
extern void lb_moment_features(float *x, const LbMoment *m,
							   const LbMomentRow *row, double dot);

/* Returns the score without the dot product, and the factor of that. */
extern double lb_moment_added(const LbMoment *m, const LbMomentRow *row,
							  const double *weights);

static inline double
lb_moment_taste(const LbMomentRow *row, const double *weights)
{
	return weights[row != NULL && row->w > 0 ?
				   LB_MOMENT_SHARED + LB_MOMENT_TASTE : LB_MOMENT_TASTE];
}

/* Returns the part of a weight's index. */
static inline int
lb_moment_part_of(int place)
{
	return place < LB_MOMENT_SHARED ? place : place - LB_MOMENT_SHARED;
}

extern const char *lb_moment_part_name(int part);

/*
 * Weights if there is too little to fit on: means of fits on four periods of
 * one public set.
 */
extern const LbMomentWeights lb_moment_prior;

/*
 * Returns the lower bound of a weight: 0 for parts that must not lower a
 * score.
 */
extern double lb_moment_least(int place);

#endif							/* LB_MOMENT_H */
