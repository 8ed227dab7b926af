/*
 * toplist.h
 *		The k best recordings of users, exactly.
 */
#ifndef LBREC_MODEL_TOPLIST_H
#define LBREC_MODEL_TOPLIST_H

#include "pg/model/score.h"

#include "core/scan/lb_scan.h"

/* Candidates, best first. */
typedef struct RankedList
{
	int64		n;
	int64	   *ids;			/* (n) */
	float	   *scores;			/* (n) */
} RankedList;

typedef struct TopRequest
{
	LbCandidates set;			/* the recordings that lists may have */
	int			m;				/* users */
	const Scorer *const *scorers;	/* (m) */
	const float *queries;		/* (m, D) */
	int64		k;				/* length of the lists */
	bool		new_only;		/* as many more as it takes for k that are new
								 * to the user to be among them */
	LbThreads  *pool;			/* or NULL */
} TopRequest;

extern void lbrec_top_lists(RankedList *lists, const TopRequest *request);

#endif							/* LBREC_MODEL_TOPLIST_H */
