/*
 * lb_scan_int.h
 *		What the scans' drivers and their kernels (one file per instruction
 *		set) share.
 *
 * Every kernel computes a score as lb_scan.h defines it: one chain of fused
 * multiply-adds in the order of d.  Lanes are candidates or queries, never
 * dimensions.  Kernels return raw chains; drivers pass what comes near a
 * threshold through lb_score_finish().
 */
#ifndef LB_SCAN_INT_H
#define LB_SCAN_INT_H

#include <math.h>

#include "core/lb_core.h"
#include "core/lb_scan.h"
#include "core/lb_scan_top.h"

/* Candidates between two looks at the cancel flag and at the threshold. */
#define LB_SCAN_BLOCK 256

/* Candidates of an index group: they share a scale and an error bound. */
#define LB_GROUP 16
#define LB_GROUPS_PER_BLOCK (LB_SCAN_BLOCK / LB_GROUP)

/* Batch tiles: query lanes (largest of all kernels) and candidate block. */
#define LB_QUERY_LANES 32
#define LB_CAND_UNIT 12

/* acc + q * c, rounded once */
static inline float
lb_fused(float q, float c, float acc)
{
#if defined(FP_FAST_FMAF) || defined(__FMA__)
	return __builtin_fmaf(q, c, acc);
#else
	/*
	 * No instruction for it: the product is exact in double.  The sum is
	 * rounded to odd (the neighbour with the odd last bit when inexact), and
	 * rounding that to float is then rounding the exact sum (Boldo and
	 * Melquiond, 2008).
	 */
	double		product = (double) q * c;
	double		sum = product + acc;
	double		part = sum - product;
	double		error = (product - (sum - part)) + (acc - part);
	uint64_t	bits;

	memcpy(&bits, &sum, sizeof(bits));
	if (error != 0 && (bits & 1) == 0 && isfinite(sum))
	{
		bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX;
		memcpy(&sum, &bits, sizeof(bits));
	}
	return (float) sum;
#endif
}

/* A candidate of a tile that is not below its query's threshold. */
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

	/* out[i] = chain of q and row i of c, n <= LB_SCAN_BLOCK */
	void		(*score_range) (float *out, const float *q, const float *c,
								int D, int n);
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
	 * Lists chains that are not below floor[lane], block by block, as long as
	 * there is room for a whole block (lanes * mr hits).  Returns their
	 * number; *n_blocks becomes the number of blocks done.
	 */
	int			(*tile_hits) (LbHit *hits, int max_hits, const float *floor,
							  const float *qt, const float *cpack, int D,
							  int *n_blocks);

	/*
	 * Index codes of n_groups groups: for each candidate whose dot product
	 * with the query's codes (n_quads * 4) is at least floors[group], notes
	 * its place and the product.  Returns how many; there is room for all.
	 */
	int			(*scan_codes) (int32_t *places, int32_t *dots,
							   const uint8_t *codes, int n_groups, int n_quads,
							   const int8_t *qcodes, int32_t start,
							   const int32_t *floors);
} LbScanKernel;

extern const LbScanKernel lb_scan_portable;
#if defined(__x86_64__)
extern const LbScanKernel lb_scan_avx2;
extern const LbScanKernel lb_scan_avx512;
extern const LbScanKernel lb_scan_vnni; /* avx512 with another scan_codes */
#endif

extern const LbScanKernel *lb_scan_kernel(void);

/* scan_codes of more than one kernel */
extern int	lb_scan_codes_avx2(int32_t *places, int32_t *dots,
							   const uint8_t *codes, int n_groups, int n_quads,
							   const int8_t *qcodes, int32_t start,
							   const int32_t *floors);
extern int	lb_scan_codes_vnni(int32_t *places, int32_t *dots,
							   const uint8_t *codes, int n_groups, int n_quads,
							   const int8_t *qcodes, int32_t start,
							   const int32_t *floors);

/* The k best keys so far, with room for more before they are sifted. */
typedef struct LbTop
{
	uint64_t   *keys;
	int64_t		n;
	int64_t		k;
	int64_t		room;
	uint64_t	floor;			/* a key must be above it: the k-th best seen
								 * at the last sifting, or LB_KEY_NONE */
	float		floor_score;	/* its score, or -infinity */
} LbTop;

/* Room that a collector wants for k <= n: twice k and some, but n at most. */
static inline int64_t
lb_top_room(int64_t k, int64_t n)
{
	int64_t		room = 2 * k + 256;

	return room < n ? room : n > 0 ? n : 1;
}

static inline void
lb_top_init(LbTop *top, uint64_t *keys, int64_t k, int64_t room)
{
	top->keys = keys;
	top->n = 0;
	top->k = k;
	top->room = room;
	top->floor = LB_KEY_NONE;
	top->floor_score = -INFINITY;
}

extern void lb_top_sift(LbTop *top);

static inline void
lb_top_push(LbTop *top, float raw, uint32_t id)
{
	uint64_t	key = lb_key_make(lb_score_finish(raw), id);

	if (key <= top->floor)
		return;
	if (top->n == top->room)
	{
		lb_top_sift(top);
		if (key <= top->floor)
			return;
	}
	top->keys[top->n++] = key;
}

/* Writes the best in ranking order; returns their number. */
extern int64_t lb_top_finish(LbTop *top, int64_t *ids, float *scores);

/* All or the allowed candidates to the collector, in float32. */
extern LbStatus lb_scan_plain(LbTop *top, const float *q,
							  const LbCandidates *set, LbCancel cancel);

/* Whether the index of the set, if any, is worth its while for this k. */
extern bool lb_index_pays(const LbCandidates *set, int64_t k);

/*
 * A scan of the index for one query: begin, each block of LB_GROUPS_PER_BLOCK
 * groups, end; then the collector has the answer.  Many queries may take
 * turns at a block while it is in L1.  scratch is lb_index_scan_bytes();
 * NULL: this query is for the plain scan.
 */
typedef struct LbIndexScan LbIndexScan;

extern size_t lb_index_scan_bytes(int64_t n, int64_t k);
extern LbIndexScan *lb_index_begin(LbTop *top, const float *q,
								   const LbCandidates *set, void *scratch);
extern void lb_index_block(LbIndexScan *scan, const LbScanKernel *kernel,
						   int64_t group);
extern void lb_index_end(LbIndexScan *scan);

#endif							/* LB_SCAN_INT_H */
