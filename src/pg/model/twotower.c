/*
 * twotower.c
 *		Fills the towers' inputs from users, times, recordings and features.
 */
#include "pg/model/twotower.h"

#include <math.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/lb_math.h"

#include "pg/listens/dataset.h"
#include "pg/server/kernels.h"

/* Rows in one pass through a tower, outside of training steps. */
#define PASS_ROWS 2048

static const char *const source_names[] = {
	[SOURCE_USER] = "user_id",
	[SOURCE_TIME_BUCKET] = "time_bucket",
	[SOURCE_TIME] = "time",
	[SOURCE_RECORDING] = "recording",
	[SOURCE_FEATURE] = "feature",
	[SOURCE_HISTORY] = "history",
	[SOURCE_HOUR_SIN] = "hour_sin",
	[SOURCE_HOUR_COS] = "hour_cos",
	[SOURCE_WEEK_SIN] = "week_sin",
	[SOURCE_WEEK_COS] = "week_cos",
};

const char *
lbrec_source_name(InputSource source)
{
	return source_names[source];
}

/* Returns the source of that name, or -1. */
int
lbrec_source_by_name(const char *name)
{
	for (int i = 0; i < lengthof(source_names); i++)
		if (strcmp(source_names[i], name) == 0)
			return i;
	return -1;
}

/* True if numeric in every model. */
bool
lbrec_source_is_number(InputSource source)
{
	return source == SOURCE_TIME || source == SOURCE_HOUR_SIN ||
		source == SOURCE_HOUR_COS || source == SOURCE_WEEK_SIN ||
		source == SOURCE_WEEK_COS;
}

static bool
is_number(const TwoTower *model, InputSource source, int feature)
{
	return lbrec_source_is_number(source) ||
		(source == SOURCE_FEATURE &&
		 model->features[feature].kind == FEATURE_NUMBER);
}

/*
 * Adds an input to the query or the candidate tower.  It has a table of rows x
 * cols, unless it is a number.  A step uses at most max_shares of the table's
 * rows.  If inputs are summed, a number x becomes a bag with the one row of
 * its table, scaled by x.
 */
int
lbrec_add_input(TwoTower *model, bool query, InputSource source, int feature,
				const char *table, int64 rows, int cols, int64 max_shares)
{
	LbTower    *tower = query ? &model->core.query : &model->core.candidate;
	int			i = tower->n_inputs;
	ModelInput *input = query ?
		&model->query_inputs[i] : &model->candidate_inputs[i];
	bool		number = is_number(model, source, feature);

	input->source = source;
	input->feature = feature;
	input->table = -1;
	input->kind = LB_INPUT_EMBEDDING;
	if (number && !model->summed)
		input->kind = LB_INPUT_NUMBER;
	else if (number || source == SOURCE_HISTORY ||
			 (source == SOURCE_FEATURE &&
			  model->features[feature].kind == FEATURE_BAG))
		input->kind = LB_INPUT_BAG;
	if (input->kind != LB_INPUT_NUMBER)
	{
		input->table = lb_model_find_tensor(&model->core, table);
		if (input->table < 0)
			input->table = lb_model_add_table(&model->core, table,
											  number ? 1 : rows, cols,
											  max_shares);
	}
	lb_model_add_input(tower, input->kind, input->table);
	return i;
}

void
lbrec_feature_values(FeatureValues *values, const Feature *f)
{
	strlcpy(values->name, f->name, NAMEDATALEN);
	values->kind = f->kind;
	values->of_user = f->of_user;
	values->bucketed = f->bucketed;
	values->n = f->n;
	values->codes = f->codes;
	values->offsets = f->offsets;
	values->bag_codes = f->bag_codes;
	values->numbers = f->numbers;
	values->mean = f->mean;
	values->deviation = f->deviation;
}

bool
lbrec_has_history(const TwoTower *model)
{
	for (int i = 0; i < model->core.query.n_inputs; i++)
		if (model->query_inputs[i].source == SOURCE_HISTORY)
			return true;
	return false;
}

/*
 * A model can learn tastes if this many users, or this share of them, have
 * several recordings.
 */
#define TASTE_USERS 100
#define TASTE_SHARE 20

/*
 * True if the listens can show which recordings the same people play.  If
 * almost nobody played two, a user's vector is noise, unless the query tower
 * has other inputs of the user.
 */
bool
lbrec_knows_tastes(const TwoTower *model)
{
	const int64 *offsets = model->counted.history_offsets;
	int64		wanted = Min(TASTE_USERS, model->n_users / TASTE_SHARE);
	int64		several = 0;

	for (int i = 0; i < model->core.query.n_inputs; i++)
		if (model->query_inputs[i].source != SOURCE_USER &&
			model->query_inputs[i].source != SOURCE_HISTORY)
			return true;
	for (int64 u = 1; u <= model->n_users; u++)
	{
		several += offsets[u + 1] - offsets[u] > 1;
		if (several >= Max(wanted, 1))
			return true;
	}
	return false;
}

/*
 * Returns the bag of a user's recordings, latest first, with at most the
 * model's limit.
 */
LbSpan
lbrec_history(const TwoTower *model, const int32 *codes, int n)
{
	LbSpan		span;

	n = Min(n, model->history_length);
	span.codes = codes;
	span.n = n;
	span.scale = n == 0 ? 0 :
		(float) (model->history_mean ? 1.0 / n : 1.0 / sqrt(n));
	return span;
}

/*
 * Returns the number of edges that are not after the time: 0 before the first,
 * as in Keras' Discretization.  Edges are equally spaced, so no search is
 * needed.
 */
int
lbrec_time_bucket(const TimeScale *scale, int64 time)
{
	double		t = time / 1e6;
	double		step = (scale->last_edge - scale->first_edge) /
		Max(scale->buckets - 1, 1);

	if (t < scale->first_edge)
		return 0;
	if (t >= scale->last_edge)
		return scale->buckets;
	return Min((int) ((t - scale->first_edge) / step) + 1, scale->buckets);
}

void
lbrec_make_buffers(InputBuffers *buffers, const LbTower *tower, int capacity,
				   MemoryContext context)
{
	MemSet(buffers, 0, sizeof(InputBuffers));
	buffers->capacity = capacity;
	for (int i = 0; i < tower->n_inputs; i++)
	{
		Size		each = tower->inputs[i].kind == LB_INPUT_BAG ?
			sizeof(LbSpan) : sizeof(int32);
		void	   *array = MemoryContextAllocHuge(context, capacity * each);

		buffers->arrays[i] = array;
		switch (tower->inputs[i].kind)
		{
			case LB_INPUT_EMBEDDING:
				buffers->values[i].codes = array;
				break;
			case LB_INPUT_BAG:
				buffers->values[i].spans = array;
				break;
			case LB_INPUT_NUMBER:
				buffers->values[i].numbers = array;
				break;
		}
	}
}

static const int32 only_row = 0;

/* Sets example k of an input, which may be a bag of one row. */
static void
put_number(void *array, LbInputKind kind, int k, double x)
{
	if (kind == LB_INPUT_NUMBER)
		((float *) array)[k] = (float) x;
	else
		((LbSpan *) array)[k] = (LbSpan)
	{
		&only_row, 1, (float) x
	};
}

/*
 * Returns the position on a circle of the given number of seconds, in turns.
 */
static double
turns(int64 time, int64 seconds)
{
	int64		s = time / 1000000 - (time % 1000000 < 0);

	return (double) ((s % seconds + seconds) % seconds) / seconds;
}

/* Sets a feature's values of n entities; an entity beyond its n is unknown. */
static void
fill_feature(void *array, LbInputKind kind, const FeatureValues *f,
			 const int32 *entities, int n)
{
	for (int i = 0; i < n; i++)
	{
		int32		e = entities[i] < f->n ? entities[i] : 0;

		switch (f->kind)
		{
			case FEATURE_CATEGORY:
				((int32 *) array)[i] = f->codes[e];
				break;
			case FEATURE_NUMBER:
				put_number(array, kind, i, isnan(f->numbers[e]) ? 0 :
						   (f->numbers[e] - f->mean) / f->deviation);
				break;
			case FEATURE_BAG:
				{
					LbSpan	   *span = (LbSpan *) array + i;

					span->codes = f->bag_codes + f->offsets[e];
					span->n = (int32) (f->offsets[e + 1] - f->offsets[e]);
					span->scale = span->n > 0 ? 1.0f / span->n : 0;
					break;
				}
		}
	}
}

void
lbrec_query_inputs(InputBuffers *buffers, const TwoTower *model,
				   const int32 *users, const int64 *times,
				   const LbSpan *histories, int n)
{
	Assert(n <= buffers->capacity);
	for (int i = 0; i < model->core.query.n_inputs; i++)
	{
		const ModelInput *input = &model->query_inputs[i];
		void	   *array = buffers->arrays[i];

		switch (input->source)
		{
			case SOURCE_USER:
				memcpy(array, users, n * sizeof(int32));
				break;
			case SOURCE_TIME_BUCKET:
				for (int k = 0; k < n; k++)
					((int32 *) array)[k] = lbrec_time_bucket(&model->time,
															 times[k]);
				break;
			case SOURCE_TIME:

				/*
				 * Later times than the training's last count as that one.
				 * Years after a dump the number would grow without bound and
				 * outweigh the user.
				 */
				for (int k = 0; k < n; k++)
				{
					double		t = times[k] / 1e6;

					t = Max(Min(t, model->time.last_edge),
							model->time.first_edge);
					put_number(array, input->kind, k,
							   (t - model->time.mean) / model->time.deviation);
				}
				break;
			case SOURCE_HOUR_SIN:
				for (int k = 0; k < n; k++)
					put_number(array, input->kind, k,
							   lb_sin_turns(turns(times[k], SECS_PER_DAY)));
				break;
			case SOURCE_HOUR_COS:
				for (int k = 0; k < n; k++)
					put_number(array, input->kind, k,
							   lb_cos_turns(turns(times[k], SECS_PER_DAY)));
				break;
			case SOURCE_WEEK_SIN:
				for (int k = 0; k < n; k++)
					put_number(array, input->kind, k,
							   lb_sin_turns(turns(times[k], 7 * SECS_PER_DAY)));
				break;
			case SOURCE_WEEK_COS:
				for (int k = 0; k < n; k++)
					put_number(array, input->kind, k,
							   lb_cos_turns(turns(times[k], 7 * SECS_PER_DAY)));
				break;
			case SOURCE_HISTORY:
				if (histories)
				{
					memcpy(array, histories, n * sizeof(LbSpan));
					break;
				}
				for (int k = 0; k < n; k++)
				{
					const Counted *c = &model->counted;
					int64		from = c->history_offsets[users[k]];
					int64		to = c->history_offsets[users[k] + 1];

					((LbSpan *) array)[k] =
						lbrec_history(model, c->history_codes + from,
									  (int) (to - from));
				}
				break;
			case SOURCE_FEATURE:
				fill_feature(array, input->kind,
							 &model->features[input->feature], users, n);
				break;
			case SOURCE_RECORDING:
				elog(ERROR, "the query tower cannot read the recording");
		}
	}
}

void
lbrec_candidate_inputs(InputBuffers *buffers, const TwoTower *model,
					   const int32 *recordings, int n)
{
	Assert(n <= buffers->capacity);
	for (int i = 0; i < model->core.candidate.n_inputs; i++)
	{
		const ModelInput *input = &model->candidate_inputs[i];
		void	   *array = buffers->arrays[i];

		if (input->source == SOURCE_RECORDING && model->recording_rows)
			for (int k = 0; k < n; k++)
				((int32 *) array)[k] = model->recording_rows[recordings[k]];
		else if (input->source == SOURCE_RECORDING)
			memcpy(array, recordings, n * sizeof(int32));
		else
			fill_feature(array, input->kind,
						 &model->features[input->feature], recordings, n);
	}
}

/* Candidates are as if nobody had played them: row 0 stands for their own. */
void
lbrec_forget_ids(InputBuffers *buffers, const TwoTower *model, int n)
{
	for (int i = 0; i < model->core.candidate.n_inputs; i++)
		if (model->candidate_inputs[i].source == SOURCE_RECORDING)
			memset(buffers->arrays[i], 0, n * sizeof(int32));
}

/* Computes vectors (n, D) of one tower, PASS_ROWS at a time. */
void
lbrec_tower_vectors(float *out, const TwoTower *model, const TowerRows *all,
					LbThreads *pool, MemoryContext context)
{
	const LbTower *tower = all->users ?
		&model->core.query : &model->core.candidate;
	int			D = lb_tower_width(tower);
	int			rows = (int) Min(all->n, PASS_ROWS);
	MemoryContext scratch = AllocSetContextCreate(context,
												  "lbrec tower pass",
												  ALLOCSET_DEFAULT_SIZES);
	InputBuffers buffers;
	LbTowerPass pass;
	int32	   *codes = MemoryContextAlloc(scratch, rows * sizeof(int32));

	lbrec_make_buffers(&buffers, tower, rows, scratch);
	lb_tower_pass_place(&pass, tower, rows, 1, false,
						lbrec_alloc_aligned(scratch,
											lb_tower_pass_bytes(tower, rows,
																1, false),
											"pass through a tower"));
	for (int64 from = 0; from < all->n; from += rows)
	{
		int			m = (int) Min(all->n - from, rows);

		CHECK_FOR_INTERRUPTS();
		if (all->users)
			lbrec_query_inputs(&buffers, model, all->users + from,
							   all->times + from, all->histories ?
							   all->histories + from : NULL, m);
		else
		{
			for (int i = 0; i < m; i++)
				codes[i] = all->recordings ? all->recordings[from + i] :
					(int32) (all->first + from + i);
			lbrec_candidate_inputs(&buffers, model, codes, m);
			if (all->recordings)
				lbrec_forget_ids(&buffers, model, m);
		}
		lb_tower_forward(&pass, tower, model->core.tensors, buffers.values,
						 m, pool);
		memcpy(out + (Size) from * D, pass.out,
			   (Size) m * D * sizeof(float));
	}
	MemoryContextDelete(scratch);
}

/*
 * Computes all candidates, (n_recordings, D): row i is the recording of code i
 * + 1.
 */
void
lbrec_candidate_vectors(float *out, const TwoTower *model, LbThreads *pool,
						MemoryContext context)
{
	lbrec_candidate_rows(out, model, 0, model->n_recordings, pool, context);
}

/* Lifts the new recordings among n, (n, D), from row on. */
static void
lift_rows(float *out, const TwoTower *model, int64 row, int64 n)
{
	const Lift *lift = &model->lift;
	int			D = lb_tower_width(&model->core.candidate);

	for (int64 i = 0; i < n; i++)
		for (int d = 0; lift->is_new[row + i + 1] && d < D; d++)
			out[i * D + d] = lift->scale * out[i * D + d] + lift->shift[d];
}

/* Computes n of them, (n, D), from row on. */
void
lbrec_candidate_rows(float *out, const TwoTower *model, int64 row, int64 n,
					 LbThreads *pool, MemoryContext context)
{
	TowerRows	rows = {.n = n, .first = row + 1};

	lbrec_tower_vectors(out, model, &rows, pool, context);
	if (model->lift.is_new)
		lift_rows(out, model, row, n);
}

/* Computes query vectors (n, D) of users at times. */
void
lbrec_query_vectors(float *out, const TwoTower *model, const int32 *users,
					const int64 *times, int64 n, LbThreads *pool,
					MemoryContext context)
{
	TowerRows	rows = {.n = n, .users = users, .times = times};

	lbrec_tower_vectors(out, model, &rows, pool, context);
}

/*
 * Computes the query vector (D) of a user at a time, with another history than
 * the stored one; history may be NULL if the model has no such input.
 */
void
lbrec_query_vector_after(float *out, const TwoTower *model, int32 user,
						 int64 time, const LbSpan *history,
						 MemoryContext context)
{
	TowerRows	rows = {.n = 1, .users = &user, .times = &time,
		.histories = history};

	lbrec_tower_vectors(out, model, &rows, NULL, context);
}
