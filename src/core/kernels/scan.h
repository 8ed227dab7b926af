/*
 * scan.h
 *		The kernels of the scans: scores of candidates.
 *
 * Every kernel computes a score as lb_scan.h defines it: one chain of fused
 * multiply-adds in the order of d.  Lanes are candidates or queries, never
 * dimensions.  Kernels return raw chains; drivers pass what comes near a
 * threshold through lb_score_finish().
 */
#ifndef LB_KERNELS_SCAN_H
#define LB_KERNELS_SCAN_H

#include "core/lb_core.h"

/* Candidates between two checks of the cancel flag and the threshold. */
#define LB_SCAN_BLOCK 256

/* Candidates in an index group: they share a scale and an error bound. */
#define LB_GROUP 16
#define LB_GROUPS_PER_BLOCK (LB_SCAN_BLOCK / LB_GROUP)

/* Batch tiles: query lanes (largest of all kernels) and candidate block. */
#define LB_QUERY_LANES 64
#define LB_CAND_UNIT 48

/* A candidate in a tile that is not below its query's threshold. */
typedef struct LbHit
{
	uint32_t	lane;			/* query */
	uint32_t	candidate;		/* of the tile */
	float		score;			/* raw chain */
} LbHit;

typedef struct LbScanKernel
{
	int			lanes;			/* queries of a tile: 2 vectors */
	int			mr;				/* candidates of a packed block */
	bool		fast_codes;		/* True if scan_codes is faster than tile_hits
								 * for many queries, too. */

	/*
	 * out[i] = chain of q and row i of c, n <= LB_SCAN_BLOCK; or minus
	 * infinity if the chain is below floor.
	 */
	void		(*score_range) (float *out, const float *q, const float *c,
								int D, int n, float floor);
	/* out[i] = chain of q and row rows[i] of c */
	void		(*score_rows) (float *out, const float *q, const float *c,
							   int D, const int32_t *rows, int n);

	/*
	 * One tile: lanes queries qt (D, lanes) against n_blocks packed blocks of
	 * candidates, each (D, mr).  counts[lane] += candidates with a chain
	 * above floor[lane].
	 */
	void		(*tile_counts) (int32_t *counts, const float *floor,
								const float *qt, const float *cpack, int D,
								int n_blocks);

	/*
	 * The same tile: scores[candidate * lanes + lane] = chain, of all places
	 * of the blocks; aligned.
	 */
	void		(*tile_scores) (float *scores, const float *qt,
								const float *cpack, int D, int n_blocks);

	/*
	 * Lists chains that are not below floor[lane], block by block, as long as
	 * there is room for a whole block (lanes * mr hits).  Returns their
	 * number; *n_blocks becomes the number of blocks done.
	 */
	int			(*tile_hits) (LbHit *hits, int max_hits, const float *floor,
							  const float *qt, const float *cpack, int D,
							  int *n_blocks);

	/*
	 * Scans the index codes of n_groups groups: for each candidate whose dot
	 * product with the query's codes (n_quads * 4) is at least floors[group],
	 * writes its place and the product.  Returns their number; there is room
	 * for all.
	 */
	int			(*scan_codes) (int32_t *places, int32_t *dots,
							   const uint8_t *codes, int n_groups, int n_quads,
							   const int8_t *qcodes, int32_t start,
							   const int32_t *floors);
} LbScanKernel;

#endif							/* LB_KERNELS_SCAN_H */
