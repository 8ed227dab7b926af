/*
 * select.h
 *		Selects the k recordings of a list.
 */
#ifndef LBREC_SERVE_SELECT_H
#define LBREC_SERVE_SELECT_H

#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/model/toplist.h"
#include "pg/serve/listener.h"

typedef struct Wanted
{
	int64		k;
	CandidateSet allowed;
	const int32 *groups;		/* (n_groups) category by candidate plus one, */
	int64		n_groups;		/* 0 is unknown; or NULL */
	int32		per_group;		/* limit for each category */
	double		diversity;		/* 0 to 1 */

	/*
	 * Returns the min(k, allowed) best for arg; NULL: the listener's best by
	 * the model's scores.
	 */
	RankedList	(*rank) (const void *whom, const CandidateSet *allowed,
						 int64 k);
	const void *whom;
} Wanted;

extern RankedList lbrec_select(const ServingModel *serving,
							   const Listener *listener, const Wanted *wanted);

#endif							/* LBREC_SERVE_SELECT_H */
