/*
 * next.h
 *		Lists of the next recordings after a user's plays.
 */
#ifndef LBREC_SERVE_NEXT_H
#define LBREC_SERVE_NEXT_H

#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/model/toplist.h"

#include "core/score/lb_moment.h"

/* A listener at a moment, ready for questions. */
typedef struct NextListener
{
	const ServingModel *serving;
	LbMoment	moment;
	double		weights[LB_MOMENT_WEIGHTS]; /* for this moment */
	const float *query;			/* (D) */
	const LbPlay *plays;		/* (n_plays) in the order of time */
	int64		n_plays;
} NextListener;

extern void lbrec_moment_weights(double *weights,
								 const ServingModel *serving, bool in_session);
extern void lbrec_find_next(NextListener *next, const ServingModel *serving,
							int32 user, const LbPlay *plays, int64 n,
							int64 time);
extern RankedList lbrec_next_best(const void *next,
								  const CandidateSet *allowed, int64 k);

#endif							/* LBREC_SERVE_NEXT_H */
