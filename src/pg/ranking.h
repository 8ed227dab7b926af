/*
 * ranking.h
 *		Exact ranks of listens' own recordings among all candidates.
 */
#ifndef LBREC_RANKING_H
#define LBREC_RANKING_H

#include "twotower.h"

extern int64 *lbrec_rank_listens(const TwoTower *model,
								 const float *candidates,
								 const int32 *users, const int64 *times,
								 const int32 *truth, int64 n, int64 most,
								 LbThreads *pool, MemoryContext context);

#endif							/* LBREC_RANKING_H */
