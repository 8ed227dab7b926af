/*
 * curves.c
 *		lbrec_curves_svg(): the preprint's figures 2 and 3, for any models.
 *
 * One SVG text, drawn from lbrec.epoch.  Colours are Okabe and Ito's, told
 * apart by colour-blind readers; each line also has a marker of its own, so
 * that the figure survives a black and white printer.
 */
#include "pg/server/lbrec.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "pg/server/declaration.h"
#include "pg/store/versions.h"

PG_FUNCTION_INFO_V1(lbrec_curves_svg);

#define MAX_LINES 8

/* Sizes in pixels. */
#define FIGURE_WIDTH 760
#define FIGURE_HEIGHT 440
#define PLOT_LEFT 78
#define PLOT_TOP 52
#define PLOT_WIDTH 490
#define PLOT_HEIGHT 320

/* The span of an axis, relative to its values, and the values, at most. */
#define LEAST_SPAN 1e-9
#define LARGEST_VALUE 1e300
#define LEAST_VALUE 1e-290

typedef struct Line
{
	char	   *label;
	int			n;
	int		   *epochs;
	double	   *values;
} Line;

typedef struct Scale
{
	double		low;
	double		high;
	double		step;			/* between ticks */
} Scale;

/* Curves that can be drawn: columns of lbrec.epoch. */
static const struct
{
	const char *column;
	const char *title;
	const char *axis;
	bool		share;			/* of listens: drawn as per cent */
}			figures[] = {
	{"loss", "Training loss", "loss of a batch (nats)", false},
	{"test_loss", "Loss of held-out listens", "loss of a batch (nats)", false},
	{"top_1", "Top-1 accuracy", "held-out listens found (%)", true},
	{"top_5", "Top-5 accuracy", "held-out listens found (%)", true},
	{"top_10", "Top-10 accuracy", "held-out listens found (%)", true},
	{"top_50", "Top-50 accuracy", "held-out listens found (%)", true},
	{"top_100", "Top-100 accuracy", "held-out listens found (%)", true},
};

static const char *const colours[MAX_LINES] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7",
	"#e69f00", "#56b4e9", "#000000", "#8a8a00",
};

static int
find_figure(const char *name)
{
	for (int i = 0; i < lengthof(figures); i++)
		if (strcmp(figures[i].column, name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("figure \"%s\" does not exist", name),
			 errdetail("A figure draws a column of lbrec.epoch by epoch."),
			 errhint("Figures are \"loss\", \"test_loss\", \"top_1\", \"top_5\", \"top_10\", \"top_50\" and \"top_100\".")));
	return 0;					/* keep compiler quiet */
}

/* A name may hold anything; the figure must stay well-formed XML. */
static char *
xml_text(const char *text)
{
	StringInfoData s;

	initStringInfo(&s);
	for (; *text; text++)
		switch (*text)
		{
			case '&':
				appendStringInfoString(&s, "&amp;");
				break;
			case '<':
				appendStringInfoString(&s, "&lt;");
				break;
			case '>':
				appendStringInfoString(&s, "&gt;");
				break;
			case '"':
				appendStringInfoString(&s, "&quot;");
				break;
			default:
				/* control characters have no form in XML */
				appendStringInfoChar(&s, (unsigned char) *text < ' ' ?
									 ' ' : *text);
		}
	return s.data;
}

/* Epochs of a model's active version at which the column has a value. */
static void
read_line(Line *line, const char *name, int figure, MemoryContext context)
{
	ModelRow	row;
	Oid			types[] = {INT8OID};
	Datum		values[1];
	char	   *sql;

	if (!lbrec_find_model(&row, name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist, or no version of it is active", name),
				 errdetail("A model is visible to others when the transaction that trained it has committed."),
				 errhint("List models with SELECT * FROM lbrec_models.")));
	sql = psprintf("SELECT epoch, %s FROM lbrec.epoch "
				   "WHERE model OPERATOR(pg_catalog.=) $1 AND %s IS NOT NULL "
				   "ORDER BY epoch",
				   figures[figure].column, figures[figure].column);
	values[0] = Int64GetDatum(row.id);
	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read lbrec.epoch");
	line->label = MemoryContextStrdup(context, name);
	line->n = (int) SPI_processed;
	line->epochs = MemoryContextAlloc(context, (line->n + 1) * sizeof(int));
	line->values = MemoryContextAlloc(context,
									  (line->n + 1) * sizeof(double));
	line->n = 0;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;
		int			epoch = DatumGetInt32(SPI_getbinval(tuple,
														SPI_tuptable->tupdesc,
														1, &isnull));
		double		value = DatumGetFloat8(SPI_getbinval(tuple,
														 SPI_tuptable->tupdesc,
														 2, &isnull));

		/* an imported model's may be anything */
		if (!(fabs(value) <= LARGEST_VALUE))
			continue;
		line->epochs[line->n] = epoch;
		line->values[line->n++] = figures[figure].share ? 100 * value : value;
	}
}

/* About five ticks at 1, 2 or 5 times a power of ten. */
static Scale
nice_scale(double low, double high, bool whole)
{
	Scale		s;
	double		raw;
	double		power;

	/* values that differ by rounding alone would have ticks that do not */
	if (!(high - low > LEAST_SPAN * Max(fabs(low), fabs(high))) ||
		high - low < LEAST_VALUE)
	{
		double		margin = fabs(high) > LEAST_VALUE ? fabs(high) / 2 : 1;

		low -= margin;
		high += margin;
	}
	raw = (high - low) / 5;
	power = pow(10, floor(log10(raw)));
	s.step = raw / power < 1.5 ? 1 : raw / power < 3.5 ? 2 :
		raw / power < 7.5 ? 5 : 10;
	s.step *= power;
	if (whole)
		s.step = Max(1, floor(s.step));
	s.low = floor(low / s.step + 1e-9) * s.step;
	s.high = ceil(high / s.step - 1e-9) * s.step;
	return s;
}

/* Steps from the first tick to the last, a few. */
static int
n_steps(const Scale *s)
{
	return (int) rint((s->high - s->low) / s->step);
}

static double
place(const Scale *s, double value)
{
	return (value - s->low) / (s->high - s->low);
}

static void
marker(StringInfo out, int kind, double x, double y)
{
	const char *fill = colours[kind];

	switch (kind % 4)
	{
		case 0:
			appendStringInfo(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>",
							 x, y, fill);
			break;
		case 1:
			appendStringInfo(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\" fill=\"%s\"/>",
							 x - 3.5, y - 3.5, fill);
			break;
		case 2:
			appendStringInfo(out, "<path d=\"M%.1f %.1fl4.2 7h-8.4z\" fill=\"%s\"/>",
							 x, y - 4.4, fill);
			break;
		default:
			appendStringInfo(out, "<path d=\"M%.1f %.1fl4.5 4.5l-4.5 4.5l-4.5 -4.5z\" fill=\"%s\"/>",
							 x, y - 4.5, fill);
	}
	appendStringInfoChar(out, '\n');
}

static void
draw_axes(StringInfo out, int figure, const Scale *xs, const Scale *ys)
{
	int			bottom = PLOT_TOP + PLOT_HEIGHT;
	int			digits = ys->step >= 1 ? 0 : (int) ceil(-log10(ys->step) - 1e-9);

	for (int i = 0; i <= n_steps(ys); i++)
	{
		double		v = ys->low + i * ys->step;
		double		y = bottom - place(ys, v) * PLOT_HEIGHT;

		appendStringInfo(out,
						 "<path d=\"M%d %.1fh%d\" stroke=\"#ddd\"/>"
						 "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n",
						 PLOT_LEFT, y, PLOT_WIDTH, PLOT_LEFT - 8, y + 4,
						 digits, v);
	}
	for (int i = 0; i <= n_steps(xs); i++)
	{
		double		v = xs->low + i * xs->step;
		double		x = PLOT_LEFT + place(xs, v) * PLOT_WIDTH;

		appendStringInfo(out,
						 "<path d=\"M%.1f %dv5\" stroke=\"#333\"/>"
						 "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
						 x, bottom, x, bottom + 19, v);
	}
	appendStringInfo(out,
					 "<path d=\"M%d %dv%dh%d\" fill=\"none\" stroke=\"#333\"/>\n"
					 "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">epoch</text>\n"
					 "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n"
					 "<text x=\"%d\" y=\"28\" font-size=\"17\" font-weight=\"bold\">%s</text>\n",
					 PLOT_LEFT, PLOT_TOP, PLOT_HEIGHT, PLOT_WIDTH,
					 PLOT_LEFT + PLOT_WIDTH / 2, bottom + 42,
					 PLOT_TOP + PLOT_HEIGHT / 2, figures[figure].axis,
					 PLOT_LEFT, figures[figure].title);
}

static void
draw_line(StringInfo out, const Line *line, int i, const Scale *xs,
		  const Scale *ys)
{
	int			bottom = PLOT_TOP + PLOT_HEIGHT;
	int			legend_x = PLOT_LEFT + PLOT_WIDTH + 22;
	int			legend_y = PLOT_TOP + 10 + 24 * i;

	appendStringInfo(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"",
					 colours[i]);
	for (int k = 0; k < line->n; k++)
		appendStringInfo(out, "%c%.1f %.1f", k ? 'L' : 'M',
						 PLOT_LEFT + place(xs, line->epochs[k]) * PLOT_WIDTH,
						 bottom - place(ys, line->values[k]) * PLOT_HEIGHT);
	appendStringInfoString(out, "\"/>\n");
	for (int k = 0; k < line->n; k++)
		marker(out, i,
			   PLOT_LEFT + place(xs, line->epochs[k]) * PLOT_WIDTH,
			   bottom - place(ys, line->values[k]) * PLOT_HEIGHT);
	appendStringInfo(out, "<path d=\"M%d %dh26\" stroke=\"%s\" stroke-width=\"2\"/>\n",
					 legend_x, legend_y, colours[i]);
	marker(out, i, legend_x + 13, legend_y);
	appendStringInfo(out, "<text x=\"%d\" y=\"%d\">%s</text>\n",
					 legend_x + 34, legend_y + 4, xml_text(line->label));
}

static char *
draw_figure(int figure, const Line *lines, int n_lines)
{
	StringInfoData out;
	double		low = INFINITY;
	double		high = -INFINITY;
	int			first = PG_INT32_MAX;
	int			last = 1;
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
						figures[figure].column),
				 errdetail("Models that were trained with split \"none\" are not evaluated."),
				 errhint("Draw the figure \"loss\" instead.")));
	/* accuracies are read against zero */
	ys = nice_scale(figures[figure].share ? 0 : low, high, false);
	xs = nice_scale(0, last, true);

	initStringInfo(&out);
	appendStringInfo(&out,
					 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
					 "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n"
					 "<title>%s</title>\n"
					 "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
					 FIGURE_WIDTH, FIGURE_HEIGHT, FIGURE_WIDTH, FIGURE_HEIGHT,
					 figures[figure].title, FIGURE_WIDTH, FIGURE_HEIGHT);
	draw_axes(&out, figure, &xs, &ys);
	for (int i = 0; i < n_lines; i++)
		draw_line(&out, &lines[i], i, &xs, &ys);
	appendStringInfoString(&out, "</svg>\n");
	return out.data;
}

/*
 * lbrec_curves_svg(models, figure)
 */
Datum
lbrec_curves_svg(PG_FUNCTION_ARGS)
{
	Datum	   *names;
	bool	   *nulls;
	int			n;
	int			figure;
	Line		lines[MAX_LINES];
	MemoryContext context = CurrentMemoryContext;

	lbrec_check_declaration(fcinfo, 2, 2, 0);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false,
					  TYPALIGN_INT, &names, &nulls, &n);
	figure = find_figure(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (n < 1 || n > MAX_LINES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("models has %d elements", n),
				 errdetail("A figure shows 1 to %d models.", MAX_LINES),
				 errhint("Draw two figures, or name fewer models.")));
	SPI_connect();
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("models must not contain nulls")));
		read_line(&lines[i], TextDatumGetCString(names[i]), figure, context);
	}
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(draw_figure(figure, lines, n)));
}
