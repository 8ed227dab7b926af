/*
 * explain.c
 *		lbrec_explain(): splits a score into its parts, to the last digit.
 *
 * A tower without layers adds up its inputs, so a dot product is a sum over
 * them: each recording of the history, the user's embedding and so on
 * contribute a term, divided by the length of the sum if vectors have unit
 * length.  The table in src/pg/model/score.c has the other parts of a score: a
 * part that comes from several of the user's recordings is divided among them,
 * and SCORE_SHARE is spread over the other rows.  So the rows add up to the
 * score that lbrec_score() returns; the rounding error of the dot product, a
 * float32, is spread over its rows, too.  Dense layers mix their inputs, so
 * with them the dot product is one row.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/scan/lb_scan.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/model/score.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/listener.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"

PG_FUNCTION_INFO_V1(lbrec_explain);

typedef struct Part
{
	const char *name;
	int32		code;			/* code of a recording; 0: none */
	double		value;
} Part;

typedef struct Explanation
{
	const ServingModel *serving;
	const Listener *listener;
	int32		candidate;
	const float *c;				/* (D) the recording's vector */
	double	   *sum;			/* (D) sum of the inputs, before normalising */
	double	   *inverse;		/* (groups) one divided by the length of each
								 * group */
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

/* Adds to the row of that name and recording, or appends one. */
static void
add_to_part(Explanation *e, const char *name, int32 code, double value)
{
	for (int i = 0; i < e->n; i++)
		if (e->parts[i].code == code && strcmp(e->parts[i].name, name) == 0)
		{
			e->parts[i].value += value;
			return;
		}
	add_part(e, name, code, value);
}

/* Returns the contribution of factor * row to the dot product. */
static double
share_of(const Explanation *e, const float *row, double factor)
{
	int			D = e->listener->D;
	int			width = D / e->serving->tower.core.query.groups;
	double		sum = 0;

	for (int d = 0; d < D; d++)
		sum += (double) row[d] * e->c[d] * e->inverse[d / width];
	return factor * sum;
}

static void
add_to_sum(Explanation *e, const float *row, double factor)
{
	for (int d = 0; d < e->listener->D; d++)
		e->sum[d] += factor * row[d];
}

/*
 * Visits the rows of all inputs: first to sum them, then to split the dot
 * product.
 */
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

/* Splits the dot product by inputs. */
static void
explain_inputs(Explanation *e, int64 time, double dot)
{
	const TwoTower *tower = &e->serving->tower;
	const LbTower *query = &tower->core.query;
	int			width = e->listener->D / query->groups;
	InputBuffers buffers;
	double		total = 0;

	lbrec_make_buffers(&buffers, query, 1, CurrentMemoryContext);
	lbrec_query_inputs(&buffers, tower, &e->listener->user, &time,
					   &e->listener->history, 1);
	e->sum = palloc0(e->listener->D * sizeof(double));
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

/* The rows of one part of the score, by source recording. */
typedef struct PartRows
{
	Explanation *e;
	const char *line;
} PartRows;

static void
add_source(int32 code, double share, void *arg)
{
	PartRows   *rows = arg;

	add_part(rows->e, rows->line, code, share);
}

/*
 * Makes rows for the parts of a kind, at a place among the related.  Parts
 * with the same line that come from the recording itself share a row.
 */
static void
explain_parts(Explanation *e, ScoreKind kind, int64 place)
{
	const Scorer *s = &e->listener->scorer;

	for (int p = 0; p < LB_N_PARTS; p++)
	{
		const ScorePart *part = &lbrec_score_parts[p];
		PartRows	rows = {e, part->line};
		double		value;

		if (part->kind != kind)
			continue;
		value = s->model->mix.weight[p] * lbrec_part_value(part, s, place);
		if (value == 0)
			continue;
		if (part->sources)
			part->sources(s, place, value, add_source, &rows);
		else
			add_to_part(e, part->line, lbrec_code_of(e->candidate), value);
	}
}

/* Spreads SCORE_SHARE: returns the factor for the rows of found. */
static double
find_share(const Scorer *s, int64 place)
{
	double		share = 0;

	for (int p = 0; p < LB_N_PARTS; p++)
		if (lbrec_score_parts[p].kind == SCORE_SHARE && place >= 0 &&
			place < s->n_own)
			share += s->model->mix.weight[p];
	return share;
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
	const Listener *listener = e->listener;
	const TwoTower *tower = &e->serving->tower;
	const Scorer *s = &listener->scorer;
	int64		place;
	double		share;
	double		dot;

	e->c = listener->vectors + (Size) e->candidate * listener->D;
	dot = lb_score(listener->query, e->c, listener->D);
	if (listener->basis == BASIS_POPULAR)
	{
		add_part(e, "popularity", 0, dot);
		return;
	}
	/* a fitted vector of a stranger is not a sum of inputs */
	if (tower->summed && (listener->user != 0 || lbrec_has_history(tower)))
		explain_inputs(e, time, dot);
	else
		add_part(e, "towers", 0, dot);
	place = lbrec_related_place(s, e->candidate);
	if (place >= 0)
	{
		explain_parts(e, SCORE_FOUND, place);
		share = find_share(s, place);
		for (int i = 0; i < e->n; i++)
			e->parts[i].value *= 1 + share;
		explain_parts(e, SCORE_PLAYED, place);
	}
	qsort(e->parts, e->n, sizeof(Part), compare_parts);
}

/*
 * lbrec_explain(user_id, recording_msid, model, at, listens, version, fresh)
 */
Datum
lbrec_explain(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, EXPLAIN_ARGS, 3);
	Explanation e = {0};
	Moment		moment;
	Listener	listener;

	if (PG_ARGISNULL(EXPLAIN_USER_ID) || PG_ARGISNULL(EXPLAIN_RECORDING))
		return (Datum) 0;
	moment = lbrec_moment(fcinfo, EXPLAIN_AT, EXPLAIN_LISTENS, EXPLAIN_FRESH);
	e.serving = lbrec_open_argument(fcinfo, EXPLAIN_MODEL, EXPLAIN_VERSION);
	e.candidate = lbrec_candidate_of(e.serving,
									 PG_GETARG_UUID_P(EXPLAIN_RECORDING));
	/* like lbrec_score, no score and no rows */
	if (e.candidate < 0)
		return (Datum) 0;
	lbrec_find_listener(&listener, e.serving,
						PG_GETARG_INT64(EXPLAIN_USER_ID), &moment);
	e.listener = &listener;
	explain(&e, moment.time);
	for (int i = 0; i < e.n; i++)
	{
		const Part *part = &e.parts[i];
		Datum		values[3];
		bool		nulls[3] = {false, part->code == 0, false};

		values[0] = CStringGetTextDatum(part->name);
		values[1] = part->code == 0 ? (Datum) 0 :
			UUIDPGetDatum(&e.serving->tower.recording_keys[lbrec_candidate_with(part->code)]);
		values[2] = Float8GetDatum(part->value);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
