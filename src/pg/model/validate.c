/*
 * validate.c
 *		Checks that the stored arrays of a model are complete and consistent.
 *
 * The configuration determines the arrays, and the table in parts.c the rules
 * for their values.  Chunks are checked one at a time, from the tables
 * (lbrec_check, lbrec_export) or from a file (lbrec_import).  Problems are
 * reported; if report returns, the checks go on.
 */
#include "pg/model/validate.h"

#include "executor/spi.h"

#include "pg/model/part_values.h"
#include "pg/model/parts.h"
#include "pg/model/stored_config.h"

/*
 * Begins the checks of a model with that configuration and those numbers of
 * users and recordings.
 */
void
lbrec_validator_init(Validator *v, const char *config, int64 n_users,
					 int64 n_recordings, CheckReport report, void *arg)
{
	const char *problem;

	memset(v, 0, sizeof(Validator));
	lbrec_checker_init(&v->checker, report, arg);
	v->report = report;
	v->arg = arg;
	v->current = -1;
	v->config_text = config;
	if (n_users < 1 || n_recordings < 1 || n_users > PG_INT32_MAX / 2 ||
		n_recordings > PG_INT32_MAX / 2)
	{
		report("config", -1, "It has no users or recordings, or too many.",
			   arg);
		return;
	}
	if (!lbrec_parse_config(&v->config, config, report, arg))
		return;
	v->parts = lbrec_list_parts(&v->config, n_users, n_recordings);
	v->seen = palloc0(v->parts->n * sizeof(PartValues));
	v->found = palloc0(v->parts->n * sizeof(bool));
	v->broken = palloc0(v->parts->n * sizeof(bool));
	problem = lbrec_check_names(v->parts);
	if (problem)
		report("config", -1, problem, arg);
}

static void
wrong(Validator *v, int part, int32 chunk, const char *problem)
{
	v->report(v->parts->part[part].name, chunk, problem, v->arg);
	v->broken[part] = true;
}

/* Reports a problem of an array as a whole. */
void
lbrec_report_part(Validator *v, int part, const char *problem)
{
	wrong(v, part, -1, problem);
}

/* The first chunk of an array. */
static void
begin_array(Validator *v, const char *name, const TensorShape *shape)
{
	const char *problem;

	v->current = v->parts ? lbrec_find_part(v->parts, name) : -1;
	if (v->current < 0)
	{
		if (v->parts && !v->passes_over)
			v->report(name, -1, "The model has no such tensor.", v->arg);
		return;
	}
	v->found[v->current] = true;
	problem = lbrec_accept_shape(&v->parts->part[v->current], shape);
	if (problem)
		wrong(v, v->current, -1, problem);
}

/* True if these bytes are the current configuration's at that place. */
static bool
is_config(const Validator *v, Size at, const char *data, Size len)
{
	Size		size = strlen(v->config_text);

	return (Size) v->checker.tensors[v->checker.n - 1].shape.rows == size &&
		at + len <= size && memcmp(v->config_text + at, data, len) == 0;
}

/*
 * Checks the next chunk, in the order of names and places.  data NULL: its
 * content is damaged, which was reported.  True if the chunk belongs to an
 * array of the model.
 */
bool
lbrec_validate_chunk(Validator *v, const char *name, const TensorShape *shape,
					 int32 chunk, const char *data, Size len)
{
	int			n = v->checker.n;
	bool		sound = lbrec_check_chunk(&v->checker, name, shape, chunk,
										  len);
	const char *problem;

	if (v->checker.n > n)
		begin_array(v, name, shape);
	if (v->current < 0)
		return false;
	if (!sound || data == NULL)
		v->broken[v->current] = true;
	if (v->broken[v->current])
		return true;
	if (strcmp(name, "config") == 0 &&
		!is_config(v, (Size) chunk * TENSOR_CHUNK_BYTES, data, len))
		wrong(v, v->current, chunk, CONFIG_DIFFERS);
	problem = lbrec_check_values(&v->parts->part[v->current],
								 &v->seen[v->current], data, len);
	if (problem)
		wrong(v, v->current, chunk, problem);
	return true;
}

/* True if all facts are known that the array must agree with. */
static bool
is_comparable(const Validator *v, int i)
{
	const StoredPart *p = &v->parts->part[i];
	int			others[] = {p->cuts, p->vocabulary,
		p->cut_by < 0 ? -1 : v->parts->part[p->cut_by].cuts};

	for (int o = 0; o < lengthof(others); o++)
		if (others[o] >= 0 &&
			(!v->found[others[o]] || v->broken[others[o]]))
			return false;
	return v->found[i] && !v->broken[i];
}

/*
 * Call this after the last chunk: checks that the arrays agree with each
 * other.
 */
void
lbrec_validator_end(Validator *v)
{
	lbrec_checker_end(&v->checker);
	for (int i = 0; v->parts && i < v->parts->n; i++)
	{
		const char *problem;

		if (!v->found[i])
			wrong(v, i, -1, "The tensor is missing.");
		else if (is_comparable(v, i) &&
				 (problem = lbrec_check_part(v->parts, v->seen, i)) != NULL)
			wrong(v, i, -1, problem);
	}
}

static void
take_chunk(const char *name, const TensorShape *shape, int32 chunk,
		   const char *data, Size len, void *arg)
{
	Validator  *v = arg;

	(void) lbrec_validate_chunk(v, name, shape, chunk, data, len);
	if (v->visit)
		v->visit(name, shape, chunk, data, len, v->visit_arg);
}

/*
 * Reads all chunks of a model in order, and checks them; visit, unless NULL,
 * gets each.  Called within SPI.
 */
void
lbrec_validate_model(Validator *v, const ModelRow *row, CheckReport report,
					 void *arg, ChunkVisitor visit, void *visit_arg)
{
	lbrec_validator_init(v, lbrec_row_config(row), row->n_users,
						 row->n_recordings, report, arg);
	v->visit = visit;
	v->visit_arg = visit_arg;
	lbrec_visit_chunks(row, report, arg, take_chunk, v);
	lbrec_validator_end(v);
}
