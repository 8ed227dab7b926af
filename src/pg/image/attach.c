/*
 * attach.c
 *		Reads serving images.
 */
#include "pg/server/lbrec.h"

#include "pg/image/image.h"
#include "pg/model/layout.h"
#include "pg/model/parts.h"
#include "pg/model/twotower.h"
#include "pg/server/search.h"

/* Number of recordings looked up together. */
#define LOOKUPS 32

/* Turns an image's offsets into pointers. */
void
lbrec_attach_image(ServingModel *s, const ImageHeader *h)
{
	StoredParts *parts = lbrec_list_parts(&h->config, h->row.n_users,
										  h->row.n_recordings);
	int			n = 0;

#define AT(offset) ((void *) ((char *) h + (offset)))
	memset(s, 0, sizeof(ServingModel));
	s->header = *h;
	s->image = &s->header;
	for (int i = 0; i < parts->n; i++)
		if (parts->part[i].uses & PART_SERVES)
			parts->part[i].shape.rows = h->part_rows[n++];
	Assert(n == h->n_parts);
	n = 0;
	lbrec_lay_out(&s->tower, &h->config, false, parts, h->row.n_users,
				  h->row.n_recordings);
	for (int i = 0; i < parts->n; i++)
		if (parts->part[i].uses & PART_SERVES)
			*lbrec_part_place(&parts->part[i], &s->tower) = AT(h->parts[n++]);
	pfree(parts);
	s->tower.counted.neighbours.weights = s->tower.counted.neighbour_counts;
	s->tower.counted.neighbour_counts = NULL;
	s->user_codes = AT(h->user_codes);
	s->recording_order = AT(h->recording_order);
	s->recording_heads = AT(h->recording_heads);
	s->recording_buckets = AT(h->recording_buckets);
	s->popular = AT(h->popular);
	s->index = AT(h->index);
	s->lengths = AT(h->lengths);
	s->knows_tastes = lbrec_knows_tastes(&s->tower);
#undef AT
}

/* A user's code, or 0 if the model does not know the user. */
int32
lbrec_user_code(const ServingModel *s, int64 user_id)
{
	const int64 *keys = s->tower.user_keys;
	int64		at;

	LBREC_SEARCH(at, 0, s->tower.n_users, keys[at] < user_id);
	return at < s->tower.n_users && keys[at] == user_id ?
		s->user_codes[at] : 0;
}

static inline const int32 *
bucket_of(const ServingModel *s, uint64 head)
{
	return s->recording_buckets +
		lbrec_key_bucket(head, s->image->bucket_bits);
}

/*
 * The first place among the ascending heads that is not below head.  MSIDs and
 * MBIDs are random, so a bucket has about eight; other keys only need more
 * steps of the binary search.
 */
static inline int64
find_head(const ServingModel *s, uint64 head)
{
	const int32 *bucket = bucket_of(s, head);
	int64		at;

	LBREC_SEARCH(at, bucket[0], bucket[1], s->recording_heads[at] < head);
	return at;
}

/* A recording's candidate number, or -1, given find_head()'s place. */
static int32
candidate_from(const ServingModel *s, const pg_uuid_t *recording, int64 low)
{
	uint64		head = lbrec_key_head(recording);
	int64		high = s->tower.n_recordings;

	/* usually one key has this head, but all keys may share it */
	for (int64 middle = low; low < high; middle = (low + high) / 2)
	{
		int32		candidate = s->recording_order[middle];
		int			c = s->recording_heads[middle] > head ? 1 :
		memcmp(s->tower.recording_keys[candidate].data, recording->data, UUID_LEN);

		if (c == 0)
			return candidate;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* A recording's candidate number, or -1. */
int32
lbrec_candidate_of(const ServingModel *s, const pg_uuid_t *recording)
{
	return candidate_from(s, recording,
						  find_head(s, lbrec_key_head(recording)));
}

/*
 * Looks up many recordings step by step together, so that their cache misses
 * overlap: each needs heads, a place and a key far from those of the others.
 */
void
lbrec_candidates_of(int32 *candidates, const ServingModel *s,
					const pg_uuid_t *recordings, int n)
{
	int64		places[LOOKUPS];

	for (int i = 0; i < n; i += LOOKUPS)
	{
		const pg_uuid_t *some = recordings + i;
		int			m = Min(n - i, LOOKUPS);

		for (int j = 0; j < m; j++)
			__builtin_prefetch(s->recording_heads +
							   *bucket_of(s, lbrec_key_head(&some[j])));
		for (int j = 0; j < m; j++)
		{
			places[j] = find_head(s, lbrec_key_head(&some[j]));
			__builtin_prefetch(s->recording_order + places[j]);
		}
		for (int j = 0; j < m; j++)
			if (places[j] < s->tower.n_recordings)
				__builtin_prefetch(s->tower.recording_keys +
								   s->recording_order[places[j]]);
		for (int j = 0; j < m; j++)
			candidates[i + j] = candidate_from(s, &some[j], places[j]);
	}
}

/*
 * The codes (n) of recordings in a column of the candidate tower, by candidate
 * plus one; NULL if the model lacks the column.
 */
const int32 *
lbrec_grouping(const ServingModel *s, const char *column, int64 *n)
{
	for (int i = 0; i < s->tower.n_features; i++)
	{
		const FeatureValues *f = &s->tower.features[i];

		if (f->of_user || f->kind != FEATURE_CATEGORY ||
			strcmp(f->name, column) != 0)
			continue;
		*n = f->n;
		return f->codes;
	}
	return NULL;
}
