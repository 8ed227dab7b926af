/*
 * lb_scan_pack.h
 *		Tiles of queries and candidates for kernels that take many of both:
 *		their sizes and their packing.  For lb_scan_batch.c and lb_scan_rank.c.
 *
 * A group of queries is transposed so that lanes are queries.  All candidates
 * pass by in tiles, packed once per group: a tile stays in L1 while every query
 * of the group meets it.  A score lives in a register, is compared with the
 * query's threshold, and is gone: the score matrix is never written.
 */
#ifndef LB_SCAN_PACK_H
#define LB_SCAN_PACK_H

#include "core/kernels/scan.h"

/* Candidates of a tile, a multiple of LB_CAND_UNIT: 30 kB at D = 32. */
#define TILE_BYTES 30720
#define TILE_MIN LB_CAND_UNIT

static inline int
tile_size(int D)
{
	int			tile = TILE_BYTES / (int) sizeof(float) / D;

	tile = tile / LB_CAND_UNIT * LB_CAND_UNIT;
	return tile > TILE_MIN ? tile : TILE_MIN;
}

/* returns the queries in a group, a multiple of LB_QUERY_LANES */
static inline int
group_size(int64_t n_queries, int64_t most)
{
	int64_t		wanted = (n_queries + LB_QUERY_LANES - 1) / LB_QUERY_LANES;

	most = most / LB_QUERY_LANES > 0 ? most / LB_QUERY_LANES : 1;
	return (int) (wanted < most ? wanted > 0 ? wanted : 1 : most) *
		LB_QUERY_LANES;
}

/*
 * Packs n queries, row rows[i] of q or the i-th if rows is NULL, side by side
 * in lanes; unused lanes are zero.
 */
static inline void
pack_queries(float *qt, const float *q, const int32_t *rows, int n, int lanes,
			 int D)
{
	for (int i = 0; i < (n + lanes - 1) / lanes * lanes; i++)
	{
		float	   *to = qt + (size_t) (i / lanes) * lanes * D + i % lanes;
		const float *from = q + (size_t) (rows != NULL && i < n ? rows[i] : i) *
			D;

		for (int d = 0; d < D; d++)
			to[(size_t) d * lanes] = i < n ? from[d] : 0;
	}
}

/*
 * Packs n candidates in blocks of mr; candidate i is row rows[i], or first + i
 * if rows is NULL.  Returns the number of blocks.  Unused places repeat the
 * last candidate, and the caller removes their hits and counts.
 */
static inline int
pack_candidates(float *cpack, const float *c, int64_t first,
				const int32_t *rows, int n, int mr, int D)
{
	int			n_blocks = (n + mr - 1) / mr;

	for (int b = 0; b < n_blocks; b++, cpack += (size_t) mr * D)
	{
		for (int r = 0; r < mr; r++)
		{
			int			i = b * mr + r < n ? b * mr + r : n - 1;
			const float *row = c +
				(size_t) (rows != NULL ? rows[i] : first + i) * D;

			for (int d = 0; d < D; d++)
				cpack[(size_t) d * mr + r] = row[d];
		}
	}
	return n_blocks;
}

#endif							/* LB_SCAN_PACK_H */
