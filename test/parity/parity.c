/*
 * parity.c
 *		Replays reference cases computed by TensorFlow Recommenders.
 *
 * usage: parity DIR
 *
 * Every folder of DIR with a manifest.json is a case: a small model's initial
 * weights, its listens in batch order, and what TFRS made of them.  We train
 * from the same weights on the same batches and compare the loss of each
 * step, the final weights, the vectors of the test queries and of all
 * candidates, and the top-K accuracies.
 *
 * Errors of an array are relative to the larger of its largest entry and
 * 0.05: the last bias of the candidate tower has a gradient of zero in
 * theory, so what it holds is rounding noise.
 *
 * LBREC_CPU names the set of kernels to use.
 *
 * Exits 0 when every case is within bounds, 1 when one is not, 2 when a case
 * cannot be read or there is none.
 */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/kernels/lb_kernels.h"
#include "core/openblas/lb_openblas.h"
#include "core/model/lb_model.h"
#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_batch.h"
#include "core/scan/lb_scan_rank.h"

#define LOSS_BOUND 1e-4
#define WEIGHT_BOUND 5e-3
#define MAX_KS 16

typedef struct Case
{
	const char *dir;
	const char *name;
	json_t	   *manifest;
	json_t	   *arrays;
} Case;

static void
die(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	fputs("parity: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

static void *
allocate(size_t bytes)
{
	void	   *p = aligned_alloc(LB_ALIGN, LB_ALIGN_UP(bytes + 1));

	if (p == NULL)
		die("out of memory");
	memset(p, 0, bytes);
	return p;
}

static double
number(const Case *c, const char *key)
{
	json_t	   *v = json_object_get(c->manifest, key);

	if (!json_is_number(v))
		die("%s/%s: manifest.json has no number \"%s\"", c->dir, c->name, key);
	return json_number_value(v);
}

/* Reads NAME.f32 or NAME.i32; its size must be what the manifest says. */
static void *
read_array(const Case *c, const char *name, int64_t *rows, int *cols)
{
	json_t	   *entry = json_object_get(c->arrays, name);
	json_t	   *shape = json_object_get(entry, "shape");
	const char *dtype = json_string_value(json_object_get(entry, "dtype"));
	size_t		n = 1;
	char		path[4096];
	FILE	   *f;
	void	   *data;

	if (dtype == NULL || !json_is_array(shape))
		die("%s/%s: manifest.json does not describe array \"%s\"",
			c->dir, c->name, name);
	for (size_t i = 0; i < json_array_size(shape); i++)
		n *= json_integer_value(json_array_get(shape, i));
	if (rows)
		*rows = json_array_size(shape) > 1 ?
			json_integer_value(json_array_get(shape, 0)) : 1;
	if (cols)
		*cols = (int) json_integer_value(json_array_get(shape,
														json_array_size(shape) - 1));
	snprintf(path, sizeof(path), "%s/%s/%s.%s", c->dir, c->name, name, dtype);
	f = fopen(path, "rb");
	if (f == NULL)
		die("could not open %s", path);
	data = allocate(n * 4);
	if (fread(data, 4, n, f) != n || fgetc(f) != EOF)
		die("%s does not hold %zu values", path, n);
	fclose(f);
	return data;
}

static double
array_error(const float *ours, const float *theirs, int64_t n)
{
	double		largest = 0.05;
	double		error = 0;

	for (int64_t i = 0; i < n; i++)
		largest = fmax(largest, fabs(theirs[i]));
	for (int64_t i = 0; i < n; i++)
	{
		double		d = fabs((double) ours[i] - theirs[i]);

		/* written so that a NaN counts as an error, not as none */
		if (!(d <= error))
			error = d;
	}
	return error / largest;
}

static void
load_initial(const Case *c, LbModel *model)
{
	for (int i = 0; i < model->n_tensors; i++)
	{
		LbTensor   *t = &model->tensors[i];
		char		name[LB_NAME_LEN + 16];
		int64_t		rows;
		int			cols;
		float	   *data;

		snprintf(name, sizeof(name), "initial_%s", t->name);
		data = read_array(c, name, &rows, &cols);
		if (rows != t->rows || cols != t->cols)
			die("%s/%s: \"%s\" has an unexpected shape", c->dir, c->name, name);
		memcpy(t->value, data, (size_t) rows * cols * sizeof(float));
		free(data);
	}
}

static int
table_of(const Case *c, LbModel *model, const char *name, int max_shares)
{
	char		array[LB_NAME_LEN + 16];
	int64_t		rows;
	int			cols;

	snprintf(array, sizeof(array), "initial_%s", name);
	free(read_array(c, array, &rows, &cols));
	return lb_model_add_table(model, name, rows, cols, max_shares);
}

/* Returns whether the case is within bounds. */
static bool
replay(const Case *c)
{
	LbModel    *model = allocate(sizeof(LbModel));
	LbOptimizer opt = {.kind = LB_ADAGRAD};
	LbObjective objective = {.mean = false};
	LbWorkspace ws;
	LbTowerPass pass;
	LbThreads	pool;
	json_t	   *layer_list = json_object_get(c->manifest, "layers");
	json_t	   *losses = json_object_get(c->manifest, "loss_of_each_step");
	json_t	   *accuracy = json_object_get(c->manifest, "top_k_accuracy");
	json_t	   *optimizer = json_object_get(c->manifest, "optimizer");
	const char *variant =
		json_string_value(json_object_get(c->manifest, "variant"));
	int			layers[LB_MAX_LAYERS];
	int			n_layers = (int) json_array_size(layer_list);
	int			train = (int) number(c, "train_listens");
	int			test = (int) number(c, "test_listens");
	int			recordings = (int) number(c, "recordings");
	int			batch_size = (int) number(c, "batch_size");
	int			epochs = (int) number(c, "epochs");
	int			largest;
	int32_t    *user = read_array(c, "listen_user", NULL, NULL);
	int32_t    *bucket = read_array(c, "listen_bucket", NULL, NULL);
	int32_t    *recording = read_array(c, "listen_recording", NULL, NULL);
	int32_t    *artist = read_array(c, "listen_artist", NULL, NULL);
	float	   *time = read_array(c, "listen_time", NULL, NULL);
	int32_t    *recording_artist = read_array(c, "recording_artist", NULL, NULL);
	int32_t    *order = read_array(c, "batch_order", NULL, NULL);
	float	   *log_q = allocate((train + 1) * sizeof(float));
	int32_t    *codes = allocate(6 * (size_t) (batch_size + 1) * sizeof(int32_t));
	float	   *numbers = allocate((batch_size + 1) * sizeof(float));
	float	   *weights = allocate((batch_size + 1) * sizeof(float));
	int64_t    *ranks = allocate(test * sizeof(int64_t));
	int32_t    *true_candidate = allocate(test * sizeof(int32_t));
	LbRanking	ranking;
	int32_t    *identity = allocate(recordings * sizeof(int32_t));
	double		loss_error = 0;
	double		weight_error = 0;
	double		vector_error = 0;
	double		off = 0;
	float	   *theirs;
	int			step = 0;
	int			D;
	LbInputValues values[LB_MAX_INPUTS];
	float	   *queries;
	const char *key;
	json_t	   *value;
	bool		ok;

	if (variant == NULL || n_layers < 1 || n_layers > LB_MAX_LAYERS ||
		!json_is_array(losses) || !json_is_object(accuracy) ||
		!json_is_object(optimizer) || batch_size < 1 || train < 1 ||
		test < 1 || recordings < 1)
		die("%s/%s: manifest.json lacks what a replay needs", c->dir, c->name);
	for (int l = 0; l < n_layers; l++)
		layers[l] = (int) json_integer_value(json_array_get(layer_list, l));
	opt.learning_rate = (float) json_number_value(
												  json_object_get(optimizer, "learning_rate"));
	opt.initial_accumulator = (float) json_number_value(
														json_object_get(optimizer, "initial_accumulator"));
	opt.epsilon = (float) json_number_value(
											json_object_get(optimizer, "epsilon"));
	objective.temperature = (float) number(c, "temperature");
	if (strcmp(variant, "logq") == 0)
		objective.logq = true;
	else if (strcmp(variant, "accidental") == 0)
		objective.mask_hits = true;
	else if (strcmp(variant, "plain") != 0 &&
			 strcmp(variant, "temperature") != 0)
		die("%s/%s: unknown variant \"%s\"", c->dir, c->name, variant);

	/* the towers, in the order in which the inputs are concatenated */
	lb_model_add_input(&model->query, LB_INPUT_EMBEDDING,
					   table_of(c, model, "user_embedding", batch_size));
	lb_model_add_input(&model->query, LB_INPUT_EMBEDDING,
					   table_of(c, model, "time_embedding", batch_size));
	lb_model_add_input(&model->query, LB_INPUT_NUMBER, -1);
	lb_model_add_input(&model->candidate, LB_INPUT_EMBEDDING,
					   table_of(c, model, "recording_embedding", batch_size));
	lb_model_add_input(&model->candidate, LB_INPUT_EMBEDDING,
					   table_of(c, model, "artist_embedding", batch_size));
	if (lb_model_add_layers(model, &model->query, "query",
							layers, n_layers) != LB_OK ||
		lb_model_add_layers(model, &model->candidate, "candidate",
							layers, n_layers) != LB_OK)
		die("%s/%s: layers out of range", c->dir, c->name);
	lb_model_place(model, &opt, allocate(lb_model_bytes(model, &opt)), NULL);
	load_initial(c, model);
	D = lb_tower_width(&model->query);
	if (lb_threads_start(&pool, 1) != LB_OK)
		die("could not start threads");
	lb_workspace_place(&ws, model, batch_size, batch_size, 1,
					   allocate(lb_workspace_bytes(model, batch_size,
												   batch_size, 1)));

	/* log of max(share of the training rows, 1e-6), per training row */
	for (int i = 0; i < train; i++)
	{
		int			count = 0;

		for (int j = 0; j < train; j++)
			count += recording[j] == recording[i];
		log_q[i] = logf(fmaxf((float) count / train, 1e-6f));
	}

	for (int e = 0; e < epochs; e++)
		for (int from = 0; from < train; from += batch_size)
		{
			int			B = train - from < batch_size ? train - from : batch_size;
			LbBatch		batch = {.B = B, .N = B};
			int32_t    *u = codes;
			int32_t    *t = u + batch_size;
			int32_t    *r = t + batch_size;
			int32_t    *a = r + batch_size;
			double		loss;
			double		theirs_loss;

			for (int b = 0; b < B; b++)
			{
				int			i = order[(size_t) e * train + from + b];

				u[b] = user[i];
				t[b] = bucket[i];
				r[b] = recording[i];
				a[b] = artist[i];
				numbers[b] = time[i];
				weights[b] = log_q[i];
			}
			batch.query[0].codes = u;
			batch.query[1].codes = t;
			batch.query[2].numbers = numbers;
			batch.candidate[0].codes = r;
			batch.candidate[1].codes = a;
			batch.ids = r;
			batch.log_q = weights;
			if (lb_model_step(&loss, model, &opt, &objective, &batch, &ws,
							  &pool, NULL) != LB_OK)
				die("%s/%s: step %d failed", c->dir, c->name, step);
			theirs_loss = json_number_value(json_array_get(losses, step++));
			loss_error = fmax(loss_error,
							  fabs(loss - theirs_loss) / fabs(theirs_loss));
		}
	if (step != (int) json_array_size(losses))
		die("%s/%s: %d steps, but the manifest has %zu losses",
			c->dir, c->name, step, json_array_size(losses));

	for (int i = 0; i < model->n_tensors; i++)
	{
		char		name[LB_NAME_LEN + 16];

		snprintf(name, sizeof(name), "final_%s", model->tensors[i].name);
		theirs = read_array(c, name, NULL, NULL);
		weight_error = fmax(weight_error,
							array_error(model->tensors[i].value, theirs,
										model->tensors[i].rows *
										model->tensors[i].cols));
		free(theirs);
	}

	/* test queries and all candidates */
	largest = test > recordings ? test : recordings;
	lb_tower_pass_place(&pass, &model->query, largest, 1, false,
						allocate(lb_tower_pass_bytes(&model->query, largest,
													 1, false)));
	memset(values, 0, sizeof(values));
	values[0].codes = user + train;
	values[1].codes = bucket + train;
	values[2].numbers = time + train;
	lb_tower_forward(&pass, &model->query, model->tensors, values, test,
					 &pool);
	queries = allocate((size_t) test * D * sizeof(float));
	memcpy(queries, pass.out, (size_t) test * D * sizeof(float));
	theirs = read_array(c, "test_query_vectors", NULL, NULL);
	vector_error = array_error(queries, theirs, (int64_t) test * D);
	free(theirs);
	lb_tower_pass_place(&pass, &model->candidate, largest, 1, false,
						allocate(lb_tower_pass_bytes(&model->candidate,
													 largest, 1, false)));
	for (int i = 0; i < recordings; i++)
		identity[i] = i + 1;
	values[0].codes = identity;
	values[1].codes = recording_artist;
	lb_tower_forward(&pass, &model->candidate, model->tensors, values,
					 recordings, &pool);
	theirs = read_array(c, "candidate_vectors", NULL, NULL);
	vector_error = fmax(vector_error, array_error(pass.out, theirs,
												  (int64_t) recordings * D));
	free(theirs);
	for (int i = 0; i < test; i++)
		true_candidate[i] = recording[train + i] - 1;
	ranking = (LbRanking)
	{
		.q = queries, .n_queries = test, .true_candidate = true_candidate,
			.c = pass.out, .n = recordings, .D = D
	};
	if (lb_rank_counts(ranks, &ranking,
					   allocate(lb_rank_counts_bytes(test, recordings, D, 1)),
					   &pool, NULL) != LB_OK)
		die("%s/%s: ranking failed", c->dir, c->name);

	printf("%s loss %.1e weights %.1e vectors %.1e top-K",
		   c->name, loss_error, weight_error, vector_error);
	json_object_foreach(accuracy, key, value)
	{
		int			k = atoi(key);
		int			hits = 0;

		for (int i = 0; i < test; i++)
			hits += ranks[i] < k;
		off = fmax(off, fabs(hits - json_number_value(value) * test));
		printf(" %s:%.3f", key, (double) hits / test);
	}
	ok = loss_error <= LOSS_BOUND && weight_error <= WEIGHT_BOUND &&
		vector_error <= WEIGHT_BOUND && off <= 1.001;
	printf(" %s\n", ok ? "ok" : "FAILED");
	lb_threads_stop(&pool);
	return ok;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

int
main(int argc, char **argv)
{
	char	   *names[1024];
	int			n_names = 0;
	int			failed = 0;
	DIR		   *dir;
	struct dirent *entry;

	if (argc != 2)
		die("usage: parity DIR");
	lb_openblas_load();
	if (getenv("LBREC_CPU") != NULL)
	{
		const LbKernels *set = lb_kernels_named(getenv("LBREC_CPU"));

		if (set == NULL || !set->usable())
			die("LBREC_CPU=%s is no set of kernels of this machine",
				getenv("LBREC_CPU"));
		lb_kernels_use(set);
	}
	dir = opendir(argv[1]);
	if (dir == NULL)
		die("could not open folder %s", argv[1]);
	while ((entry = readdir(dir)) != NULL && n_names < 1024)
	{
		char		path[4096];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s/manifest.json", argv[1],
				 entry->d_name);
		if (entry->d_name[0] != '.' && stat(path, &st) == 0)
			names[n_names++] = strdup(entry->d_name);
	}
	closedir(dir);
	if (n_names == 0)
		die("no folder of %s has a manifest.json", argv[1]);
	qsort(names, n_names, sizeof(char *), compare_names);
	for (int i = 0; i < n_names; i++)
	{
		char		path[4096];
		json_error_t error;
		Case		c = {.dir = argv[1], .name = names[i]};

		snprintf(path, sizeof(path), "%s/%s/manifest.json", argv[1], names[i]);
		c.manifest = json_load_file(path, 0, &error);
		if (c.manifest == NULL)
			die("%s: %s", path, error.text);
		c.arrays = json_object_get(c.manifest, "arrays");
		failed += !replay(&c);
		json_decref(c.manifest);
	}
	printf("%d passed, %d failed\n", n_names - failed, failed);
	return failed > 0;
}
