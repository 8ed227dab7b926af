/*
 * lb_index_block.h
 *		The int8 index as a block of memory, for lb_index.c and
 *		lb_index_build.c.  The former tells what its numbers mean.
 */
#ifndef LB_INDEX_BLOCK_H
#define LB_INDEX_BLOCK_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/kernels/scan.h"

#define INDEX_MAGIC UINT64_C(0x3130786469626c)	/* "lbidx01" */
#define CODE_ZERO 128
#define CODE_MAX 127
#define LARGEST_EXACT 0x1p50f

/* 1.5 * 2^23: adding and taking it away rounds to the nearest integer */
#define ROUNDER 12582912.0f

typedef struct IndexHeader
{
	uint64_t	magic;			/* also tells the byte order */
	int64_t		n;
	int32_t		D;
	int32_t		usable;			/* 0: a component is above LARGEST_EXACT */
	uint64_t	bytes;			/* of the whole block */
	uint64_t	order_at;		/* offsets into the block */
	uint64_t	scale_at;
	uint64_t	norm_at;
	uint64_t	rest_at;
	uint64_t	codes_at;
} IndexHeader;

/* the same with pointers */
typedef struct Index
{
	int64_t		n_groups;
	int			n_quads;
	int32_t    *order;			/* (n): place -> candidate */
	float	   *scale;			/* (n_groups padded) s */
	float	   *norm;			/* (n_groups padded) largest |c| */
	float	   *rest;			/* (n_groups padded) largest |r| */
	uint8_t    *codes;			/* (n_groups, n_quads, 16, 4): C + 128 */
} Index;

static inline void
lb_index_plan(IndexHeader *header, int64_t n, int D)
{
	uint64_t	groups = (uint64_t) (n + LB_GROUP - 1) / LB_GROUP;
	uint64_t	padded = (groups + LB_GROUPS_PER_BLOCK - 1) /
		LB_GROUPS_PER_BLOCK * LB_GROUPS_PER_BLOCK;
	uint64_t	quads = (uint64_t) (D + 3) / 4;
	uint64_t	at = LB_ALIGN_UP(sizeof(IndexHeader));

	memset(header, 0, sizeof(*header));
	header->magic = INDEX_MAGIC;
	header->n = n;
	header->D = D;
	header->order_at = at;
	at += LB_ALIGN_UP(n * sizeof(int32_t));
	header->scale_at = at;
	at += LB_ALIGN_UP(padded * sizeof(float));
	header->norm_at = at;
	at += LB_ALIGN_UP(padded * sizeof(float));
	header->rest_at = at;
	at += LB_ALIGN_UP(padded * sizeof(float));
	header->codes_at = at;
	at += groups * quads * LB_GROUP * 4;
	header->bytes = at;
}

static inline void
lb_index_point(Index *index, const void *block)
{
	const IndexHeader *header = block;
	char	   *base = (char *) block;

	index->n_groups = (header->n + LB_GROUP - 1) / LB_GROUP;
	index->n_quads = (header->D + 3) / 4;
	index->order = (int32_t *) (base + header->order_at);
	index->scale = (float *) (base + header->scale_at);
	index->norm = (float *) (base + header->norm_at);
	index->rest = (float *) (base + header->rest_at);
	index->codes = (uint8_t *) (base + header->codes_at);
}

/* the largest component's bits; above 0x7f800000 when one is not finite */
static inline uint32_t
largest_bits(const float *c, int D)
{
	uint32_t	largest = 0;

	for (int d = 0; d < D; d++)
	{
		uint32_t	bits;

		memcpy(&bits, c + d, sizeof(bits));
		bits &= 0x7fffffffu;
		largest = bits > largest ? bits : largest;
	}
	return largest;
}

static inline float
float_from_bits(uint32_t bits)
{
	float		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* x as a float that is not below it, for sums of squares' roots */
static inline float
rounded_up(double x)
{
	return (float) (x * (1 + 0x1p-20) + FLT_MIN);
}

#endif							/* LB_INDEX_BLOCK_H */
