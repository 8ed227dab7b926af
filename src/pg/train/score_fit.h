/*
 * score_fit.h
 *		Fits the weights of a score's parts on held-out listens.
 */
#ifndef LBREC_TRAIN_SCORE_FIT_H
#define LBREC_TRAIN_SCORE_FIT_H

#include "pg/listens/spool.h"
#include "pg/model/twotower.h"

/* The data that the weights are fitted on. */
typedef struct ScoreFitRequest
{
	const TwoTower *model;		/* its own mix is ignored */
	const float *candidates;	/* (n_recordings, D) */
	int			n_members;		/* members whose dot products add up to the
								 * model's */
	double		temperature;	/* temperature of their training */
	const float *trends;		/* (n_recordings + 1), or NULL */
	double		trend;			/* weight of trends in the training so far */
	const Listen *test;			/* held out */
	int64		n_test;
	int64		seed;
} ScoreFitRequest;

/*
 * Returns the weights for a model with one member; n members' dot products add
 * up.  trend, unless NULL, becomes the weight that trends should have in the
 * logits of training.
 */
extern LbMix lbrec_fit_score(double *trend, const ScoreFitRequest *request,
							 LbThreads *pool, MemoryContext context);

#endif							/* LBREC_TRAIN_SCORE_FIT_H */
