/*
 * lb_scan_tiles.h
 *		Computes the scores of some queries and all candidates, tile by tile.
 */
#ifndef LB_SCAN_TILES_H
#define LB_SCAN_TILES_H

#include "core/scan/lb_candidates.h"

/* Limit of queries in a tile. */
#define LB_TILE_QUERIES 64

/*
 * A tile of scores: that of query first_query + i and candidate
 * first_candidate + j is scores[j * stride + i], a raw chain, which
 * lb_score_finish() turns into a score.
 */
typedef struct LbScoreTile
{
	int			first_query;
	int			n_queries;
	int64_t		first_candidate;
	int			n_candidates;
	const float *scores;
	int			stride;
} LbScoreTile;

typedef void (*LbTileVisitor) (void *arg, const LbScoreTile *tile);

/*
 * Visits the scores of q (n_queries, D) and c (n, D), on the caller's thread;
 * each query sees candidates in ascending order.  scratch has lb_tiles_bytes()
 * bytes, aligned to LB_ALIGN.  Up to about a hundred queries, more queries
 * make each score cheaper.
 */
extern size_t lb_tiles_bytes(int n_queries, int D);
extern LbStatus lb_visit_tiles(const float *q, int n_queries, const float *c,
							   int64_t n, int D, void *scratch,
							   LbTileVisitor visit, void *arg,
							   LbCancel cancel);

#endif							/* LB_SCAN_TILES_H */
