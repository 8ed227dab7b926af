/*
 * curves.c
 *		lbrec_curves_svg(): the preprint's figures 2 and 3, for any models and
 *		any measure of an epoch.
 *
 * The result is one SVG text, drawn from lbrec.epoch: a line for each version
 * with a value. The legend has its name, its version and its held-out listens,
 * because measures on different ones cannot be compared.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "pg/sql/svg.h"
#include "pg/server/declaration.h"
#include "pg/store/versions.h"

PG_FUNCTION_INFO_V1(lbrec_curves_svg);

/* Sizes in pixels. */
#define FIGURE_WIDTH 780
#define FIGURE_HEIGHT 440
#define PLOT_LEFT 78
#define PLOT_TOP 52
#define PLOT_WIDTH 480
#define PLOT_HEIGHT 320
#define PLOT_BOTTOM (PLOT_TOP + PLOT_HEIGHT)
#define LEGEND_LEFT (PLOT_LEFT + PLOT_WIDTH + 20)
#define LEGEND_STEP 40

/* Maximum characters of a name in the legend; a tooltip has the rest. */
#define LEGEND_NAME 19

typedef struct Line
{
	char	   *name;
	int32		version;
	char	   *held_out;
	int			n;
	int		   *epochs;
	double	   *values;
} Line;

/* Curves that can be drawn: columns of lbrec.epoch. */
typedef struct Figure
{
	const char *column;
	const char *title;
	const char *axis;
	bool		share;			/* a share: drawn from 0, as per cent */
} Figure;

static const Figure figures[] = {
	{"loss", "Training loss", "loss of a batch (nats)", false},
	{"test_loss", "Loss of held-out listens", "loss of a batch (nats)", false},
	{"top_1", "Top-1 accuracy", "held-out listens found (%)", true},
	{"top_5", "Top-5 accuracy", "held-out listens found (%)", true},
	{"top_10", "Top-10 accuracy", "held-out listens found (%)", true},
	{"top_50", "Top-50 accuracy", "held-out listens found (%)", true},
	{"top_100", "Top-100 accuracy", "held-out listens found (%)", true},
	{"recall_20", "Recall@20 of new recordings", "new recordings found (%)", true},
	{"ndcg_20", "NDCG@20 of new recordings", "NDCG@20 (% of the best order)", true},
	{"ndcg_100", "NDCG@100 of new recordings", "NDCG@100 (% of the best order)", true},
	{"mrr", "Mean reciprocal rank", "mean of 1 / rank of held-out listens (%)", true},
};

static const Figure *
find_figure(const char *name)
{
	StringInfoData all;

	for (int i = 0; i < lengthof(figures); i++)
		if (strcmp(figures[i].column, name) == 0)
			return &figures[i];
	initStringInfo(&all);
	for (int i = 0; i < lengthof(figures); i++)
		appendStringInfo(&all, "%s\"%s\"",
						 i == 0 ? "" : i < lengthof(figures) - 1 ? ", " : " and ",
						 figures[i].column);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("figure \"%s\" does not exist", name),
			 errdetail("A figure draws a measure of lbrec.epoch by epoch."),
			 errhint("Figures are %s.", all.data)));
	return NULL;				/* keep compiler quiet */
}

/*
 * Describes a version's held-out listens in a few words, from the settings of
 * its training, as texts or null.
 */
static char *
held_out(const char *split, const char *fraction, const char *last)
{
	char	   *share = psprintf("%.4g %%", fraction ? 100 * atof(fraction) : 0);

	if (split == NULL)
		return "";
	if (strcmp(split, "none") == 0)
		return "nothing held out";
	if (strcmp(split, "query") == 0)
		return "on listens of a query";
	if (strcmp(split, "time") == 0)
		return "on the latest listens";
	if (strcmp(split, "paper") == 0)
		return "on a shuffled fifth";
	if (strcmp(split, "random") == 0)
		return psprintf("on a random %s", share);
	if (strcmp(split, "last") == 0)
		return psprintf("on users' last %s",
						last && strcmp(last, "0") != 0 ? last : share);
	return "";
}

/* Reads the epochs of a version at which the figure has a value. */
static void
read_line(Line *line, const char *name, int32 version, const Figure *figure,
		  MemoryContext context)
{
	ModelRow	row;
	Oid			types[] = {INT8OID};
	Datum		values[1];
	char	   *sql;
	bool		isnull;

	if (version != 0)
		lbrec_find_version(&row, name, version);
	else if (!lbrec_find_model(&row, name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist, or no version of it is active", name),
				 errdetail("A model is visible to others when the transaction that trained it has committed."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	sql = psprintf("SELECT e.epoch, e.%s, "
				   "m.config OPERATOR(pg_catalog.#>>) '{options,split}', "
				   "m.config OPERATOR(pg_catalog.#>>) '{options,test_fraction}', "
				   "m.config OPERATOR(pg_catalog.#>>) '{options,test_last}' "
				   "FROM lbrec.model AS m LEFT JOIN lbrec.epoch AS e "
				   "ON e.model OPERATOR(pg_catalog.=) m.id AND e.%s IS NOT NULL "
				   "WHERE m.id OPERATOR(pg_catalog.=) $1 ORDER BY e.epoch",
				   figure->column, figure->column);
	values[0] = Int64GetDatum(row.id);
	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read lbrec.epoch");
	line->name = MemoryContextStrdup(context, row.name);
	line->version = row.version;
	line->epochs = MemoryContextAlloc(context,
									  (SPI_processed + 1) * sizeof(int));
	line->values = MemoryContextAlloc(context,
									  (SPI_processed + 1) * sizeof(double));
	line->held_out = "";
	line->n = 0;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		double		value = DatumGetFloat8(SPI_getbinval(tuple, desc, 2,
														 &isnull));

		if (i == 0)
			line->held_out = MemoryContextStrdup(context,
												 held_out(SPI_getvalue(tuple, desc, 3),
														  SPI_getvalue(tuple, desc, 4),
														  SPI_getvalue(tuple, desc, 5)));
		/* an imported model may have any value */
		if (isnull || !(fabs(value) <= LARGEST_VALUE))
			continue;
		line->epochs[line->n] = DatumGetInt32(SPI_getbinval(tuple, desc, 1,
															&isnull));
		line->values[line->n++] = figure->share ? 100 * value : value;
	}
}

static void
draw_axes(StringInfo out, const Figure *figure, const Scale *xs,
		  const Scale *ys)
{
	for (int i = 0; i <= lbrec_scale_steps(ys); i++)
	{
		double		v = ys->low + i * ys->step;
		double		y = PLOT_BOTTOM - lbrec_place(ys, v) * PLOT_HEIGHT;

		appendStringInfo(out,
						 "<path d=\"M%d %.1fh%d\" stroke=\"currentColor\" stroke-opacity=\".15\"/>"
						 "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n",
						 PLOT_LEFT, y, PLOT_WIDTH, PLOT_LEFT - 8, y + 4,
						 lbrec_scale_digits(ys), v);
	}
	for (int i = 0; i <= lbrec_scale_steps(xs); i++)
	{
		double		v = xs->low + i * xs->step;
		double		x = PLOT_LEFT + lbrec_place(xs, v) * PLOT_WIDTH;

		appendStringInfo(out,
						 "<path d=\"M%.1f %dv5\" stroke=\"currentColor\"/>"
						 "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
						 x, PLOT_BOTTOM, x, PLOT_BOTTOM + 19, v);
	}
	appendStringInfo(out,
					 "<path d=\"M%d %dv%dh%d\" fill=\"none\" stroke=\"currentColor\"/>\n"
					 "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">epoch</text>\n"
					 "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n"
					 "<text x=\"%d\" y=\"28\" font-size=\"17\" font-weight=\"bold\">%s</text>\n",
					 PLOT_LEFT, PLOT_TOP, PLOT_HEIGHT, PLOT_WIDTH,
					 PLOT_LEFT + PLOT_WIDTH / 2, PLOT_BOTTOM + 42,
					 PLOT_TOP + PLOT_HEIGHT / 2, figure->axis,
					 PLOT_LEFT, figure->title);
}

/* Draws the i-th line and its entry in the legend. */
static void
draw_line(StringInfo out, const Line *line, int i, const Scale *xs,
		  const Scale *ys)
{
	int			legend_y = PLOT_TOP + 8 + LEGEND_STEP * i;

	appendStringInfo(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"",
					 lbrec_colours[i]);
	for (int k = 0; k < line->n; k++)
		appendStringInfo(out, "%c%.1f %.1f", k ? 'L' : 'M',
						 PLOT_LEFT + lbrec_place(xs, line->epochs[k]) * PLOT_WIDTH,
						 PLOT_BOTTOM - lbrec_place(ys, line->values[k]) * PLOT_HEIGHT);
	appendStringInfoString(out, "\"/>\n");
	for (int k = 0; k < line->n; k++)
		lbrec_append_marker(out, i,
							PLOT_LEFT + lbrec_place(xs, line->epochs[k]) * PLOT_WIDTH,
							PLOT_BOTTOM - lbrec_place(ys, line->values[k]) * PLOT_HEIGHT);
	appendStringInfo(out, "<path d=\"M%d %dh26\" stroke=\"%s\" stroke-width=\"2\"/>\n",
					 LEGEND_LEFT, legend_y, lbrec_colours[i]);
	lbrec_append_marker(out, i, LEGEND_LEFT + 13, legend_y);
	appendStringInfo(out, "<text x=\"%d\" y=\"%d\"><title>",
					 LEGEND_LEFT + 34, legend_y + 4);
	lbrec_append_escaped(out, line->name);
	appendStringInfoString(out, "</title>");
	lbrec_append_clipped(out, line->name, LEGEND_NAME);
	appendStringInfo(out, " %d</text>\n"
					 "<text x=\"%d\" y=\"%d\" font-size=\"11\" fill-opacity=\".75\">",
					 line->version, LEGEND_LEFT + 34, legend_y + 19);
	lbrec_append_escaped(out, line->held_out);
	appendStringInfoString(out, "</text>\n");
}

/* Describes the lines in words, for readers who cannot see them. */
static char *
describe(const Figure *figure, const Line *lines, int n_lines)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfo(&s, "%s by epoch; vertical axis: %s.", figure->title,
					 figure->axis);
	for (int i = 0; i < n_lines; i++)
	{
		const Line *l = &lines[i];

		if (l->n > 0)
			appendStringInfo(&s, " %s, version %d, %s: %.4g after epoch %d, %.4g after epoch %d.",
							 l->name, l->version, l->held_out, l->values[0],
							 l->epochs[0], l->values[l->n - 1],
							 l->epochs[l->n - 1]);
	}
	return s.data;
}

static char *
draw_figure(const Figure *figure, const Line *lines, int n_lines)
{
	StringInfoData out;
	double		low = INFINITY;
	double		high = -INFINITY;
	int			first = PG_INT32_MAX;
	int			last = 1;
	int			drawn = 0;
	Scale		xs;
	Scale		ys;

	for (int i = 0; i < n_lines; i++)
		for (int k = 0; k < lines[i].n; k++)
		{
			low = Min(low, lines[i].values[k]);
			high = Max(high, lines[i].values[k]);
			first = Min(first, lines[i].epochs[k]);
			last = Max(last, lines[i].epochs[k]);
		}
	if (first > last)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no epoch of these models has a value for figure \"%s\"",
						figure->column),
				 errdetail("Models that were trained with split \"none\" are not evaluated."),
				 errhint("Draw the figure \"loss\" instead.")));
	ys = lbrec_nice_scale(low, high, figure->share ? START_ZERO : START_NEAR,
						  false);
	xs = lbrec_nice_scale(0, last, START_ZERO, true);

	initStringInfo(&out);
	lbrec_begin_svg(&out, FIGURE_WIDTH, FIGURE_HEIGHT, figure->title,
					describe(figure, lines, n_lines));
	draw_axes(&out, figure, &xs, &ys);
	for (int i = 0; i < n_lines; i++)
		if (lines[i].n > 0)
			draw_line(&out, &lines[i], drawn++, &xs, &ys);
	appendStringInfoString(&out, "</svg>\n");
	return out.data;
}

/*
 * Reads the argument versions into (n) numbers; 0, or a null, means the active
 * version.
 */
static void
read_versions(int32 *versions, int n, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;
	int			given;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &values, &nulls, &given);
	if (given != n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("versions has %d elements, but models has %d", given,
						n),
				 errhint("Give a version for each model; null stands for the active one.")));
	for (int i = 0; i < n; i++)
	{
		versions[i] = nulls[i] ? 0 : DatumGetInt32(values[i]);
		if (!nulls[i] && versions[i] < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("version is %d, but must be at least 1",
							versions[i]),
					 errhint("Leave the argument out to ask the active version.")));
	}
}

/*
 * lbrec_curves_svg(models, figure, versions)
 */
Datum
lbrec_curves_svg(PG_FUNCTION_ARGS)
{
	Datum	   *names;
	bool	   *nulls;
	int			n;
	const Figure *figure;
	int32		versions[MAX_SERIES] = {0};
	Line		lines[MAX_SERIES];
	MemoryContext context = CurrentMemoryContext;

	lbrec_check_declaration(fcinfo, 3, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false,
					  TYPALIGN_INT, &names, &nulls, &n);
	figure = find_figure(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (n < 1 || n > MAX_SERIES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("models has %d elements", n),
				 errdetail("A figure shows 1 to %d models.", MAX_SERIES),
				 errhint("Draw two figures, or name fewer models.")));
	if (!PG_ARGISNULL(2))
		read_versions(versions, n, PG_GETARG_ARRAYTYPE_P(2));
	SPI_connect();
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("models must not contain nulls")));
		read_line(&lines[i], TextDatumGetCString(names[i]), versions[i],
				  figure, context);
	}
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(draw_figure(figure, lines, n)));
}
