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
#include "pg/model/twotower.h"
#include "pg/store/versions.h"

#include "port/pg_bswap.h"

#define IMAGE_MAGIC 0x4c42494d	/* "LBIM" */
#define IMAGE_VERSION 8

typedef struct ImageInput
{
	InputSource source;
	LbInputKind kind;
	int32		cols;
	int64		rows;
	int64		table;			/* offset of (rows, cols) floats */
	/* SOURCE_FEATURE: the users' values */
	FeatureKind feature_kind;
	int64		n;				/* users with a value, the 0th included */
	int64		codes;			/* offset of int32 codes, or of numbers */
	int64		offsets;		/* bags: offset of (n + 1) int64 */
	double		mean;
	double		deviation;
} ImageInput;

/* A column that puts each recording into one category. */
typedef struct ImageGrouping
{
	char		column[NAMEDATALEN];
	int64		n;				/* recordings with a value, the 0th included */
	int64		codes;			/* offset of int32 codes; 0 is unknown */
} ImageGrouping;

typedef struct ImageHeader
{
	uint32		magic;
	uint32		image_version;
	uint64		size;			/* of the block, this header included */
	ModelRow	row;
	TimeScale	time;
	int32		D;
	int32		normalize;
	int32		summed;			/* towers without layers */
	int32		groups;			/* of columns, normalised apart */
	int32		history_length;
	int32		history_mean;
	int32		logq;
	double		temperature;
	double		repeat_power;	/* 0: no repeat term */
	int32		mixed;			/* scores have parts, weighed by mix */
	int32		has_neighbours;
	LbMix		mix;
	int32		n_groupings;
	ImageGrouping groupings[MAX_FEATURES];
	int32		n_inputs;
	ImageInput	inputs[LB_MAX_INPUTS];
	int32		n_layers;
	int32		layers[LB_MAX_LAYERS];
	int64		kernels[LB_MAX_LAYERS];
	int64		biases[LB_MAX_LAYERS];
	int64		user_keys;		/* (n_users) int64, ascending */
	int64		user_codes;		/* (n_users) int32 code of each */
	int64		recording_keys; /* (n_recordings) uuid, by candidate */
	int64		recording_order;	/* (n_recordings) int32 candidates by key */
	int64		recording_heads;	/* (n_recordings) uint64 of the keys,
									 * ascending */
	int64		recording_buckets;	/* (2^bucket_bits + 1) int32: the first
									 * place of heads that begin with these
									 * bits */
	int32		bucket_bits;
	int64		recording_listens;	/* (n_recordings) int64, by candidate */
	int64		popular;		/* (n_recordings) float, at popular_week */
	int64		week_offsets;	/* (n_recordings + 1) int64 */
	int64		week_counts;	/* (…, 2) int32: week, listens */
	int32		first_week;		/* since 1970 */
	int32		last_week;
	int32		popular_week;
	int64		history_offsets;	/* (n_users + 2) int64, by user code */
	int64		history_codes;	/* int32: recordings of users, latest first */
	int64		history_plays;	/* float: how often */
	int64		history_recency;	/* float: if there is a repeat term */
	int64		neighbour_offsets;	/* (n_recordings + 2) int64, by code */
	int64		neighbour_codes;	/* int32 */
	int64		neighbour_weights;	/* float */
	int64		candidates;		/* (n_recordings, D) floats */
	int64		index;			/* lb_index of the candidates */
	int64		lengths;		/* (n_recordings) floats, of candidates */
	double		shortest;		/* of lengths */
	double		least;			/* of those that are not 0 */
	double		longest;
} ImageHeader;

/* An image attached to this backend. */
typedef struct ServingModel
{
	const ImageHeader *image;
	TwoTower	tower;			/* its query side; pointers into the image */
	const int64 *user_keys;
	const int32 *user_codes;
	const pg_uuid_t *recording_keys;
	const int32 *recording_order;
	const uint64 *recording_heads;
	const int32 *recording_buckets;
	const int64 *recording_listens;
	const float *popular;
	const int64 *week_offsets;
	const int32 *week_counts;
	const float *history_plays;
	const float *candidates;
	const float *lengths;		/* of candidates */
	const void *index;
} ServingModel;

/* The vector (D) of a candidate. */
static inline const float *
lbrec_candidate_vector(const ServingModel *serving, int64 candidate)
{
	return serving->candidates + (Size) candidate * serving->image->D;
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
