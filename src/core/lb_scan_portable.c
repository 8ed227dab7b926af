/*
 * lb_scan_portable.c
 *		The scans in plain C: any CPU, and what the others are tested against.
 */
#include "core/lb_scan_int.h"

#define LANES 8
#define MR 4

static inline float
chain(const float *q, const float *c, int D)
{
	float		acc = 0;

	for (int d = 0; d < D; d++)
		acc = lb_fused(q[d], c[d], acc);
	return acc;
}

static void
score_range(float *out, const float *q, const float *c, int D, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = chain(q, c + (size_t) i * D, D);
}

static void
score_rows(float *out, const float *q, const float *c, int D,
		   const int32_t *rows, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = chain(q, c + (size_t) rows[i] * D, D);
}

/* chains of LANES queries and MR candidates */
static inline void
block_chains(float acc[MR][LANES], const float *qt, const float *cpack, int D)
{
	memset(acc, 0, sizeof(float) * MR * LANES);
	for (int d = 0; d < D; d++)
	{
		for (int r = 0; r < MR; r++)
		{
			for (int l = 0; l < LANES; l++)
				acc[r][l] = lb_fused(qt[d * LANES + l], cpack[d * MR + r],
									 acc[r][l]);
		}
	}
}

static void
tile_counts(int32_t *counts, const float *floor, const float *qt,
			const float *cpack, int D, int n_blocks)
{
	for (int b = 0; b < n_blocks; b++)
	{
		float		acc[MR][LANES];

		block_chains(acc, qt, cpack + (size_t) b * MR * D, D);
		for (int r = 0; r < MR; r++)
		{
			for (int l = 0; l < LANES; l++)
				counts[l] += acc[r][l] > floor[l];
		}
	}
}

static int
tile_hits(LbHit *hits, int max_hits, const float *floor, const float *qt,
		  const float *cpack, int D, int *n_blocks)
{
	int			n_hits = 0;
	int			b;

	for (b = 0; b < *n_blocks && n_hits + LANES * MR <= max_hits; b++)
	{
		float		acc[MR][LANES];

		block_chains(acc, qt, cpack + (size_t) b * MR * D, D);
		for (int r = 0; r < MR; r++)
		{
			for (int l = 0; l < LANES; l++)
			{
				if (acc[r][l] < floor[l])
					continue;
				hits[n_hits].lane = l;
				hits[n_hits].candidate = b * MR + r;
				hits[n_hits].score = acc[r][l];
				n_hits++;
			}
		}
	}
	*n_blocks = b;
	return n_hits;
}

static int
scan_codes(int32_t *places, int32_t *dots, const uint8_t *codes, int n_groups,
		   int n_quads, const int8_t *qcodes, int32_t start,
		   const int32_t *floors)
{
	int			n = 0;

	for (int g = 0; g < n_groups; g++)
	{
		int32_t		acc[LB_GROUP];

		for (int l = 0; l < LB_GROUP; l++)
			acc[l] = start;
		for (int k = 0; k < n_quads; k++, codes += LB_GROUP * 4)
		{
			for (int l = 0; l < LB_GROUP; l++)
			{
				for (int d = 0; d < 4; d++)
					acc[l] += codes[l * 4 + d] * qcodes[k * 4 + d];
			}
		}
		for (int l = 0; l < LB_GROUP; l++)
		{
			if (acc[l] < floors[g])
				continue;
			places[n] = g * LB_GROUP + l;
			dots[n] = acc[l];
			n++;
		}
	}
	return n;
}

const LbScanKernel lb_scan_portable = {
	.lanes = LANES,
	.mr = MR,
	.score_range = score_range,
	.score_rows = score_rows,
	.tile_counts = tile_counts,
	.tile_hits = tile_hits,
	.scan_codes = scan_codes,
};
