/*
 * svg.c
 *		What all figures have in common: texts, colours, markers and axes.
 *
 * Colours are Okabe and Ito's, which colour-blind readers tell apart, and each
 * series has a marker of its own, so that a figure survives a black and white
 * printer.  Text, axes and the seventh series take the colour of what is
 * around them, and the ground has the class "paper": a page can show the same
 * figure in the dark.
 */
#include "pg/sql/svg.h"

#include <math.h>

#include "mb/pg_wchar.h"

/* The span of an axis, relative to its values, and the values, at least. */
#define LEAST_SPAN 1e-9
#define LEAST_VALUE 1e-290

const char *const lbrec_colours[MAX_SERIES] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7",
	"#e69f00", "#56b4e9", "currentColor", "#8a8a00",
};

/* A character of ASCII, between tags or quotation marks. */
static void
append_ascii(StringInfo out, char c)
{
	switch (c)
	{
		case '&':
			appendStringInfoString(out, "&amp;");
			break;
		case '<':
			appendStringInfoString(out, "&lt;");
			break;
		case '>':
			appendStringInfoString(out, "&gt;");
			break;
		case '"':
			appendStringInfoString(out, "&quot;");
			break;
		case '\'':
			appendStringInfoString(out, "&#39;");
			break;
		default:
			/* control characters have no form in XML */
			appendStringInfoChar(out, (c < ' ' && c != '\n') || c == 0x7f ?
								 ' ' : c);
	}
}

/*
 * Appends a text as XML and HTML have it: a name may hold anything.  What is
 * not ASCII becomes the number of its character, so the result is the same in
 * every encoding.
 */
void
lbrec_append_escaped(StringInfo out, const char *text)
{
	bool		known = GetDatabaseEncoding() != PG_SQL_ASCII;
	const unsigned char *at;

	if (known)
		text = pg_server_to_any(text, strlen(text), PG_UTF8);
	for (at = (const unsigned char *) text; *at; at++)
	{
		pg_wchar	code = '?';

		if (!IS_HIGHBIT_SET(*at))
		{
			append_ascii(out, *at);
			continue;
		}
		if (known)
		{
			code = utf8_to_unicode(at);
			at += pg_utf_mblen(at) - 1;
		}
		/* the two that XML does not take */
		if (code == 0xfffe || code == 0xffff)
			code = '?';
		appendStringInfo(out, "&#%u;", (unsigned) code);
	}
}

/* The same; a text of more than that many characters ends with an ellipsis. */
void
lbrec_append_clipped(StringInfo out, const char *text, int most)
{
	int			len = strlen(text);
	int			kept;

	if (pg_mbstrlen_with_len(text, len) > most)
	{
		kept = pg_mbcharcliplen(text, len, most - 1);
		lbrec_append_escaped(out, pnstrdup(text, kept));
		appendStringInfoString(out, "&#8230;");
	}
	else
		lbrec_append_escaped(out, text);
}

/* The figure's beginning; described says in words what it shows. */
void
lbrec_begin_svg(StringInfo out, int width, int height, const char *title,
				const char *described)
{
	appendStringInfo(out,
					 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
					 "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\" "
					 "color=\"#222\" fill=\"currentColor\" role=\"img\" aria-label=\"",
					 width, height, width, height);
	lbrec_append_escaped(out, title);
	appendStringInfoString(out, "\">\n<title>");
	lbrec_append_escaped(out, title);
	appendStringInfoString(out, "</title>\n<desc>");
	lbrec_append_escaped(out, described);
	appendStringInfo(out, "</desc>\n<rect class=\"paper\" width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
					 width, height);
}

/* The marker of a series, about 8 pixels wide. */
void
lbrec_append_marker(StringInfo out, int series, double x, double y)
{
	static const char *const shapes[MAX_SERIES] = {
		"<circle r=\"3.6\"",
		"<path d=\"M-3.5 -3.5h7v7h-7z\"",
		"<path d=\"M0 -4.6l4.4 7.6h-8.8z\"",
		"<path d=\"M0 -4.7l4.7 4.7l-4.7 4.7l-4.7 -4.7z\"",
		"<path d=\"M0 4.6l4.4 -7.6h-8.8z\"",
		"<path d=\"M-1.4 -4.5h2.8v3.1h3.1v2.8h-3.1v3.1h-2.8v-3.1h-3.1v-2.8h3.1z\"",
		"<path d=\"M-4.2 -2.2l2 -2l2.2 2.2l2.2 -2.2l2 2l-2.2 2.2l2.2 2.2l-2 2l-2.2 -2.2l-2.2 2.2l-2 -2l2.2 -2.2z\"",
		"<path d=\"M-2.3 -4h4.6l2.3 4l-2.3 4h-4.6l-2.3 -4z\"",
	};

	appendStringInfo(out, "%s transform=\"translate(%.1f %.1f)\" fill=\"%s\"/>\n",
					 shapes[series], x, y, lbrec_colours[series]);
}

/* About five ticks at 1, 2 or 5 times a power of ten. */
Scale
lbrec_nice_scale(double low, double high, ScaleStart start, bool whole)
{
	Scale		s;
	double		raw;
	double		power;

	if (low > 0 && (start == START_ZERO || low <= high - low))
		low = 0;
	/* values that differ by rounding alone would have ticks that do not */
	if (!(high - low > LEAST_SPAN * Max(fabs(low), fabs(high))) ||
		high - low < LEAST_VALUE)
	{
		double		margin = fabs(high) > LEAST_VALUE ? fabs(high) / 2 : 1;

		low = start == START_ZERO ? 0 : low - margin;
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
int
lbrec_scale_steps(const Scale *s)
{
	return (int) rint((s->high - s->low) / s->step);
}

/* Decimals that tell one tick from the next. */
int
lbrec_scale_digits(const Scale *s)
{
	return s->step >= 1 ? 0 : (int) ceil(-log10(s->step) - 1e-9);
}
