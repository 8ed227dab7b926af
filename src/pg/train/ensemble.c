/*
 * ensemble.c
 *		Lays out the towers of a model and of its members.
 *
 * An ensemble's members are separate models, trained on the same listens from
 * different seeds.  Their towers have no layers, so their concatenated tables
 * are one wide model whose towers normalise each group of columns: a dot
 * product of wide vectors is the sum of the members' (docs/quality.md measures
 * the gain).  Only the wide model is measured and saved; a single member is
 * the wide model itself.
 */
#include "pg/train/ensemble.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/feature_codes.h"
#include "pg/listens/rare.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/config.h"
#include "pg/model/count.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/train/batches.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/warm.h"

/* Difference of the seeds of two members. */
#define SEED_STEP 1000003

/* Adds the embedding table of a further column. */
static void
add_feature(const Ensemble *e, TwoTower *model, int dim, int i)
{
	const Feature *f = &e->plan->data->features[i];
	int64		uses = f->of_user ? e->shape.max_rows : e->shape.max_columns;
	char	   *table = psprintf("%s_embedding", f->name);

	if (f->kind == FEATURE_BAG)
		uses *= Max(f->longest_bag, 1);
	lbrec_feature_values(&model->features[i], f);
	model->n_features = i + 1;
	lbrec_add_input(model, f->of_user, SOURCE_FEATURE, i, table,
					lbrec_feature_rows(f), dim, uses);
}

/* Adds a number to the query tower, with a table if inputs are summed. */
static void
add_number(TwoTower *model, InputSource source, int dim, int rows)
{
	lbrec_add_input(model, true, source, -1,
					psprintf("%s_weight", lbrec_source_name(source)), 1, dim,
					rows);
}

static void
add_query_inputs(const Ensemble *e, TwoTower *model, int dim)
{
	const TrainOptions *o = e->plan->options;
	int			rows = e->shape.max_rows;

	if (o->user_embedding)
		lbrec_add_input(model, true, SOURCE_USER, -1, "user_embedding",
						model->n_users + 1, dim, rows);
	if (o->time_buckets > 0)
	{
		lbrec_add_input(model, true, SOURCE_TIME_BUCKET, -1, "time_embedding",
						o->time_buckets + 1, dim, rows);
		add_number(model, SOURCE_TIME, dim, rows);
	}
	if (o->hour_of_day)
	{
		add_number(model, SOURCE_HOUR_SIN, dim, rows);
		add_number(model, SOURCE_HOUR_COS, dim, rows);
	}
	if (o->day_of_week)
	{
		add_number(model, SOURCE_WEEK_SIN, dim, rows);
		add_number(model, SOURCE_WEEK_COS, dim, rows);
	}
}

/*
 * Returns the rows of the table of recordings: rare ones share hash buckets.
 */
static int64
recording_rows(const Ensemble *e)
{
	const TrainOptions *o = e->plan->options;
	const Dataset *data = e->plan->data;
	int64		n = lbrec_vocabulary_size(data->recordings);
	int64		n_rows;

	if (o->hash_buckets == 0)
		return n + 1;
	e->model->recording_rows =
		lbrec_bucket_rows(&n_rows, data->recordings,
						  data->recording_listens + 1, n, o->min_listens,
						  o->hash_buckets, e->context);
	return n_rows;
}

/*
 * Describes both towers, each table dim wide.  Inputs have the preprint's
 * order; those that it lacks follow.
 */
static void
build_towers(const Ensemble *e, TwoTower *model, int dim, int64 n_rows)
{
	const TrainOptions *o = e->plan->options;
	const Dataset *data = e->plan->data;
	int64		of_history = (int64) e->shape.max_rows * o->history_length;

	model->n_users = lbrec_vocabulary_size(data->users);
	model->n_recordings = lbrec_vocabulary_size(data->recordings);
	model->summed = o->n_layers == 0;
	model->history_mean = o->history_pooling == POOL_MEAN;
	model->history_length = o->history_length;
	model->time.mean = data->time_mean;
	model->time.deviation = data->time_deviation;
	model->time.first_edge = data->first_time / 1e6;
	model->time.last_edge = data->last_time / 1e6;
	model->time.last = ceil(data->last_time / 1e6);
	model->time.buckets = o->time_buckets;
	if (e->plan->warm)
		lbrec_warm_time(e->plan->warm, &model->time);

	if (data->n_features + 9 > LB_MAX_INPUTS)
		elog(ERROR, "too many inputs");
	add_query_inputs(e, model, dim);
	lbrec_add_input(model, false, SOURCE_RECORDING, -1, "recording_embedding",
					n_rows, dim, e->shape.max_columns +
					(o->history_shared ? of_history : 0));
	for (int i = 0; i < data->n_features; i++)
		add_feature(e, model, dim, i);
	if (o->history_length > 0)
		lbrec_add_input(model, true, SOURCE_HISTORY, -1, o->history_shared ?
						"recording_embedding" : "history_embedding",
						model->n_recordings + 1, dim, of_history);
	if (lb_model_add_layers(&model->core, &model->core.query, "query",
							o->layers, o->n_layers) != LB_OK ||
		lb_model_add_layers(&model->core, &model->core.candidate, "candidate",
							o->layers, o->n_layers) != LB_OK)
		elog(ERROR, "could not lay out the towers");
	model->core.query.normalize = o->normalize;
	model->core.candidate.normalize = o->normalize;
}

/* Returns the seed of a member: all its randomness differs. */
static uint64
member_seed(const RunPlan *plan, int m)
{
	return plan->options->seed + m * SEED_STEP;
}

static void
set_optimizer(LbOptimizer *opt, const TrainOptions *o)
{
	opt->kind = o->optimizer;
	opt->learning_rate = o->learning_rate;
	opt->initial_accumulator = o->initial_accumulator;
	opt->epsilon = 1e-7f;		/* as in Keras */
	opt->beta1 = 0.9f;
	opt->beta2 = 0.999f;
	opt->weight_decay = o->weight_decay;
	opt->clip_norm = o->clip_norm;
}

/* Allocates a member's weights, gradients and states. */
static void
allocate_member(Ensemble *e, int m, MemoryContext context)
{
	const RunPlan *plan = e->plan;
	Member	   *member = &e->members[m];
	LbModel    *core = &member->model->core;

	set_optimizer(&member->optimizer, plan->options);
	lb_model_place(core, &member->optimizer,
				   lbrec_alloc_aligned(context,
									   lb_model_bytes(core,
													  &member->optimizer),
									   "model"), plan->pool);
	LBREC_RUN(lb_model_initialize(core, member_seed(plan, m),
								  lbrec_cancel_flag()) == LB_CANCELLED);
	if (plan->warm)
	{
		member->optimizer.step = lbrec_warm_steps(plan->warm,
												  &member->optimizer);
		lbrec_warm_weights(plan->warm, plan->data, plan->options,
						   member->model->recording_rows, core,
						   &member->optimizer, m);
	}
}

/*
 * Makes a member ready to train, in a memory context of its own:
 * lbrec_end_member() copies it into the wide model and frees the context.
 */
void
lbrec_begin_member(Ensemble *e, int m)
{
	Member	   *member = &e->members[m];

	CHECK_FOR_INTERRUPTS();
	member->context = AllocSetContextCreate(e->context, "lbrec member",
											ALLOCSET_DEFAULT_SIZES);
	allocate_member(e, m, member->context);
	lbrec_batcher_init(&member->batcher, e->plan, &e->shape, member->model,
					   member_seed(e->plan, m), member->context);
}

/* Returns the towers of a member; a single one is the wide model. */
static TwoTower *
member_towers(const Ensemble *e, int64 n_rows)
{
	TwoTower   *model;

	if (e->n == 1)
		return e->model;
	model = palloc0(sizeof(TwoTower));
	model->recording_rows = e->model->recording_rows;
	build_towers(e, model, e->plan->options->embedding_dim, n_rows);
	model->counted = e->model->counted;
	return model;
}

/*
 * Makes the wide model, the towers of its members, and the scratch of their
 * steps, in the current context; lbrec_begin_member() does the rest for each.
 */
Ensemble *
lbrec_make_ensemble(const RunPlan *plan)
{
	Ensemble   *e = palloc0(sizeof(Ensemble));
	TwoTower   *wide = palloc0(sizeof(TwoTower));
	int			n_threads = lb_threads_count(plan->pool);
	int64		n_rows;
	int			B;
	int			N;

	e->plan = plan;
	e->context = CurrentMemoryContext;
	e->n = plan->n_members;
	e->members = palloc0(e->n * sizeof(Member));
	e->shape = lbrec_batch_shape(plan);
	e->model = wide;
	n_rows = recording_rows(e);
	build_towers(e, wide, plan->options->embedding_dim * e->n, n_rows);
	wide->core.query.groups = wide->core.candidate.groups = e->n;
	lbrec_set_counted(wide, &plan->inputs->counted);
	if (e->n > 1)
		lb_model_place(&wide->core, NULL,
					   lbrec_alloc_aligned(e->context,
										   lb_model_bytes(&wide->core, NULL),
										   "model"), plan->pool);
	for (int m = 0; m < e->n; m++)
		e->members[m].model = member_towers(e, n_rows);
	B = Max(e->shape.max_rows, e->shape.test_rows);
	N = Max(e->shape.max_columns, e->shape.test_rows);
	lb_workspace_place(&e->workspace, &e->members[0].model->core, B, N,
					   n_threads,
					   lbrec_alloc_aligned(e->context,
										   lb_workspace_bytes(&e->members[0].model->core,
															  B, N, n_threads),
										   "training step"));
	return e;
}

/*
 * Copies one of the members' arrays into its columns: to is (rows, cols * n).
 */
static void
interleave(float *to, const float *from, int64 rows, int cols, int m, int n)
{
	for (int64 r = 0; r < rows; r++)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(to + ((Size) r * n + m) * cols, from + (Size) r * cols,
			   cols * sizeof(float));
	}
}

/*
 * The rows of recordings that nobody has played were never trained.  In the
 * candidate tower they become row 0, which learnt to stand for any recording
 * (batches.c), so they begin from there when they are played; in a history
 * they say nothing yet.
 */
static void
lay_unplayed(const Ensemble *e, const TwoTower *model)
{
	const Dataset *data = e->plan->data;
	const LbModel *core = &model->core;
	int			own = lb_model_find_tensor(core, "recording_embedding");
	int			history = lb_model_find_tensor(core, "history_embedding");

	if (data->listed == NULL)
		return;
	for (int64 r = 1; r <= model->n_recordings; r++)
	{
		const LbTensor *t = &core->tensors[own];

		CHECK_FOR_INTERRUPTS();
		if (data->recording_listens[r] > 0)
			continue;
		/* with hash buckets it has row 0 already */
		if (model->recording_rows == NULL)
			memcpy(t->value + r * t->cols, t->value, t->cols * sizeof(float));
		t = &core->tensors[history];
		if (history >= 0)
			memset(t->value + r * t->cols, 0, t->cols * sizeof(float));
	}
}

/* Copies a member's weights into the wide model. */
void
lbrec_lay_member(Ensemble *e, int m)
{
	const LbModel *core = &e->members[m].model->core;

	lay_unplayed(e, e->members[m].model);
	for (int i = 0; e->n > 1 && i < core->n_tensors; i++)
		interleave(e->model->core.tensors[i].value,
				   core->tensors[i].value, core->tensors[i].rows,
				   core->tensors[i].cols, m, e->n);
}

/* Copies the optimiser's states likewise, for a later warm start. */
static void
lay_states(Ensemble *e, int m)
{
	const LbModel *core = &e->members[m].model->core;
	const LbOptimizer *opt = &e->members[m].optimizer;
	States	   *states = &e->states;
	int			n = e->n;

	for (int s = 0; s < lb_optimizer_states(opt); s++)
		for (int i = 0; i < core->n_tensors; i++)
		{
			const LbTensor *t = &core->tensors[i];
			Size		size = lb_tensor_state_size(t, opt);

			if (m == 0)
			{
				states->cols[i] = (int) (size / t->rows) * n;
				states->values[s][i] = n == 1 ? t->state[s] :
					lbrec_alloc_aligned(e->context,
										size * n * sizeof(float),
										"optimiser's state");
			}
			if (n > 1)
				interleave(states->values[s][i], t->state[s], t->rows,
						   (int) (size / t->rows), m, n);
		}
}

/*
 * Ends a member after its last step; members end in order.  A single one is
 * the wide model itself, and stays.
 */
void
lbrec_end_member(Ensemble *e, int m)
{
	States	   *states = &e->states;
	int			n_tensors = e->model->core.n_tensors;

	if (m == 0)
	{
		states->n = lb_optimizer_states(&e->members[m].optimizer);
		states->cols = MemoryContextAllocZero(e->context,
											  n_tensors * sizeof(int));
		for (int s = 0; s < states->n; s++)
			states->values[s] =
				MemoryContextAllocZero(e->context,
									   n_tensors * sizeof(float *));
	}
	states->steps = Max(states->steps, e->members[m].optimizer.step);
	lbrec_lay_member(e, m);
	lay_states(e, m);
	if (e->n > 1)
		MemoryContextDelete(e->members[m].context);
}
