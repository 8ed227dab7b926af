/*
 * explain.c
 *		lbrec_explain(): what a score is made of, to the last digit.
 *
 * A tower without layers adds its inputs up, so a dot product is a sum over
 * them: each recording of the history, the user's embedding and so on give a
 * part, all divided by the length of the whole where vectors are of unit
 * length.  The neighbours' part is the root of a sum; each of the user's
 * recordings gets the share of the root that it has of the sum.  What a model
 * adds to the rest for a recording that the user knows is spread over the
 * rest.  So the rows add up to the score that lbrec_score() shows; the dot
 * product's float32 rounding is spread over its rows too.  Dense layers mix
 * their inputs: there the dot product is one row.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/model/score.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/asker.h"
#include "pg/server/srf.h"

PG_FUNCTION_INFO_V1(lbrec_explain);

typedef struct Part
{
	const char *name;
	int32		code;			/* of a recording; 0: none */
	double		value;
} Part;

typedef struct Explanation
{
	const ServingModel *serving;
	const Asker *asker;
	int32		candidate;
	const float *c;				/* (D) its vector */
	double	   *sum;			/* (D) of the inputs, before normalising */
	double	   *inverse;		/* (groups) what they are divided by */
	Part	   *parts;
	int			n;
	int			room;
} Explanation;

static void
add_part(Explanation *e, const char *name, int32 code, double value)
{
	if (e->n == e->room)
	{
		e->room = Max(64, 2 * e->room);
		e->parts = e->parts ?
			repalloc_huge(e->parts, e->room * sizeof(Part)) :
			palloc(e->room * sizeof(Part));
	}
	e->parts[e->n++] = (Part)
	{
		name, code, value
	};
}

/* The product of factor * row with the candidate's vector, as it counts. */
static double
share_of(const Explanation *e, const float *row, double factor)
{
	int			D = e->asker->D;
	int			width = D / e->serving->tower.core.query.groups;
	double		sum = 0;

	for (int d = 0; d < D; d++)
		sum += (double) row[d] * e->c[d] * e->inverse[d / width];
	return factor * sum;
}

static void
add_to_sum(Explanation *e, const float *row, double factor)
{
	for (int d = 0; d < e->asker->D; d++)
		e->sum[d] += factor * row[d];
}

/* Visits the rows of all inputs: first for their sum, then for their shares. */
static void
visit_inputs(Explanation *e, const InputBuffers *buffers, bool shares)
{
	const TwoTower *tower = &e->serving->tower;
	const LbTower *query = &tower->core.query;

	for (int i = 0; i < query->n_inputs; i++)
	{
		const ModelInput *input = &tower->query_inputs[i];
		const LbTensor *table = &tower->core.tensors[input->table];
		const LbInputValues *v = &buffers->values[i];
		const char *name = lbrec_source_name(input->source);
		bool		each = input->source == SOURCE_HISTORY;
		int			n = input->kind == LB_INPUT_BAG ? v->spans[0].n : 1;
		double		factor = input->kind == LB_INPUT_BAG ?
			v->spans[0].scale : 1;
		double		value = 0;

		for (int k = 0; k < n; k++)
		{
			int32		code = input->kind == LB_INPUT_BAG ?
				v->spans[0].codes[k] : v->codes[0];
			const float *row = table->value + (Size) code * table->cols;

			if (!shares)
				add_to_sum(e, row, factor);
			else if (each)
				add_part(e, name, code, share_of(e, row, factor));
			else
				value += share_of(e, row, factor);
		}
		if (shares && !each)
			add_part(e, name, 0, value);
	}
}

/* The dot product, by inputs. */
static void
explain_inputs(Explanation *e, int64 time, double dot)
{
	const TwoTower *tower = &e->serving->tower;
	const LbTower *query = &tower->core.query;
	int			width = e->asker->D / query->groups;
	const Boosts *b = &e->asker->boosts;
	LbSpan		history = lbrec_history(tower, b->codes, b->n_own);
	InputBuffers buffers;
	double		total = 0;

	lbrec_make_buffers(&buffers, query, 1, CurrentMemoryContext);
	lbrec_query_inputs(&buffers, tower, &e->asker->user, &time,
					   e->asker->basis == BASIS_LISTENS ? &history : NULL, 1);
	e->sum = palloc0(e->asker->D * sizeof(double));
	e->inverse = palloc(query->groups * sizeof(double));
	visit_inputs(e, &buffers, false);
	for (int g = 0; g < query->groups; g++)
	{
		double		squares = 0;

		for (int d = g * width; d < (g + 1) * width; d++)
			squares += e->sum[d] * e->sum[d];
		e->inverse[g] = !query->normalize ? 1 :
			squares > 0 ? 1 / sqrt(squares) : 0;
	}
	visit_inputs(e, &buffers, true);
	for (int i = 0; i < e->n; i++)
		total += e->parts[i].value;
	for (int i = 0; i < e->n; i++)
		e->parts[i].value += (dot - total) / e->n;
}

/* What neighbours add, by the recordings whose neighbours they are. */
static void
explain_neighbours(Explanation *e, const ScoreParts *p)
{
	const Boosts *b = &e->asker->boosts;
	const LbNeighbours *nb = &b->model->neighbours;

	if (p->sum == 0 || nb->offsets == NULL)
		return;
	for (int i = 0; i < lbrec_near(b); i++)
	{
		int32		code = b->codes[i];

		for (int64 k = nb->offsets[code]; k < nb->offsets[code + 1]; k++)
			if (nb->codes[k] == e->candidate + 1)
				add_part(e, "neighbour", code, p->neighbours *
						 (log1p(b->plays[i]) * nb->weights[k]) / p->sum);
	}
}

static int
compare_parts(const void *a, const void *b)
{
	const Part *x = a;
	const Part *y = b;

	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	if (x->code != y->code)
		return x->code < y->code ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void
explain(Explanation *e, int64 time)
{
	const Asker *asker = e->asker;
	const TwoTower *tower = &e->serving->tower;
	ScoreParts	p = {0};
	double		dot;

	e->c = asker->vectors + (Size) e->candidate * asker->D;
	dot = lb_score(asker->query, e->c, asker->D);
	if (asker->basis == BASIS_POPULAR)
	{
		add_part(e, "popularity", 0, dot);
		return;
	}
	if (tower->summed &&
		(asker->basis == BASIS_MODEL || lbrec_has_history(tower)))
		explain_inputs(e, time, dot);
	else
		add_part(e, "towers", 0, dot);
	if (asker->boosts.n_own > 0)
		p = lbrec_score_parts(&asker->boosts, e->candidate);
	explain_neighbours(e, &p);
	for (int i = 0; i < e->n; i++)
		e->parts[i].value *= 1 + p.share;
	if (p.own && p.repeat != 0)
		add_part(e, "repeat", e->candidate + 1, p.repeat);
	qsort(e->parts, e->n, sizeof(Part), compare_parts);
}

/* lbrec_explain(user_id, recording_msid, model, at, listens) */
Datum
lbrec_explain(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, 5, 5, 3);
	Explanation e = {0};
	Occasion	occasion;
	Asker		asker;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	occasion = lbrec_occasion(fcinfo, 3, 4);
	e.serving = lbrec_open_model(lbrec_model_argument(fcinfo, 2));
	e.candidate = lbrec_candidate_of(e.serving, PG_GETARG_UUID_P(1));
	/* no score, as lbrec_score has none */
	if (e.candidate < 0)
		return (Datum) 0;
	lbrec_identify(&asker, e.serving, PG_GETARG_INT64(0), &occasion);
	e.asker = &asker;
	explain(&e, occasion.time);
	for (int i = 0; i < e.n; i++)
	{
		const Part *part = &e.parts[i];
		Datum		values[3];
		bool		nulls[3] = {false, part->code == 0, false};

		values[0] = CStringGetTextDatum(part->name);
		values[1] = part->code == 0 ? (Datum) 0 :
			UUIDPGetDatum(&e.serving->tower.recording_keys[part->code - 1]);
		values[2] = Float8GetDatum(part->value);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
