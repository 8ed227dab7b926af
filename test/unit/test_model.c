/*
 * test_model.c
 *		Every layer and loss against finite differences, optimisers against
 *		their formulas in double, threads against no threads.
 */
#include <math.h>

#include "core/model/lb_model.h"
#include "core/model/lb_schedule.h"
#include "unit.h"

#define ROWS 7
#define COLS 9					/* two extra negatives */
#define USERS 5
#define ITEMS 6
#define TAGS 4

/* A small model with every kind of input, in one block a test can copy. */
typedef struct Toy
{
	LbModel		model;
	LbOptimizer opt;
	LbObjective objective;
	LbBatch		batch;
	LbWorkspace ws;
	void	   *block;
	void	   *scratch;
	int32_t		users[ROWS];
	float		numbers[ROWS];
	int32_t		items[COLS];
	int32_t		tags[COLS * 3];
	LbSpan		spans[COLS];
	float		log_q[COLS];
	float		weight[ROWS];
} Toy;

static void
make_toy(Toy *toy, const int *layers, int n_layers, bool normalize,
		 int n_threads)
{
	int			users;
	int			items;
	int			tags;

	memset(toy, 0, sizeof(Toy));
	toy->opt = (LbOptimizer)
	{
		.kind = LB_SGD, .learning_rate = 1
	};
	toy->objective.temperature = 1;
	users = lb_model_add_table(&toy->model, "user", USERS, 3, ROWS);
	items = lb_model_add_table(&toy->model, "item", ITEMS, 4,
							   COLS + 3 * ROWS);
	tags = lb_model_add_table(&toy->model, "tag", TAGS, 2, 3 * COLS);
	lb_model_add_input(&toy->model.query, LB_INPUT_EMBEDDING, users);
	lb_model_add_input(&toy->model.query, LB_INPUT_NUMBER, -1);
	/* the item table in both towers: gradients of two users add up */
	lb_model_add_input(&toy->model.query, LB_INPUT_BAG, items);
	lb_model_add_input(&toy->model.candidate, LB_INPUT_EMBEDDING, items);
	lb_model_add_input(&toy->model.candidate, LB_INPUT_BAG, tags);
	CHECK(lb_model_add_layers(&toy->model, &toy->model.query, "query",
							  layers, n_layers) == LB_OK);
	CHECK(lb_model_add_layers(&toy->model, &toy->model.candidate,
							  "candidate", layers, n_layers) == LB_OK);
	toy->model.query.normalize = normalize;
	toy->model.candidate.normalize = normalize;
	toy->block = unit_alloc(lb_model_bytes(&toy->model, &toy->opt));
	lb_model_place(&toy->model, &toy->opt, toy->block, NULL);
	for (int i = 0; i < toy->model.n_tensors; i++)
		for (int j = 0; j < toy->model.tensors[i].rows *
			 toy->model.tensors[i].cols; j++)
			toy->model.tensors[i].value[j] = 0.5f * unit_normal();
	toy->scratch = unit_alloc(lb_workspace_bytes(&toy->model, ROWS, COLS,
												 n_threads));
	lb_workspace_place(&toy->ws, &toy->model, ROWS, COLS, n_threads, toy->scratch);

	for (int b = 0; b < ROWS; b++)
	{
		toy->users[b] = unit_below(USERS);
		toy->numbers[b] = unit_normal();
		toy->weight[b] = 0.5f + 0.1f * b;
	}
	for (int j = 0; j < COLS; j++)
	{
		toy->items[j] = unit_below(ITEMS);
		toy->log_q[j] = logf(0.1f + 0.05f * j);
		toy->spans[j].codes = &toy->tags[j * 3];
		toy->spans[j].n = j % 4;	/* an empty bag too */
		toy->spans[j].scale = j % 4 ? 1.0f / (j % 4) : 0;
		for (int i = 0; i < 3; i++)
			toy->tags[j * 3 + i] = unit_below(TAGS);
	}
	toy->batch.B = ROWS;
	toy->batch.N = COLS;
	toy->batch.query[0].codes = toy->users;
	toy->batch.query[1].numbers = toy->numbers;
	toy->batch.query[2].spans = toy->spans;
	toy->batch.candidate[0].codes = toy->items;
	toy->batch.candidate[1].spans = toy->spans;
	toy->batch.ids = toy->items;
}

static void
drop_toy(Toy *toy)
{
	free(toy->block);
	free(toy->scratch);
}

static double
loss_of(Toy *toy)
{
	double		loss = NAN;

	CHECK(lb_model_loss(&loss, &toy->model, &toy->objective, &toy->batch,
						&toy->ws, NULL, NULL) == LB_OK);
	return loss;
}

/*
 * With plain SGD at rate 1 a step moves each weight by its gradient, which
 * must agree with central differences of the loss.  Where the slopes on the
 * two sides differ, a ReLU has its kink between: such weights, few, are left
 * out.
 */
static void
check_gradients(Toy *toy, const char *what)
{
	for (int i = 0; i < toy->model.n_tensors; i++)
	{
		LbTensor   *t = &toy->model.tensors[i];
		int			n = (int) (t->rows * t->cols);
		double		error = 0;
		double		norm = 0;
		int			kinks = 0;
		float	   *before = unit_alloc(n * sizeof(float));
		float	   *after = unit_alloc(n * sizeof(float));
		double		loss;
		size_t		size = lb_model_bytes(&toy->model, &toy->opt);
		void	   *saved = unit_alloc(size);

		memcpy(before, t->value, n * sizeof(float));
		memcpy(saved, toy->block, size);
		CHECK(lb_model_step(&loss, &toy->model, &toy->opt, &toy->objective,
							&toy->batch, &toy->ws, NULL, NULL) == LB_OK);
		memcpy(after, t->value, n * sizeof(float));
		memcpy(toy->block, saved, size);
		for (int j = 0; j < n; j++)
		{
			const float h = 4e-3f;
			double		gradient = (double) before[j] - after[j];
			double		here = loss_of(toy);
			double		above;
			double		below;
			double		slope;

			t->value[j] = before[j] + h;
			above = (loss_of(toy) - here) / h;
			t->value[j] = before[j] - h;
			below = (here - loss_of(toy)) / h;
			t->value[j] = before[j];
			slope = (above + below) / 2;
			if (fabs(above - below) > 0.02 * (fabs(slope) + 0.5))
			{
				kinks++;
				continue;
			}
			error += (gradient - slope) * (gradient - slope);
			norm += slope * slope;
		}
		CHECK_MSG(sqrt(error) <= 1e-2 * (sqrt(norm) + 0.2),
				  "%s, tensor %s: off by %g of %g", what, t->name,
				  sqrt(error), sqrt(norm));
		CHECK_MSG(kinks <= n / 4 + 1, "%s, tensor %s: %d kinks of %d", what,
				  t->name, kinks, n);
		/* the last bias of the candidates is the only one without effect */
		CHECK_MSG(norm > 1e-8 || strncmp(t->name, "candidate_bias", 14) == 0,
				  "%s, tensor %s has no gradient", what, t->name);
		free(before);
		free(after);
		free(saved);
	}
}

static void
test_gradients(void)
{
	static const int one[] = {5};
	static const int three[] = {8, 6, 5};

	for (int n_layers = 1; n_layers <= 3; n_layers += 2)
		for (int normalize = 0; normalize <= 1; normalize++)
			for (int variant = 0; variant < 6; variant++)
			{
				Toy			toy;
				char		what[64];

				make_toy(&toy, n_layers == 1 ? one : three, n_layers,
						 normalize, 1);
				switch (variant)
				{
					case 1:
						toy.objective.temperature = 0.3f;
						break;
					case 2:
						toy.objective.logq = true;
						toy.batch.log_q = toy.log_q;
						break;
					case 3:
						toy.objective.mask_hits = true;
						break;
					case 4:
						toy.objective.mean = true;
						break;
					case 5:
						toy.batch.weight = toy.weight;
						break;
				}
				snprintf(what, sizeof(what), "%d layers, %s, variant %d",
						 n_layers, normalize ? "unit" : "free", variant);
				check_gradients(&toy, what);
				drop_toy(&toy);
			}
}

/* Towers without layers, groups of columns, several positives a row. */
static void
make_summed(Toy *toy, bool normalize, int groups, bool positives)
{
	static const int32_t of[ROWS + 1] = {0, 2, 3, 6, 7, 8, 10, 11};
	static const int32_t columns[] = {0, 3, 1, 2, 7, 8, 3, 4, 5, 6, 1};
	int			users;
	int			items;
	int			tags;

	memset(toy, 0, sizeof(Toy));
	toy->opt = (LbOptimizer)
	{
		.kind = LB_SGD, .learning_rate = 1
	};
	toy->objective.temperature = 0.7f;
	users = lb_model_add_table(&toy->model, "user", USERS, 4, ROWS);
	items = lb_model_add_table(&toy->model, "item", COLS, 4, COLS);
	tags = lb_model_add_table(&toy->model, "tag", TAGS, 4, 3 * COLS);
	lb_model_add_input(&toy->model.query, LB_INPUT_EMBEDDING, users);
	lb_model_add_input(&toy->model.query, LB_INPUT_BAG, tags);
	lb_model_add_input(&toy->model.candidate, LB_INPUT_EMBEDDING, items);
	CHECK(lb_model_add_layers(&toy->model, &toy->model.query, "query", NULL,
							  0) == LB_OK);
	CHECK(lb_model_add_layers(&toy->model, &toy->model.candidate,
							  "candidate", NULL, 0) == LB_OK);
	CHECK(lb_tower_width(&toy->model.query) == 4);
	toy->model.query.normalize = toy->model.candidate.normalize = normalize;
	toy->model.query.groups = toy->model.candidate.groups = groups;
	toy->block = unit_alloc(lb_model_bytes(&toy->model, &toy->opt));
	lb_model_place(&toy->model, &toy->opt, toy->block, NULL);
	for (int i = 0; i < toy->model.n_tensors; i++)
		for (int j = 0; j < toy->model.tensors[i].rows *
			 toy->model.tensors[i].cols; j++)
			toy->model.tensors[i].value[j] = 0.5f * unit_normal();
	toy->scratch = unit_alloc(lb_workspace_bytes(&toy->model, ROWS, COLS, 2));
	lb_workspace_place(&toy->ws, &toy->model, ROWS, COLS, 2, toy->scratch);
	for (int b = 0; b < ROWS; b++)
	{
		toy->users[b] = unit_below(USERS);
		toy->weight[b] = 0.5f + 0.1f * b;
	}
	for (int j = 0; j < COLS; j++)
	{
		toy->items[j] = j;
		toy->log_q[j] = logf(0.1f + 0.05f * j);
		toy->spans[j] = (LbSpan)
		{
			&toy->tags[j * 3], j % 4, 0.5f
		};
		for (int i = 0; i < 3; i++)
			toy->tags[j * 3 + i] = unit_below(TAGS);
	}
	toy->batch.B = ROWS;
	toy->batch.N = COLS;
	toy->batch.query[0].codes = toy->users;
	toy->batch.query[1].spans = toy->spans;
	toy->batch.candidate[0].codes = toy->items;
	toy->batch.log_q = toy->log_q;
	toy->objective.logq = true;
	if (!positives)
		return;
	toy->batch.positive_of = of;
	toy->batch.positives = columns;
}

static void
test_summed_gradients(void)
{
	for (int variant = 0; variant < 8; variant++)
	{
		Toy			toy;
		char		what[64];

		make_summed(&toy, variant & 1, variant & 2 ? 2 : 0, variant & 4);
		if (variant == 7)
			toy.batch.weight = toy.weight;
		if (variant == 6)
			toy.objective.mean = true;
		snprintf(what, sizeof(what), "summed, variant %d", variant);
		check_gradients(&toy, what);
		drop_toy(&toy);
	}
}

/* The loss of several positives, from its definition in double. */
static void
test_positives_loss(void)
{
	Toy			toy;
	double		expected = 0;
	double		loss;
	LbThreads	pool;
	float		one[COLS * 4];

	make_summed(&toy, true, 0, true);
	loss = loss_of(&toy);
	for (int b = 0; b < ROWS; b++)
	{
		double		logits[COLS];
		double		sum = 0;

		for (int j = 0; j < COLS; j++)
		{
			logits[j] = -toy.log_q[j];
			for (int d = 0; d < 4; d++)
				logits[j] += (double) toy.ws.query.out[b * 4 + d] *
					toy.ws.candidate.out[j * 4 + d] / toy.objective.temperature;
			sum += exp(logits[j]);
		}
		for (int k = toy.batch.positive_of[b]; k < toy.batch.positive_of[b + 1];
			 k++)
			expected += log(sum) - logits[toy.batch.positives[k]];
	}
	CHECK_MSG(fabs(loss - expected) < 1e-4 * expected, "%g, not %g", loss,
			  expected);

	drop_toy(&toy);

	/* two threads give the same step as one */
	for (int n = 1; n <= 2; n++)
	{
		unit_state = 88172645463325252u;
		make_summed(&toy, true, 0, true);
		memset(&pool, 0, sizeof(pool));
		CHECK(lb_threads_start(&pool, n) == LB_OK);
		CHECK(lb_model_step(&loss, &toy.model, &toy.opt, &toy.objective,
							&toy.batch, &toy.ws, &pool, NULL) == LB_OK);
		lb_threads_stop(&pool);
		for (int i = 0; i < COLS * 4; i++)
		{
			float		w = toy.model.tensors[1].value[i];

			CHECK_MSG(n == 1 || fabsf(w - one[i]) < 1e-4f, "%g, not %g", w,
					  one[i]);
			one[i] = w;
		}
		drop_toy(&toy);
	}
}

/* Gradients longer than the limit are cut to it, all by one factor. */
static void
test_clipping(void)
{
	LbOptimizer opt = {.kind = LB_SGD, .learning_rate = 1, .clip_norm = 0.5f};
	LbTensor	t = {.rows = 3, .cols = 2, .sparse = true, .max_shares = 3};
	void	   *block = unit_alloc(lb_tensor_bytes(&t, &opt));
	float		long_one[] = {3, 4};
	float		short_one[] = {0.25f, 0};

	lb_tensor_place(&t, &opt, block, NULL);
	lb_tensor_add_share(&t, 1, long_one, 1);
	lb_optimizer_apply(&opt, &t, 1, NULL);
	CHECK(fabsf(t.value[2] + 0.3f) < 1e-6f);
	CHECK(fabsf(t.value[3] + 0.4f) < 1e-6f);
	CHECK(long_one[0] == 3);	/* what a share refers to stays as it is */
	lb_tensor_add_share(&t, 2, short_one, 1);
	lb_optimizer_apply(&opt, &t, 1, NULL);
	CHECK(t.value[4] == -0.25f);
	free(block);
}

/*
 * Dropout: the same step twice has the same bits, another step has another
 * mask, and about the right share of hidden units is zero.
 */
static void
test_dropout(void)
{
	static const int layers[] = {64, 5};
	Toy			toy;
	double		loss;
	int			zero = 0;
	float		first[ROWS * 64];

	make_toy(&toy, layers, 2, false, 1);
	toy.opt.learning_rate = 0;
	toy.objective.dropout = 0.4f;
	for (int step = 0; step < 2; step++)
	{
		CHECK(lb_model_step(&loss, &toy.model, &toy.opt, &toy.objective,
							&toy.batch, &toy.ws, NULL, NULL) == LB_OK);
		if (step == 0)
			memcpy(first, toy.ws.query.z[0], sizeof(first));
	}
	CHECK(memcmp(first, toy.ws.query.z[0], sizeof(first)) != 0);
	toy.opt.step = 0;
	CHECK(lb_model_step(&loss, &toy.model, &toy.opt, &toy.objective,
						&toy.batch, &toy.ws, NULL, NULL) == LB_OK);
	CHECK(memcmp(first, toy.ws.query.z[0], sizeof(first)) == 0);
	loss_of(&toy);				/* no dropout where nothing is trained */
	for (int i = 0; i < ROWS * 64; i++)
		if (toy.ws.query.z[0][i] > 0)
			zero += first[i] == 0;
	CHECK_MSG(zero > 30 && zero < ROWS * 64 / 3, "%d dropped", zero);
	for (int i = 0; i < ROWS * 64; i++)
		CHECK(first[i] == 0 ||
			  fabsf(first[i] - toy.ws.query.z[0][i] / 0.6f) < 1e-5f);
	drop_toy(&toy);
}

static void
test_schedules(void)
{
	LbSchedule	s = {.kind = LB_COSINE, .rate = 2, .warmup = 2, .epochs = 10,
		.step_epochs = 3, .gamma = 0.5};

	CHECK(lb_schedule_rate(&s, 0) == 0);
	CHECK(lb_schedule_rate(&s, 1) == 1);
	CHECK(lb_schedule_rate(&s, 2) == 2);
	CHECK(fabs(lb_schedule_rate(&s, 6) - 1) < 1e-12);
	CHECK(lb_schedule_rate(&s, 9.99) < 0.001);
	s.kind = LB_LINEAR;
	CHECK(fabs(lb_schedule_rate(&s, 6) - 1) < 1e-12);
	s.kind = LB_STEP;
	CHECK(lb_schedule_rate(&s, 4.9) == 2);
	CHECK(lb_schedule_rate(&s, 5) == 1);
	CHECK(lb_schedule_rate(&s, 8) == 0.5);
	s.kind = LB_CONSTANT;
	CHECK(lb_schedule_rate(&s, 9) == 2);
}

/* One weight, three steps, in double beside the tensor's float. */
static void
check_optimizer(LbOptimizer opt)
{
	LbTensor	t = {.rows = 3, .cols = 2, .sparse = true, .max_shares = 3};
	double		w = 0.25;
	double		s0 = opt.initial_accumulator;
	double		s1 = 0;
	void	   *block = unit_alloc(lb_tensor_bytes(&t, &opt));

	lb_tensor_place(&t, &opt, block, NULL);
	t.value[2] = (float) w;
	t.value[0] = 7;
	for (int step = 1; step <= 3; step++)
	{
		double		g = 0.3 * step - 0.5;
		float		half[] = {(float) (g / 2), 0};
		float		quarter[] = {(float) (g / 4), 0};

		/* the same row twice: gradients add before they are squared */
		lb_tensor_add_share(&t, 1, half, 1);
		lb_tensor_add_share(&t, 1, quarter, 2);
		CHECK(t.n_touched == 1 && t.n_shares == 2);
		lb_optimizer_apply(&opt, &t, 1, NULL);
		w *= 1 - opt.learning_rate * opt.weight_decay;
		switch (opt.kind)
		{
			case LB_ADAGRAD:
				s0 += g * g;
				w -= opt.learning_rate * g / sqrt(s0 + opt.epsilon);
				break;
			case LB_ROWWISE_ADAGRAD:
				/* the mean over two columns, the other's gradient being 0 */
				s0 += g * g / 2;
				w -= opt.learning_rate * g / sqrt(s0 + opt.epsilon);
				break;
			case LB_ADAM:
				s0 = opt.beta1 * s0 + (1 - opt.beta1) * g;
				s1 = opt.beta2 * s1 + (1 - opt.beta2) * g * g;
				w -= opt.learning_rate * sqrt(1 - pow(opt.beta2, step)) /
					(1 - pow(opt.beta1, step)) * s0 /
					(sqrt(s1) + opt.epsilon);
				break;
			case LB_SGD:
				w -= opt.learning_rate * g;
				break;
		}
		CHECK_MSG(fabs(t.value[2] - w) < 1e-6, "step %d: %g, not %g", step,
				  t.value[2], w);
	}
	CHECK(t.value[0] == 7);		/* not touched, not moved */
	CHECK(t.value[3] == 0);
	CHECK(t.n_touched == 0 && t.n_shares == 0 && t.slot[1] == 0);
	free(block);
}

static void
test_optimizers(void)
{
	LbOptimizer adagrad = {.kind = LB_ADAGRAD, .learning_rate = 0.1f,
		.initial_accumulator = 0.1f, .epsilon = 1e-7f};
	LbOptimizer rowwise = {.kind = LB_ROWWISE_ADAGRAD, .learning_rate = 0.1f,
		.initial_accumulator = 0.1f, .epsilon = 1e-7f};
	LbOptimizer adam = {.kind = LB_ADAM, .learning_rate = 0.05f,
		.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-7f};
	LbOptimizer sgd = {.kind = LB_SGD, .learning_rate = 0.5f,
		.weight_decay = 0.01f};

	check_optimizer(adagrad);
	check_optimizer(rowwise);
	check_optimizer(adam);
	check_optimizer(sgd);
}

/* Some steps with n threads; returns the weights, malloc'd. */
static float *
train_toy(int n_threads, int *n)
{
	static const int layers[] = {6, 5};
	Toy			toy;
	LbThreads	pool;
	float	   *out;
	double		loss;

	unit_state = 88172645463325252u;
	make_toy(&toy, layers, 2, true, n_threads);
	toy.opt.learning_rate = 0.05f;
	memset(&pool, 0, sizeof(pool));
	CHECK(lb_threads_start(&pool, n_threads) == LB_OK);
	for (int step = 0; step < 20; step++)
		CHECK(lb_model_step(&loss, &toy.model, &toy.opt, &toy.objective,
							&toy.batch, &toy.ws, &pool, NULL) == LB_OK);
	lb_threads_stop(&pool);
	*n = (int) (toy.model.tensors[0].rows * toy.model.tensors[0].cols);
	out = unit_alloc(*n * sizeof(float));
	memcpy(out, toy.model.tensors[0].value, *n * sizeof(float));
	drop_toy(&toy);
	return out;
}

static void
test_threads_agree(void)
{
	for (int n_threads = 1; n_threads <= 3; n_threads++)
	{
		int			n;
		float	   *a = train_toy(n_threads, &n);
		float	   *b = train_toy(n_threads, &n);
		float	   *one = train_toy(1, &n);

		/* the same thread count: the same bits */
		CHECK(memcmp(a, b, n * sizeof(float)) == 0);
		for (int i = 0; i < n; i++)
			CHECK_MSG(fabsf(a[i] - one[i]) < 1e-4f, "%d threads", n_threads);
		free(a);
		free(b);
		free(one);
	}
}

/* A batch's loss is not finite: no weight may move. */
static void
test_divergence(void)
{
	static const int layers[] = {5};
	Toy			toy;
	size_t		size;
	void	   *saved;
	double		loss;

	make_toy(&toy, layers, 1, false, 1);
	toy.model.tensors[0].value[0] = INFINITY;
	toy.users[0] = 0;
	size = lb_model_bytes(&toy.model, &toy.opt);
	saved = unit_alloc(size);
	memcpy(saved, toy.block, size);
	CHECK(lb_model_step(&loss, &toy.model, &toy.opt, &toy.objective,
						&toy.batch, &toy.ws, NULL, NULL) == LB_NOT_FINITE);
	CHECK(memcmp(saved, toy.block, size) == 0);
	CHECK(lb_tensor_check_finite(&toy.model.tensors[0], NULL) == LB_NOT_FINITE);
	CHECK(lb_tensor_check_finite(&toy.model.tensors[1], NULL) == LB_OK);
	free(saved);
	drop_toy(&toy);
}

static void
test_limits(void)
{
	Toy			toy;
	static const int layers[] = {5};
	static const int bad[][2] = {{0, 5}, {-3, 5}, {LB_MAX_LAYER_WIDTH + 1, 5}};

	make_toy(&toy, layers, 1, false, 1);
	for (int i = 0; i < 3; i++)
	{
		LbModel		model = toy.model;

		CHECK(lb_model_add_layers(&model, &model.query, "query", bad[i], 2) ==
			  LB_BAD_ARGUMENT);
	}
	/* a sum needs inputs of one width, and a number has none */
	CHECK(lb_model_add_layers(&toy.model, &toy.model.query, "query", layers,
							  0) == LB_BAD_ARGUMENT);
	CHECK(lb_model_find_tensor(&toy.model, "item") == 1);
	CHECK(lb_model_find_tensor(&toy.model, "nothing") == -1);
	drop_toy(&toy);
}

UNIT_MAIN(RUN(test_gradients);
		  RUN(test_summed_gradients);
		  RUN(test_positives_loss);
		  RUN(test_dropout);
		  RUN(test_schedules);
		  RUN(test_clipping);
		  RUN(test_optimizers);
		  RUN(test_threads_agree);
		  RUN(test_divergence);
		  RUN(test_limits);)
