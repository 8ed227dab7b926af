/*
 * svg.c
 *		Shared by all figures: texts, colours, markers and axes.
 *
 * Colours are Okabe and Ito's, which colour-blind readers can tell apart, and
 * each series has its own marker, for black and white prints.  Text, axes and
 * the seventh series take the surrounding text colour, and the background has
 * the class "paper", so that a page can show the figure in a dark theme.
 */
#include "pg/sql/svg.h"

#include <math.h>

#include "mb/pg_wchar.h"

/* Minimum span of an axis relative to its values, and of the values. */
#define LEAST_SPAN 1e-9
#define LEAST_VALUE 1e-290

const char *const lbrec_colours[MAX_SERIES] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7",
	"#e69f00", "#56b4e9", "currentColor", "#8a8a00",
};

/* Escapes an ASCII character, for text and for attributes. */
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
 * Appends a text escaped for XML and HTML: a name may hold anything.
 * Characters outside ASCII become numeric references, so the result is the
 * same in every encoding.
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
		/* the two code points that XML forbids */
		if (code == 0xfffe || code == 0xffff)
			code = '?';
		appendStringInfo(out, "&#%u;", (unsigned) code);
	}
}

/* The same, but truncates a text of more characters with an ellipsis. */
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

/* Begins the figure; described describes it in words. */
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

/* Draws the marker of a series, about 8 pixels wide. */
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

/* Makes a scale with about five ticks, at 1, 2 or 5 times a power of ten. */
Scale
lbrec_nice_scale(double low, double high, ScaleStart start, bool whole)
{
	Scale		s;
	double		raw;
	double		power;

	if (low > 0 && (start == START_ZERO || low <= high - low))
		low = 0;
	/* for values that differ by rounding alone, the ticks would not differ */
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

/* Returns the number of steps from the first tick to the last. */
int
lbrec_scale_steps(const Scale *s)
{
	return (int) rint((s->high - s->low) / s->step);
}

/* Returns the decimals that distinguish the ticks. */
int
lbrec_scale_digits(const Scale *s)
{
	return s->step >= 1 ? 0 : (int) ceil(-log10(s->step) - 1e-9);
}
