/*
 * metrics.h
 *		Ranks summed up.
 */
#ifndef LBREC_METRICS_H
#define LBREC_METRICS_H

#include "lbrec.h"

/* What ranks say at one K. */
typedef struct Metrics
{
	double		top_k;			/* share of listens whose recording is in the
								 * first K */
	double		ndcg;			/* over listens, each with one target */
	double		mrr;			/* over listens, 0 beyond K */
	double		new_recall;		/* over users, recordings new to them */
	double		new_ndcg;
	int64		users;			/* with a target that is new to them */
} Metrics;

extern void lbrec_metrics(Metrics *m, int k, const int64 *ranks,
						  const int64 *new_ranks, const int32 *users,
						  const int32 *truth, int64 n);

#endif							/* LBREC_METRICS_H */
