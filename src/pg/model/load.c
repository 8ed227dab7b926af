/*
 * load.c
 *		Loads the arrays of a stored model into memory, and checks them.
 *
 * The first step finds all needed arrays and compares their shapes with the
 * model's configuration.  The caller, which then knows all sizes, has each
 * array loaded to an address of its choice.  The last step compares the arrays
 * with each other; before it, no value may be used as an index.  Every fault
 * is an error.
 */
#include "pg/model/load.h"

#include "pg/model/part_values.h"
#include "pg/model/parts.h"
#include "pg/model/stored_config.h"

void
lbrec_bad_array(const ModelRow *row, const char *name, const char *problem)
{
	lbrec_damaged(row, name, 0, problem);
}

/* True if these uses need the array, or need its length for another array. */
static bool
is_needed(const StoredParts *parts, int i, int uses)
{
	if (parts->part[i].uses & uses)
		return true;
	for (int j = 0; j < parts->n; j++)
		if (parts->part[j].vocabulary == i && (parts->part[j].uses & uses))
			return true;
	return false;
}

/* Finds the arrays of a model that the given uses need. Called within SPI. */
void
lbrec_find_arrays(LoadedModel *model, const ModelRow *row, int uses)
{
	MemoryContext context = CurrentMemoryContext;
	const char *problem;

	model->row = row;
	if (row->n_users < 1 || row->n_recordings < 1 ||
		row->n_users > PG_INT32_MAX / 2 || row->n_recordings > PG_INT32_MAX / 2)
		lbrec_bad_array(row, "config", "It has no users or recordings, or too many.");
	lbrec_load_config(&model->config, row);
	model->parts = lbrec_list_parts(&model->config, row->n_users,
									row->n_recordings);
	problem = lbrec_check_names(model->parts);
	if (problem)
		lbrec_bad_array(row, "config", problem);
	model->seen = palloc0(model->parts->n * sizeof(PartValues));
	for (int i = 0; i < model->parts->n; i++)
	{
		StoredPart *p = &model->parts->part[i];
		TensorShape shape;

		if (!is_needed(model->parts, i, uses))
			continue;
		if (!lbrec_tensor_shape(row, p->name, &shape))
			lbrec_bad_array(row, p->name, "The tensor is missing.");
		problem = lbrec_accept_shape(p, &shape);
		if (problem)
			lbrec_bad_array(row, p->name, problem);
	}
	MemoryContextSwitchTo(context);
}

typedef struct Loading
{
	LoadedModel *model;
	int			part;
} Loading;

static void
look_at_chunk(const char *name, const TensorShape *shape, int32 chunk,
			  const char *data, Size len, void *arg)
{
	const Loading *l = arg;
	const char *problem =
		lbrec_check_values(&l->model->parts->part[l->part],
						   &l->model->seen[l->part], data, len);

	if (problem)
		lbrec_damaged(l->model->row, name, chunk, problem);
}

/*
 * Loads a found array to out, which has lbrec_tensor_size() bytes for its
 * shape.  Called within SPI.
 */
void
lbrec_load_array(LoadedModel *model, int i, void *out)
{
	const StoredPart *p = &model->parts->part[i];
	Loading		loading = {model, i};
	MemoryContext context = CurrentMemoryContext;

	memset(&model->seen[i], 0, sizeof(PartValues));
	lbrec_load_tensor(model->row, p->name, &p->shape, out, look_at_chunk,
					  &loading);
	MemoryContextSwitchTo(context);
}

/* Compares the loaded arrays with each other. */
void
lbrec_check_arrays(const LoadedModel *model, int uses)
{
	for (int i = 0; i < model->parts->n; i++)
	{
		const char *problem;

		if (!(model->parts->part[i].uses & uses))
			continue;
		problem = lbrec_check_part(model->parts, model->seen, i);
		if (problem)
			lbrec_bad_array(model->row, model->parts->part[i].name, problem);
	}
}
