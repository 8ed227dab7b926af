/*
 * lb_scan_tiles.c
 *		Computes the scores of some queries and all candidates, tile by tile.
 *
 * lb_scan_pack.h does the packing. Here a tile of scores is stored, because
 * its reader needs more than a comparison with a threshold.
 */
#include "core/scan/lb_scan_tiles.h"

#include "core/kernels/lb_kernels.h"
#include "core/lb_arena.h"
#include "core/scan/lb_scan_pack.h"

_Static_assert(LB_TILE_QUERIES >= LB_QUERY_LANES, "a tile has all lanes");

typedef struct Own
{
	float	   *qt;				/* (queries / lanes, D, lanes) */
	float	   *cpack;			/* (tile / mr, D, mr) */
	float	   *scores;			/* (tile, lanes) */
} Own;

static size_t
cut_own(Own *own, char *block, int n_queries, int D)
{
	LbArena		arena = {block};
	size_t		lanes = (size_t) (n_queries + LB_QUERY_LANES - 1) /
		LB_QUERY_LANES * LB_QUERY_LANES;

	own->qt = lb_arena_cut(&arena, lanes * D * sizeof(float));
	own->cpack = lb_arena_cut(&arena, (size_t) tile_size(D) * D *
							  sizeof(float));
	own->scores = lb_arena_cut(&arena, (size_t) tile_size(D) *
							   LB_QUERY_LANES * sizeof(float));
	return arena.used;
}

size_t
lb_tiles_bytes(int n_queries, int D)
{
	Own			own;

	return cut_own(&own, NULL, n_queries, D);
}

LbStatus
lb_visit_tiles(const float *q, int n_queries, const float *c, int64_t n,
			   int D, void *scratch, LbTileVisitor visit, void *arg,
			   LbCancel cancel)
{
	const LbScanKernel *kernel = &lb_kernels()->scan;
	int			lanes = kernel->lanes;
	int			tile;
	Own			own;

	if (n_queries < 0 || n < 0 || n > LB_SCAN_MAX_N || D < 1 ||
		D > LB_SCAN_MAX_D)
		return LB_BAD_ARGUMENT;
	tile = tile_size(D);
	cut_own(&own, scratch, n_queries, D);
	pack_queries(own.qt, q, NULL, n_queries, lanes, D);
	for (int64_t first = 0; first < n && n_queries > 0; first += tile)
	{
		int			m = n - first < tile ? (int) (n - first) : tile;
		int			n_blocks = pack_candidates(own.cpack, c, first, NULL, m,
											   kernel->mr, D);

		for (int i = 0; i < n_queries; i += lanes)
		{
			LbScoreTile t = {
				.first_query = i,
				.n_queries = n_queries - i < lanes ? n_queries - i : lanes,
				.first_candidate = first, .n_candidates = m,
				.scores = own.scores, .stride = lanes
			};

			if (LB_CANCEL_REQUESTED(cancel))
				return LB_CANCELLED;
			kernel->tile_scores(own.scores, own.qt + (size_t) i * D,
								own.cpack, D, n_blocks);
			visit(arg, &t);
		}
	}
	return LB_OK;
}
