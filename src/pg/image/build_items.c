/*
 * build_items.c
 *		The parts of a serving image about recordings: the index of their
 *		vectors, popularity, weights of neighbours.
 */
#include "pg/image/build.h"

#include <math.h>

#include "utils/timestamp.h"

#include "core/scan/lb_scan.h"

#include "pg/image/image.h"
#include "pg/listens/weeks.h"
#include "pg/model/load.h"
#include "pg/model/neighbours.h"
#include "pg/server/kernels.h"
#include "pg/server/time.h"

typedef struct Lengths
{
	float	   *lengths;
	const float *vectors;
	int			D;
} Lengths;

static bool
measure(void *arg, int worker, int64 from, int64 to)
{
	Lengths    *l = arg;

	for (int64 i = from; i < to; i++)
	{
		const float *v = l->vectors + (Size) i * l->D;
		double		sum = 0;

		for (int d = 0; d < l->D; d++)
			sum += (double) v[d] * v[d];
		l->lengths[i] = (float) sqrt(sum);
	}
	return true;
}

/* Cosines divide by the lengths of vectors. */
static void
measure_candidates(ImageBuilder *b, const ServingModel *serving)
{
	ImageHeader *h = b->header;
	Lengths		l = {.lengths = unconstify(float *, serving->lengths),
		.vectors = serving->tower.candidates, .D = h->D};
	int64		n = h->row.n_recordings;
	LbStatus	status;

	LBREC_RUN((status = lb_threads_for(b->pool, n, 1, 256, measure, &l,
									   lbrec_cancel_flag())) == LB_CANCELLED);
	h->shortest = h->least = INFINITY;
	h->longest = 0;
	for (int64 i = 0; i < n; i++)
	{
		h->shortest = Min(h->shortest, l.lengths[i]);
		h->longest = Max(h->longest, l.lengths[i]);
		if (l.lengths[i] > 0)
			h->least = Min(h->least, l.lengths[i]);
	}
}

static void
index_candidates(ImageBuilder *b, const ServingModel *serving)
{
	LbStatus	status;

	LBREC_RUN((status = lb_index_build(unconstify(void *, serving->index),
									   serving->tower.candidates,
									   serving->tower.n_recordings,
									   b->header->D, b->pool,
									   lbrec_cancel_flag())) == LB_CANCELLED);
	lbrec_check_status(status, "a candidate's vector");
}

/* Popularity as of now; see src/pg/serve/popularity.c. */
static void
put_popularity(ImageBuilder *b, const ServingModel *serving)
{
	ImageHeader *h = b->header;
	int64		n = serving->tower.n_recordings;
	const int64 *offsets = serving->tower.week_offsets;
	const int32 *counts = serving->tower.week_counts;

	lbrec_week_range(&h->first_week, &h->last_week, counts, offsets[n]);
	/* a wrong clock may have made listens in the future */
	h->popular_week =
		Max(Min(h->last_week,
				lbrec_week_of(lbrec_unix_time(GetCurrentTimestamp()))),
			h->first_week);
	lbrec_popularity_of_weeks(unconstify(float *, serving->popular), offsets, counts,
							  n, h->popular_week);
}

/*
 * Turns the stored counts of neighbours, to which a later training can add,
 * into the weights that scores need, in place.
 */
static void
put_neighbours(ImageBuilder *b, const ServingModel *serving)
{
	const LbNeighbours *nb = &serving->tower.counted.neighbours;
	int			part = lbrec_find_part(b->loaded.parts, "neighbour_sums");
	float	   *weights = unconstify(float *, nb->weights);
	float	   *sums;

	if (part < 0)
		return;
	sums = palloc_extended(lbrec_tensor_size(&b->loaded.parts->part[part].shape),
						   MCXT_ALLOC_HUGE);
	lbrec_load_array(&b->loaded, part, sums);
	lbrec_neighbour_weights(weights, serving->tower.n_recordings, nb->offsets,
							nb->codes, weights, sums);
	pfree(sums);
}

void
lbrec_plan_items(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	int64		n = h->row.n_recordings;

	h->index = lbrec_reserve_part(b, lb_index_bytes(n, h->D));
	h->lengths = lbrec_reserve_part(b, n * sizeof(float));
	h->popular = lbrec_reserve_part(b, n * sizeof(float));
}

void
lbrec_make_items(ImageBuilder *b, ServingModel *serving)
{
	put_neighbours(b, serving);
	index_candidates(b, serving);
	measure_candidates(b, serving);
	put_popularity(b, serving);
}
