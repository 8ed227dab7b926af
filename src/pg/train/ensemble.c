/*
 * ensemble.c
 *		Lays out the towers of a model and of its members.
 *
 * An ensemble's members are models of their own, trained apart from different
 * seeds on the same listens.  Their towers have no layers, so their tables laid
 * side by side are one wide model whose towers normalise each group of
 * columns: a dot product of wide vectors is the sum of the members'
 * (docs/quality.md tells what that is worth).  Only the wide model is
 * measured and saved; a single member is the wide model itself.
 */
#include "pg/train/ensemble.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/features.h"
#include "pg/listens/histories.h"
#include "pg/listens/rare.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/config.h"
#include "pg/model/neighbours.h"
#include "pg/model/twotower.h"
#include "pg/server/kernels.h"
#include "pg/train/batches.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/warm.h"

/* The embedding table of a further column. */
static void
add_feature(Trainer *trainer, TwoTower *model, int dim, int i)
{
	const Feature *f = &trainer->data->features[i];
	const Batcher *b = &trainer->members[0].batcher;
	int64		uses = f->of_user ? b->max_rows : b->max_columns;
	char	   *table = psprintf("%s_embedding", f->name);

	if (f->kind == FEATURE_BAG)
		uses *= Max(f->longest_bag, 1);
	lbrec_feature_values(&model->features[i], f);
	model->n_features = i + 1;
	lbrec_add_input(model, f->of_user, SOURCE_FEATURE, i, table,
					lbrec_feature_rows(f), dim, uses);
}

/* A number of the query tower, with a table where inputs are summed. */
static void
add_number(TwoTower *model, InputSource source, int dim, int rows)
{
	lbrec_add_input(model, true, source, -1,
					psprintf("%s_weight", lbrec_source_name(source)), 1, dim,
					rows);
}

static void
add_query_inputs(Trainer *trainer, TwoTower *model, int dim)
{
	const TrainOptions *o = trainer->options;
	int			rows = trainer->members[0].batcher.max_rows;

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

/* Rows of the table of recordings: rare ones share hash buckets. */
static int64
recording_rows(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	const Dataset *data = trainer->data;
	int64		n = lbrec_vocabulary_size(data->recordings);
	int64		n_rows;

	if (o->hash_buckets == 0)
		return n + 1;
	trainer->model->recording_rows =
		lbrec_bucket_rows(&n_rows, data->recordings,
						  data->recording_listens + 1, n, o->min_listens,
						  o->hash_buckets, trainer->context);
	return n_rows;
}

/*
 * Describes both towers, each table dim wide.  The order of inputs is the
 * preprint's, then what it does not have.
 */
static void
build_towers(Trainer *trainer, TwoTower *model, int dim, int64 n_rows)
{
	const TrainOptions *o = trainer->options;
	const Dataset *data = trainer->data;
	const Batcher *b = &trainer->members[0].batcher;
	int64		of_history = (int64) b->max_rows * o->history_length;

	model->n_users = lbrec_vocabulary_size(data->users);
	model->n_recordings = lbrec_vocabulary_size(data->recordings);
	model->summed = o->n_layers == 0;
	model->history_mean = o->history_pooling == POOL_MEAN;
	model->history_length = o->history_length;
	model->time.mean = data->time_mean;
	model->time.deviation = data->time_deviation;
	model->time.first_edge = data->first_time / 1e6;
	model->time.last_edge = data->last_time / 1e6;
	model->time.buckets = o->time_buckets;
	if (trainer->request->warm)
		lbrec_warm_time(trainer->request->warm, &model->time);

	if (data->n_features + 9 > LB_MAX_INPUTS)
		elog(ERROR, "too many inputs");
	add_query_inputs(trainer, model, dim);
	lbrec_add_input(model, false, SOURCE_RECORDING, -1, "recording_embedding",
					n_rows, dim, b->max_columns +
					(o->history_shared ? of_history : 0));
	for (int i = 0; i < data->n_features; i++)
		add_feature(trainer, model, dim, i);
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

static void
set_optimizer(LbOptimizer *opt, const TrainOptions *o)
{
	opt->kind = o->optimizer;
	opt->learning_rate = o->learning_rate;
	opt->initial_accumulator = o->initial_accumulator;
	opt->epsilon = 1e-7f;		/* Keras' */
	opt->beta1 = 0.9f;
	opt->beta2 = 0.999f;
	opt->weight_decay = o->weight_decay;
	opt->clip_norm = o->clip_norm;
}

/* Memory for a member's weights and what training needs beside them. */
static void
allocate_member(Trainer *trainer, int m, MemoryContext context)
{
	Member	   *member = &trainer->members[m];
	LbModel    *core = &member->model->core;

	set_optimizer(&member->optimizer, trainer->options);
	lb_model_place(core, &member->optimizer,
				   lbrec_alloc_aligned(context,
									   lb_model_bytes(core,
													  &member->optimizer),
									   "model"), trainer->pool);
	/* members differ in all that is random */
	do
	{
		CHECK_FOR_INTERRUPTS();
	} while (lbrec_again(lb_model_initialize(core, trainer->options->seed +
											 m * 1000003,
											 lbrec_cancel_flag()) ==
						 LB_CANCELLED));
	if (trainer->request->warm)
		lbrec_warm_weights(trainer->request->warm, trainer->data,
						   trainer->options, member->model->recording_rows,
						   core, &member->optimizer, m);
}

/*
 * A member is ready to be trained.  What it needs is in a context of its own:
 * lbrec_end_member() lays it beside the others and frees that.
 */
void
lbrec_begin_member(Trainer *trainer, int m)
{
	Member	   *member = &trainer->members[m];

	CHECK_FOR_INTERRUPTS();
	member->context = AllocSetContextCreate(trainer->context, "lbrec member",
											ALLOCSET_DEFAULT_SIZES);
	allocate_member(trainer, m, member->context);
	lbrec_batcher_init(&member->batcher, member->model, trainer->sequence,
					   (int) Min(TEST_BATCH, trainer->split.n_test),
					   trainer->options->seed + m * 1000003, member->context);
}

/* What a model knows of users and of recordings beside its weights. */
void
lbrec_set_lists(TwoTower *model, const UserLists *lists,
				const Neighbours *neighbours)
{
	model->history_offsets = lists->offsets;
	model->history_codes = lists->codes;
	model->history_plays = lists->plays;
	model->history_recency = lists->recency;
	if (neighbours)
	{
		model->neighbours.offsets = neighbours->offsets;
		model->neighbours.codes = neighbours->codes;
		model->neighbours.weights = neighbours->weights;
	}
	model->mixed = lists->recency || neighbours;
}

/*
 * The wide model, the towers of its members, and the scratch of their steps;
 * lbrec_begin_member() does the rest for each.
 */
void
lbrec_build_members(Trainer *trainer)
{
	const TrainOptions *o = trainer->options;
	TwoTower   *wide = trainer->model;
	int			test_rows = (int) Min(TEST_BATCH, trainer->split.n_test);
	int64		n_rows = recording_rows(trainer);
	Batcher    *b = &trainer->members[0].batcher;
	LbModel    *core;
	int			B;
	int			N;

	build_towers(trainer, wide, o->embedding_dim * trainer->n_members,
				 n_rows);
	wide->core.query.groups = wide->core.candidate.groups =
		trainer->n_members;
	lbrec_set_lists(wide, trainer->lists, trainer->neighbours);
	if (trainer->n_members > 1)
		lb_model_place(&wide->core, NULL,
					   lbrec_alloc_aligned(trainer->context,
										   lb_model_bytes(&wide->core, NULL),
										   "model"), trainer->pool);
	for (int m = 0; m < trainer->n_members; m++)
	{
		Member	   *member = &trainer->members[m];

		member->model = wide;
		if (trainer->n_members > 1)
		{
			member->model = palloc0(sizeof(TwoTower));
			member->model->recording_rows = wide->recording_rows;
			build_towers(trainer, member->model, o->embedding_dim, n_rows);
			member->model->history_offsets = wide->history_offsets;
			member->model->history_codes = wide->history_codes;
		}
		if (m > 0)
			member->batcher = *b;
	}
	core = &trainer->members[0].model->core;
	B = Max(b->max_rows, test_rows);
	N = Max(b->max_columns, test_rows);
	lb_workspace_place(&trainer->workspace, core, B, N,
					   lb_threads_count(trainer->pool),
					   lbrec_alloc_aligned(trainer->context,
										   lb_workspace_bytes(core, B, N,
															  lb_threads_count(trainer->pool)),
										   "training step"));
}

/* Lays one of the members' arrays side by side: to is (rows, cols * n). */
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

/* A member's weights become the wide model's. */
void
lbrec_lay_member(Trainer *trainer, int m)
{
	const LbModel *core = &trainer->members[m].model->core;

	for (int i = 0; trainer->n_members > 1 && i < core->n_tensors; i++)
		interleave(trainer->model->core.tensors[i].value,
				   core->tensors[i].value, core->tensors[i].rows,
				   core->tensors[i].cols, m, trainer->n_members);
}

/* The optimiser's states are laid side by side too, for a later warm start. */
static void
lay_states(Trainer *trainer, int m)
{
	const LbModel *core = &trainer->members[m].model->core;
	const LbOptimizer *opt = &trainer->members[m].optimizer;
	States	   *states = &trainer->states;
	int			n = trainer->n_members;

	for (int s = 0; s < lb_optimizer_states(opt); s++)
		for (int i = 0; i < core->n_tensors; i++)
		{
			const LbTensor *t = &core->tensors[i];
			Size		size = lb_tensor_state_size(t, opt);

			if (m == 0)
			{
				states->cols[i] = (int) (size / t->rows) * n;
				states->values[s][i] = n == 1 ? t->state[s] :
					lbrec_alloc_aligned(trainer->context,
										size * n * sizeof(float),
										"optimiser's state");
			}
			if (n > 1)
				interleave(states->values[s][i], t->state[s], t->rows,
						   (int) (size / t->rows), m, n);
		}
}

/*
 * Members are laid in order, and after the last step.  A single one is the
 * wide model itself, and stays.
 */
void
lbrec_end_member(Trainer *trainer, int m)
{
	States	   *states = &trainer->states;
	int			n_tensors = trainer->model->core.n_tensors;

	if (m == 0)
	{
		states->n = lb_optimizer_states(&trainer->members[m].optimizer);
		states->cols = MemoryContextAllocZero(trainer->context,
											  n_tensors * sizeof(int));
		for (int s = 0; s < states->n; s++)
			states->values[s] =
				MemoryContextAllocZero(trainer->context,
									   n_tensors * sizeof(float *));
	}
	lbrec_lay_member(trainer, m);
	lay_states(trainer, m);
	if (trainer->n_members > 1)
		MemoryContextDelete(trainer->members[m].context);
}
