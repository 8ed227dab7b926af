/*
 * lb_foldin.h
 *		Fits a query vector for a user outside the training set.
 */
#ifndef LB_FOLDIN_H
#define LB_FOLDIN_H

#include "core/lb_core.h"

typedef struct LbFoldIn
{
	const float *c;				/* (n,D) candidates */
	int			D;
	const int32_t *positives;	/* recordings that the user chose */
	int			n_positives;
	const int32_t *negatives;	/* a sample of all candidates */
	const float *bias;			/* (n_negatives), added to their logits */
	int			n_negatives;
	const float *mean;			/* (D) mean of trained users' vectors */
	const float *deviation;		/* (D) their deviation, positive */
	float		scale;			/* a logit is scale times the dot product */
} LbFoldIn;

extern size_t lb_fold_in_bytes(const LbFoldIn *f);
extern double lb_fold_in_loss(float *dz, const LbFoldIn *f, const float *z,
							  float *q, float *p);
extern LbStatus lb_fold_in(float *q, const LbFoldIn *f, void *scratch,
						   LbCancel cancel);

#endif							/* LB_FOLDIN_H */
