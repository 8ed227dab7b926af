/*
 * attach.c
 *		Reads serving images.
 */
#include "pg/server/lbrec.h"

#include "pg/image/image.h"
#include "pg/model/twotower.h"

/* Recordings that are looked up together. */
#define LOOKUPS 32

/* Makes pointers of an image's offsets. */
void
lbrec_attach_image(ServingModel *s, const ImageHeader *h)
{
	LbModel    *core = &s->tower.core;
	LbTower    *tower = &core->query;

#define AT(offset) ((void *) ((char *) h + (offset)))
	memset(s, 0, sizeof(ServingModel));
	s->image = h;
	s->tower.time = h->time;
	s->tower.n_users = h->row.n_users;
	s->tower.n_recordings = h->row.n_recordings;
	for (int i = 0; i < h->n_inputs; i++)
	{
		const ImageInput *input = &h->inputs[i];
		ModelInput *mine = &s->tower.query_inputs[i];

		mine->source = input->source;
		mine->kind = input->kind;
		mine->table = -1;
		if (input->kind != LB_INPUT_NUMBER)
		{
			mine->table = lb_model_add_table(core, "", input->rows,
											 input->cols, 0);
			core->tensors[mine->table].value = AT(input->table);
		}
		if (input->source == SOURCE_FEATURE)
		{
			FeatureValues *f = &s->tower.features[s->tower.n_features];

			mine->feature = s->tower.n_features++;
			f->kind = input->feature_kind;
			f->of_user = true;
			f->n = input->n;
			f->codes = f->bag_codes = AT(input->codes);
			f->numbers = AT(input->codes);
			f->offsets = AT(input->offsets);
			f->mean = input->mean;
			f->deviation = input->deviation;
		}
		lb_model_add_input(tower, mine->kind, mine->table);
	}
	if (lb_model_add_layers(core, tower, "query", h->layers, h->n_layers) !=
		LB_OK)
		elog(ERROR, "could not lay out the query tower");
	for (int l = 0; l < h->n_layers; l++)
	{
		core->tensors[tower->kernel[l]].value = AT(h->kernels[l]);
		core->tensors[tower->bias[l]].value = AT(h->biases[l]);
	}
	tower->normalize = h->normalize;
	tower->groups = h->groups;
	s->tower.summed = h->summed;
	s->tower.history_length = h->history_length;
	s->tower.history_mean = h->history_mean;
	s->tower.history_offsets = AT(h->history_offsets);
	s->tower.history_codes = AT(h->history_codes);
	s->tower.history_plays = s->history_plays = AT(h->history_plays);
	s->tower.history_recency = h->history_recency ?
		AT(h->history_recency) : NULL;
	s->tower.mixed = h->mixed;
	s->tower.mix = h->mix;
	if (h->has_neighbours)
	{
		s->tower.neighbours.offsets = AT(h->neighbour_offsets);
		s->tower.neighbours.codes = AT(h->neighbour_codes);
		s->tower.neighbours.weights = AT(h->neighbour_weights);
	}
	s->user_keys = AT(h->user_keys);
	s->user_codes = AT(h->user_codes);
	s->recording_keys = AT(h->recording_keys);
	s->recording_order = AT(h->recording_order);
	s->recording_heads = AT(h->recording_heads);
	s->recording_listens = AT(h->recording_listens);
	s->popular = AT(h->popular);
	s->week_offsets = AT(h->week_offsets);
	s->week_counts = AT(h->week_counts);
	s->candidates = AT(h->candidates);
	s->index = AT(h->index);
	s->recording_buckets = AT(h->recording_buckets);
	s->lengths = AT(h->lengths);
#undef AT
}

/* A user's code, or 0 when the model does not know the user. */
int32
lbrec_user_code(const ServingModel *s, int64 user_id)
{
	int64		low = 0;
	int64		high = s->tower.n_users;

	while (low < high)
	{
		int64		middle = (low + high) / 2;

		if (s->user_keys[middle] < user_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->tower.n_users && s->user_keys[low] == user_id ?
		s->user_codes[low] : 0;
}

static inline const int32 *
bucket_of(const ServingModel *s, uint64 head)
{
	return s->recording_buckets +
		lbrec_key_bucket(head, s->image->bucket_bits);
}

/*
 * The first place among the ascending heads that is not below head.  MSIDs and
 * MBIDs are random, so a bucket has some eight; keys that are not random take
 * the steps of a search among more.
 */
static inline int64
find_head(const ServingModel *s, uint64 head)
{
	const int32 *bucket = bucket_of(s, head);
	int64		low = bucket[0];
	int64		high = bucket[1];

	while (low < high)
	{
		int64		middle = (low + high) / 2;

		if (s->recording_heads[middle] < head)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A recording's index among the candidates, or -1, from find_head()'s place. */
static int32
candidate_from(const ServingModel *s, const pg_uuid_t *recording, int64 low)
{
	uint64		head = lbrec_key_head(recording);
	int64		high = s->tower.n_recordings;

	/* mostly one key has that head; but there may be ones that all share it */
	for (int64 middle = low; low < high; middle = (low + high) / 2)
	{
		int32		candidate = s->recording_order[middle];
		int			c = s->recording_heads[middle] > head ? 1 :
		memcmp(s->recording_keys[candidate].data, recording->data, UUID_LEN);

		if (c == 0)
			return candidate;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* A recording's index among the candidates, or -1. */
int32
lbrec_candidate_of(const ServingModel *s, const pg_uuid_t *recording)
{
	return candidate_from(s, recording,
						  find_head(s, lbrec_key_head(recording)));
}

/*
 * The same of many, which wait for memory together: each takes heads, a place
 * and a key that are far from those of the one before.
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
				__builtin_prefetch(s->recording_keys +
								   s->recording_order[places[j]]);
		for (int j = 0; j < m; j++)
			candidates[i + j] = candidate_from(s, &some[j], places[j]);
	}
}

/*
 * The codes (n) of recordings in a column of the candidate tower, by candidate
 * plus one; NULL when the model has no such column.
 */
const int32 *
lbrec_grouping(const ServingModel *s, const char *column, int64 *n)
{
	for (int i = 0; i < s->image->n_groupings; i++)
	{
		const ImageGrouping *g = &s->image->groupings[i];

		if (strcmp(g->column, column) != 0)
			continue;
		*n = g->n;
		return (const int32 *) ((const char *) s->image + g->codes);
	}
	return NULL;
}
