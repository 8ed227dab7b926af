/*
 * sql_vectors.c
 *		Scores of given recordings, embeddings, and what is near to what.
 */
#include "lbrec.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "coldstart.h"

PG_FUNCTION_INFO_V1(lbrec_score);
PG_FUNCTION_INFO_V1(lbrec_user_embedding);
PG_FUNCTION_INFO_V1(lbrec_recording_embedding);
PG_FUNCTION_INFO_V1(lbrec_recording_embeddings);
PG_FUNCTION_INFO_V1(lbrec_similar);
PG_FUNCTION_INFO_V1(lbrec_similar_users);

/* Vectors that are given unit length at a time. */
#define BLOCK_ROWS 8192

/* Cosines that are computed at once. */
#define COSINES 256

static const float *
candidate_vector(const ServingModel *serving, int32 candidate)
{
	return serving->candidates + (Size) candidate * serving->image->D;
}

static int32
known_recording(const ServingModel *serving, const pg_uuid_t *recording)
{
	int32		candidate = lbrec_candidate_of(serving, recording);

	if (candidate < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("model \"%s\" does not know recording %s",
						serving->image->row.name,
						DatumGetCString(DirectFunctionCall1(uuid_out,
															UUIDPGetDatum(recording)))),
				 errdetail("The recording had no listens in the query that version %d was trained on.",
						   serving->image->row.version),
				 errhint("Train again when the recording has listens.")));
	return candidate;
}

/*
 * lbrec_score(user_id, recordings, model, at, listens): scores in the order of
 * the array, null where the model does not know the recording.
 */
Datum
lbrec_score(PG_FUNCTION_ARGS)
{
	const ServingModel *serving;
	Occasion	occasion;
	Asker		asker;
	Datum	   *keys;
	bool	   *nulls;
	Datum	   *scores;
	int			n;
	int			lower = 1;

	lbrec_check_declaration(fcinfo, 4, 5, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	occasion = lbrec_occasion(fcinfo, 3, 4);
	serving = lbrec_open_model(lbrec_model_argument(fcinfo, 2));
	lbrec_identify(&asker, serving, PG_GETARG_INT64(0), &occasion);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), UUIDOID, UUID_LEN, false,
					  TYPALIGN_CHAR, &keys, &nulls, &n);
	if (n == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(FLOAT4OID));
	scores = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
	{
		int32		c = nulls[i] ? -1 :
		lbrec_candidate_of(serving, DatumGetUUIDP(keys[i]));

		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		nulls[i] = c < 0;
		scores[i] = c < 0 ? (Datum) 0 :
			Float4GetDatum(lbrec_asked_score(&asker, c));
	}
	PG_RETURN_ARRAYTYPE_P(construct_md_array(scores, nulls, 1, &n, &lower,
											 FLOAT4OID, sizeof(float4), true,
											 TYPALIGN_INT));
}

/* lbrec_user_embedding(user_id, model, at, listens): the query vector */
Datum
lbrec_user_embedding(PG_FUNCTION_ARGS)
{
	const ServingModel *serving;
	Occasion	occasion;
	Asker		asker;
	int64		user_id;

	lbrec_check_declaration(fcinfo, 3, 4, 0);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	user_id = PG_GETARG_INT64(0);
	occasion = lbrec_occasion(fcinfo, 2, 3);
	serving = lbrec_open_model(lbrec_model_argument(fcinfo, 1));
	lbrec_identify(&asker, serving, user_id, &occasion);
	if (asker.basis == BASIS_POPULAR)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("model \"%s\" does not know user %lld",
						serving->image->row.name, (long long) user_id),
				 errdetail("The user has no listens now either that a vector could be made of."),
				 errhint("Name the table or query that has them with listens; lbrec_recommend() answers with popular recordings.")));
	PG_RETURN_ARRAYTYPE_P(lbrec_float_array(asker.query, asker.D));
}

/* lbrec_recording_embedding(recording, model): the candidate vector */
Datum
lbrec_recording_embedding(PG_FUNCTION_ARGS)
{
	const ServingModel *serving;
	int32		candidate;

	lbrec_check_declaration(fcinfo, 2, 2, 0);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	serving = lbrec_open_model(lbrec_model_argument(fcinfo, 1));
	candidate = known_recording(serving, PG_GETARG_UUID_P(0));
	PG_RETURN_ARRAYTYPE_P(lbrec_float_array(candidate_vector(serving,
															 candidate),
											serving->image->D));
}

/* lbrec_recording_embeddings(model): all of them */
Datum
lbrec_recording_embeddings(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, 1, 1, 2);
	const ServingModel *serving;
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext,
											  "lbrec embedding",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;

	serving = lbrec_open_model(lbrec_model_argument(fcinfo, 0));
	old = MemoryContextSwitchTo(row);
	for (int32 c = 0; c < serving->tower.n_recordings; c++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		CHECK_FOR_INTERRUPTS();
		values[0] = UUIDPGetDatum(&serving->recording_keys[c]);
		values[1] = PointerGetDatum(lbrec_float_array(candidate_vector(serving,
																	   c),
													  serving->image->D));
		lbrec_put_row(&sink, values, nulls);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
	return (Datum) 0;
}

/* out (n, D): rows of vectors at unit length; a zero vector stays zero */
static void
unit_rows(float *out, const float *vectors, int n, int D)
{
	for (int i = 0; i < n; i++)
	{
		const float *v = vectors + (Size) i * D;
		double		sum = 0;
		float		inverse;

		for (int d = 0; d < D; d++)
			sum += (double) v[d] * v[d];
		inverse = sum > 0 ? (float) (1 / sqrt(sum)) : 0;
		for (int d = 0; d < D; d++)
			out[(Size) i * D + d] = v[d] * inverse;
	}
}

typedef struct Neighbour
{
	float		score;
	int64		row;
} Neighbour;

static int
compare_neighbours(const void *a, const void *b)
{
	const Neighbour *x = a;
	const Neighbour *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/*
 * The k rows of vectors (n, D) nearest to row self by cosine, self left out.
 * Blocks are searched one after another; the best of each compete.
 */
static int64
nearest(Neighbour *best, const float *vectors, int64 n, int D, int64 self,
		int64 k)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec nearest",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int64		in_block = Min(k, BLOCK_ROWS);
	float	   *query = lbrec_alloc_aligned(context, D * sizeof(float),
											"query");
	float	   *block = lbrec_alloc_aligned(context, (Size) BLOCK_ROWS * D *
											sizeof(float), "block of vectors");
	Neighbour  *pool = palloc_extended((k + in_block) * sizeof(Neighbour),
									   MCXT_ALLOC_HUGE);
	int64	   *ids = palloc(in_block * sizeof(int64));
	float	   *scores = palloc(in_block * sizeof(float));
	LbCandidates set = {.c = block, .n = BLOCK_ROWS, .D = D};
	void	   *scratch = lbrec_alloc_aligned(context,
											  lb_topk_bytes(&set, in_block),
											  "selection");
	int64		n_pool = 0;

	unit_rows(query, vectors + self * D, 1, D);
	for (int64 from = 0; from < n; from += BLOCK_ROWS)
	{
		int64		found;

		CHECK_FOR_INTERRUPTS();
		set.n = Min(n - from, BLOCK_ROWS);
		unit_rows(block, vectors + from * D, (int) set.n, D);
		lbrec_check_status(lb_topk(&found, ids, scores, query, &set,
								   Min(in_block, set.n), scratch, NULL),
						   "a score");
		for (int64 i = 0; i < found; i++)
			if (from + ids[i] != self)
			{
				pool[n_pool].score = scores[i];
				pool[n_pool++].row = from + ids[i];
			}
		qsort(pool, n_pool, sizeof(Neighbour), compare_neighbours);
		n_pool = Min(n_pool, k);
	}
	memcpy(best, pool, n_pool * sizeof(Neighbour));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return n_pool;
}

/* Unit vectors' product by two ways of rounding differs by less than this. */
static double
slack(int D)
{
	return 4 * (D + 4) * ldexp(1, -24);
}

/* The best k first, and all that may be among them: how many that are. */
static int64
thin(Neighbour *pool, int64 n, int64 k, double margin)
{
	if (n <= k)
		return n;
	qsort(pool, n, sizeof(Neighbour), compare_neighbours);
	while (n > k && pool[n - 1].score < pool[k - 1].score - margin)
		n--;
	return n;
}

/*
 * What nearest() finds, from the lengths that the image has; -1 where these
 * are too extreme.
 *
 * A product divided by the length is the cosine but for rounding, of which
 * slack() is more than twice what there can be: a product of D terms is off
 * by less than (D + 1) 2^-24 times both lengths, making a row unit length by
 * less than 3 * 2^-24.  So what is more than two slacks below the k-th best
 * quotient has k above it by whatever rounding, and the others' cosines are
 * computed as nearest() does.
 */
static int64
nearest_by_lengths(Neighbour *best, const ServingModel *serving, int64 self,
				   int64 k)
{
	int			D = serving->image->D;
	int64		n = serving->tower.n_recordings;
	MemoryContext context;
	MemoryContext old;
	double		margin = 2 * slack(D);
	int64		room = 4 * k + 1024;
	int64		n_pool = 0;
	float		floor = -INFINITY;
	float	   *query;
	float	   *unit;
	Neighbour  *pool;
	int32		rows[COSINES];
	float		products[COSINES];

	if (serving->image->longest > ldexp(1, 60) ||
		serving->image->least < ldexp(1, -60))
		return -1;
	context = AllocSetContextCreate(CurrentMemoryContext, "lbrec nearest",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	query = lbrec_alloc_aligned(context, D * sizeof(float), "query");
	unit = lbrec_alloc_aligned(context, D * sizeof(float), "vector");
	pool = palloc_extended(room * sizeof(Neighbour), MCXT_ALLOC_HUGE);
	unit_rows(query, candidate_vector(serving, self), 1, D);
	for (int i = 0; i < COSINES; i++)
		rows[i] = i;
	for (int64 from = 0; from < n; from += COSINES)
	{
		int			m = (int) Min(n - from, COSINES);

		CHECK_FOR_INTERRUPTS();
		if (room - n_pool < COSINES)
		{
			n_pool = thin(pool, n_pool, k, margin);
			floor = pool[k - 1].score - margin;
			/* many are equal */
			if (room - n_pool < room / 2)
				pool = repalloc_huge(pool, (room *= 2) * sizeof(Neighbour));
		}
		lb_score_rows(products, query, candidate_vector(serving, from), D,
					  rows, m);
		for (int i = 0; i < m; i++)
		{
			float		length = serving->lengths[from + i];
			float		cosine = length > 0 ? products[i] / length : 0;

			if (cosine >= floor)
			{
				pool[n_pool].score = cosine;
				pool[n_pool++].row = from + i;
			}
		}
	}
	n_pool = thin(pool, n_pool, k, margin);
	for (int64 i = 0; i < n_pool; i++)
	{
		CHECK_FOR_INTERRUPTS();
		unit_rows(unit, candidate_vector(serving, pool[i].row), 1, D);
		pool[i].score = lb_score(query, unit, D);
	}
	qsort(pool, n_pool, sizeof(Neighbour), compare_neighbours);
	room = n_pool;
	n_pool = 0;
	for (int64 i = 0; i < room && n_pool < k; i++)
		if (pool[i].row != self)
			best[n_pool++] = pool[i];
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return n_pool;
}

/*
 * What nearest() finds, by way of the index, which knows products and no
 * cosines; -1 where it cannot tell.  It can where vectors are about as long
 * as one another, as towers give them that end in unit length.
 *
 * Whoever is not among the m best products has none above that of the last of
 * them, p, so its cosine is at most p / the shortest length, but for slack().
 * So if the k-th best cosine of those m is above that, nobody else's is as
 * high.
 */
static int64
nearest_by_index(Neighbour *best, const ServingModel *serving, int64 self,
				 int64 k)
{
	int			D = serving->image->D;
	LbCandidates set = {.c = serving->candidates,
		.n = serving->tower.n_recordings, .D = D, .index = serving->index};
	int64		m = Min(2 * k + 64, set.n);
	MemoryContext context;
	MemoryContext old;
	double		shortest = serving->image->shortest;
	double		bound;
	float	   *query;
	float	   *unit;
	int64	   *ids;
	float	   *scores;
	Neighbour  *pool;
	int64		found;
	bool		proven;
	LbStatus	status;

	if (m > set.n / 8 || !(shortest > 0.99 * serving->image->longest))
		return -1;
	context = AllocSetContextCreate(CurrentMemoryContext, "lbrec nearest",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	query = lbrec_alloc_aligned(context, D * sizeof(float), "query");
	unit = lbrec_alloc_aligned(context, D * sizeof(float), "vector");
	ids = palloc_extended(m * sizeof(int64), MCXT_ALLOC_HUGE);
	scores = palloc_extended(m * sizeof(float), MCXT_ALLOC_HUGE);
	pool = palloc_extended(m * sizeof(Neighbour), MCXT_ALLOC_HUGE);
	unit_rows(query, candidate_vector(serving, self), 1, D);
	do
	{
		CHECK_FOR_INTERRUPTS();
		status = lb_topk(&found, ids, scores, query, &set, m,
						 lbrec_alloc_aligned(context, lb_topk_bytes(&set, m),
											 "selection"),
						 lbrec_cancel_flag());
	} while (lbrec_again(status == LB_CANCELLED));
	lbrec_check_status(status, "a score");
	bound = Max(scores[found - 1], 0) / shortest + slack(D);
	for (int64 i = 0; i < found; i++)
	{
		CHECK_FOR_INTERRUPTS();
		unit_rows(unit, candidate_vector(serving, ids[i]), 1, D);
		pool[i].score = lb_score(query, unit, D);
		pool[i].row = ids[i];
	}
	qsort(pool, found, sizeof(Neighbour), compare_neighbours);
	/* self is among them, unless many are equal to it */
	proven = pool[k].score > bound;
	m = 0;
	for (int64 i = 0; i < found && m < k; i++)
		if (pool[i].row != self)
			best[m++] = pool[i];
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return proven ? m : -1;
}

/* lbrec_similar(recording, k, model) */
Datum
lbrec_similar(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, 3, 3, 3);
	const ServingModel *serving;
	int32		k = PG_ARGISNULL(1) ? 10 : PG_GETARG_INT32(1);
	Neighbour  *best;
	int64		self;
	int64		found;

	if (PG_ARGISNULL(0))
		return (Datum) 0;
	serving = lbrec_open_model(lbrec_model_argument(fcinfo, 2));
	k = lbrec_bounded_k(k, serving->tower.n_recordings - 1);
	self = known_recording(serving, PG_GETARG_UUID_P(0));
	/* one more, for self may be the best of its block */
	best = palloc_extended((k + 1) * sizeof(Neighbour), MCXT_ALLOC_HUGE);
	found = nearest_by_index(best, serving, self, k);
	if (found < 0)
		found = nearest_by_lengths(best, serving, self, k + 1);
	if (found < 0)
		found = nearest(best, serving->candidates,
						serving->tower.n_recordings, serving->image->D, self,
						k + 1);
	for (int64 i = 0; i < Min(found, k); i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = UUIDPGetDatum(&serving->recording_keys[best[i].row]);
		values[2] = Float4GetDatum(best[i].score);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}

/* The users' own embeddings, (n_users + 1, D); row 0 is nobody's. */
static const LbTensor *
user_table(const ServingModel *serving)
{
	const LbTower *tower = &serving->tower.core.query;

	for (int i = 0; i < tower->n_inputs; i++)
		if (serving->tower.query_inputs[i].source == SOURCE_USER)
			return &serving->tower.core.tensors[serving->tower.query_inputs[i].table];
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("model \"%s\" has no embeddings of users",
					serving->image->row.name),
			 errdetail("Its query tower knows users by their history only."),
			 errhint("Train with user_embedding => true, or compare lbrec_user_embedding() of users.")));
	return NULL;				/* keep compiler quiet */
}

/* lbrec_similar_users(user_id, k, model) */
Datum
lbrec_similar_users(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, 3, 3, 3);
	const ServingModel *serving;
	int32		k = PG_ARGISNULL(1) ? 10 : PG_GETARG_INT32(1);
	const LbTensor *table;
	Neighbour  *best;
	int64	   *ids;
	int64		found;
	int64		n;

	if (PG_ARGISNULL(0))
		return (Datum) 0;
	serving = lbrec_open_model(lbrec_model_argument(fcinfo, 2));
	n = serving->tower.n_users;
	k = lbrec_bounded_k(k, n - 1);
	table = user_table(serving);
	ids = palloc_extended((n + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ids[serving->user_codes[i]] = serving->user_keys[i];
	}
	best = palloc_extended((k + 1) * sizeof(Neighbour), MCXT_ALLOC_HUGE);
	found = nearest(best, table->value + table->cols, n, table->cols,
					lbrec_known_user(serving, PG_GETARG_INT64(0)) - 1, k + 1);
	for (int64 i = 0; i < Min(found, k); i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = Int64GetDatum(ids[best[i].row + 1]);
		values[2] = Float4GetDatum(best[i].score);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
