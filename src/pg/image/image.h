/*
 * image.h
 *		A model as serving reads it: one read-only block.
 *
 * The block is position-independent: places are offsets from its beginning,
 * so that it can lie in a backend's memory or in a file that many map.
 */
#ifndef LBREC_IMAGE_IMAGE_H
#define LBREC_IMAGE_IMAGE_H

#include "pg/listens/dataset.h"
#include "pg/model/config.h"
#include "pg/model/parts.h"
#include "pg/model/twotower.h"
#include "pg/store/versions.h"

#include "port/pg_bswap.h"

#define IMAGE_MAGIC 0x4c42494d	/* "LBIM" */
#define IMAGE_VERSION 9

/*
 * The stored arrays that serving needs lie in the block as the tables have
 * them, but for two: user keys are ascending, and the counts of neighbours
 * have become weights.  Their list follows from the configuration (parts.h).
 */
typedef struct ImageHeader
{
	uint32		magic;
	uint32		image_version;
	uint64		size;			/* of the block, this header included */
	ModelRow	row;
	ModelConfig config;
	int32		D;				/* length of vectors */
	int32		n_parts;
	int64		parts[MAX_SERVING_PARTS];	/* offsets of stored arrays */
	int64		part_rows[MAX_SERVING_PARTS];
	int64		user_codes;		/* (n_users) int32 code of each key */
	int64		recording_order;	/* (n_recordings) int32 candidates by key */
	int64		recording_heads;	/* (n_recordings) uint64 of the keys,
									 * ascending */
	int64		recording_buckets;	/* (2^bucket_bits + 1) int32: the first
									 * place of heads that begin with these
									 * bits */
	int32		bucket_bits;
	int32		first_week;		/* since 1970 */
	int32		last_week;
	int32		popular_week;
	int64		popular;		/* (n_recordings) float, at popular_week */
	int64		index;			/* lb_index of the candidates */
	int64		lengths;		/* (n_recordings) floats, of candidates */
	double		shortest;		/* of lengths */
	double		least;			/* of those that are not 0 */
	double		longest;
} ImageHeader;

/* An image attached to this backend. */
typedef struct ServingModel
{
	const ImageHeader *image;	/* the copy below: sizes that are divided by
								 * do not vanish with the file */
	ImageHeader header;
	TwoTower	tower;			/* its query side; pointers into the image */
	const int32 *user_codes;
	const int32 *recording_order;
	const uint64 *recording_heads;
	const int32 *recording_buckets;
	const float *popular;
	const float *lengths;		/* of candidates */
	bool		tells_tastes;	/* else all that is known is popularity */
	const void *index;
} ServingModel;

/* The vector (D) of a candidate. */
static inline const float *
lbrec_candidate_vector(const ServingModel *serving, int64 candidate)
{
	return serving->tower.candidates + (Size) candidate * serving->image->D;
}

extern const int32 *lbrec_grouping(const ServingModel *serving,
								   const char *column, int64 *n);
extern void lbrec_check_image(const ModelRow *row);
extern void lbrec_attach_image(ServingModel *serving,
							   const ImageHeader *image);

/* The first eight bytes of a key as a number that is ordered like the keys. */
static inline uint64
lbrec_key_head(const pg_uuid_t *recording)
{
	uint64		head;

	memcpy(&head, recording->data, sizeof(head));
	return pg_ntoh64(head);
}

/* Its first bits; of none, 0. */
static inline int64
lbrec_key_bucket(uint64 head, int bits)
{
	return (int64) (head >> 1 >> (63 - bits));
}

extern int32 lbrec_user_code(const ServingModel *serving, int64 user_id);
extern int32 lbrec_candidate_of(const ServingModel *serving,
								const pg_uuid_t *recording);
extern void lbrec_candidates_of(int32 *candidates,
								const ServingModel *serving,
								const pg_uuid_t *recordings, int n);

#endif							/* LBREC_IMAGE_IMAGE_H */
