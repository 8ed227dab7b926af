/*
 * image.h
 *		A model as serving reads it: one read-only block of memory.
 *
 * The block is position-independent: it holds offsets from its beginning, so
 * that it can lie in a backend's memory or in a file that many backends map.
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
 * The block has the stored arrays that serving needs, as in the tables, with
 * two exceptions: user keys are sorted, and counts of neighbours have become
 * weights.  The configuration decides which arrays (parts.h).
 */
typedef struct ImageHeader
{
	uint32		magic;
	uint32		image_version;
	uint64		size;			/* bytes of the block, this header included */
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
	int64		recording_buckets;	/* (2^bucket_bits + 1) int32: for each
									 * bucket, the place of its first head */
	int32		bucket_bits;
	int32		first_week;		/* number since 1970 */
	int32		last_week;
	int32		popular_week;
	int64		popular;		/* (n_recordings) float, popularity at
								 * popular_week */
	int64		index;			/* lb_index over the candidates */
	int64		lengths;		/* (n_recordings) floats, lengths of vectors */
	double		shortest;		/* smallest length */
	double		least;			/* smallest length above 0 */
	double		longest;
} ImageHeader;

/* An image attached to this backend. */
typedef struct ServingModel
{
	const ImageHeader *image;	/* sizes to divide by come from a copy: they
								 * must not vanish with the file */
	ImageHeader header;
	TwoTower	tower;			/* query tower; its pointers lead into the
								 * image */
	const int32 *user_codes;
	const int32 *recording_order;
	const uint64 *recording_heads;
	const int32 *recording_buckets;
	const float *popular;
	const float *lengths;		/* lengths of candidates' vectors */
	bool		knows_tastes;	/* else popularity is all that the model knows */
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

/* The first bits of a head; 0 for no bits. */
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
