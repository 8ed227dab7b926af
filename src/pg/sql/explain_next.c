/*
 * explain_next.c
 *		lbrec_explain_next(): splits a score of lbrec_next() into its parts.
 *
 * A row is the share of a part (core/score/lb_moment.h) that comes from one
 * recording.  The rows add up to the score, except for float32 rounding.
 */
#include "pg/server/lbrec.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/scan/lb_scan.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/serve/arguments.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"
#include "pg/sql/question.h"

PG_FUNCTION_INFO_V1(lbrec_explain_next);

typedef struct Part
{
	const char *name;
	int32		code;			/* code of a recording; 0: none */
	double		value;
} Part;

typedef struct Explanation
{
	const NextListener *next;
	const char *name;			/* name of the current part */
	Part	   *parts;
	int			n;
	int			room;
} Explanation;

static void
add_part(int32_t code, double value, void *arg)
{
	Explanation *e = arg;

	if (value == 0)
		return;
	/* a recording may occur twice among the last plays */
	for (int i = 0; i < e->n; i++)
		if (e->parts[i].name == e->name && e->parts[i].code == code)
		{
			e->parts[i].value += value;
			return;
		}
	if (e->n == e->room)
	{
		e->room *= 2;
		e->parts = repalloc_huge(e->parts, e->room * sizeof(Part));
	}
	e->parts[e->n++] = (Part)
	{
		e->name, code, value
	};
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
explain(Explanation *e, int32 candidate)
{
	const NextListener *next = e->next;
	const ServingModel *serving = next->serving;
	const LbMoment *m = &next->moment;
	LbMomentModel model = {serving->tower.counted.neighbours,
		serving->tower.counted.follow};
	int			D = serving->image->D;
	float		dot = lb_score(next->query, serving->tower.candidates +
							   (Size) candidate * D, D);
	int64		place = lb_moment_find(m, candidate + 1);
	const LbMomentRow *row = place < 0 ? NULL : &m->rows[place];
	double		values[LB_MOMENT_PARTS];

	lb_moment_values(values, m, row, dot);
	for (int p = 0; p < LB_MOMENT_PARTS; p++)
	{
		double		value = values[p] *
		next->weights[lb_moment_weight_place(p, row && row->w > 0)];

		CHECK_FOR_INTERRUPTS();
		e->name = lb_moment_part_name(p);
		if (value == 0)
			continue;
		if (p == LB_MOMENT_TASTE)
			add_part(0, value, e);
		else
			lb_moment_sources(m, &model, next->plays, next->n_plays, row, p,
							  value, add_part, e);
	}
	qsort(e->parts, e->n, sizeof(Part), compare_parts);
}

/* lbrec_explain_next(recording, recent, user_id, listens, model, at, version) */
Datum
lbrec_explain_next(PG_FUNCTION_ARGS)
{
	static const QuestionPlaces places = {EXPLAIN_NEXT_RECENT,
		EXPLAIN_NEXT_USER_ID, EXPLAIN_NEXT_LISTENS, EXPLAIN_NEXT_AT};
	RowSink		sink = lbrec_begin_rows(fcinfo, EXPLAIN_NEXT_ARGS, 3);
	Explanation e = {.room = 64};
	const ServingModel *serving;
	Question	question;
	NextListener next;
	Listener	unknown;
	int32		candidate;

	if (PG_ARGISNULL(EXPLAIN_NEXT_RECORDING))
		return (Datum) 0;
	question = lbrec_read_question(fcinfo, &places);
	serving = lbrec_open_argument(fcinfo, EXPLAIN_NEXT_MODEL,
								  EXPLAIN_NEXT_VERSION);
	candidate = lbrec_candidate_of(serving,
								   PG_GETARG_UUID_P(EXPLAIN_NEXT_RECORDING));
	if (candidate < 0)
		return (Datum) 0;
	e.next = &next;
	e.parts = palloc(e.room * sizeof(Part));
	if (lbrec_find_asked(&next, serving, &question))
		explain(&e, candidate);
	else
	{
		lbrec_popular_listener(&unknown, serving, &question.moment);
		e.name = "popularity";
		add_part(0, lbrec_listener_score(&unknown, candidate), &e);
	}
	for (int i = 0; i < e.n; i++)
	{
		const Part *part = &e.parts[i];
		Datum		values[3];
		bool		nulls[3] = {false, part->code == 0, false};

		values[0] = CStringGetTextDatum(part->name);
		values[1] = part->code == 0 ? (Datum) 0 :
			UUIDPGetDatum(&serving->tower.recording_keys[lbrec_candidate_with(part->code)]);
		values[2] = Float8GetDatum(part->value);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
