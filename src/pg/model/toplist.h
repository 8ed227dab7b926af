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
	LbCandidates set;			/* the recordings that lists may contain */
	int			m;				/* number of users */
	const Scorer *const *scorers;	/* (m) */
	const float *queries;		/* (m, D) */
	int64		k;				/* length of the lists */
	bool		new_only;		/* lengthen lists until they have k recordings
								 * that are new to the user */
	LbThreads  *pool;			/* threads, or NULL */
} TopRequest;

extern void lbrec_top_lists(RankedList *lists, const TopRequest *request);

#endif							/* LBREC_MODEL_TOPLIST_H */
