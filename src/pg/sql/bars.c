/*
 * bars.c
 *		Bars with their numbers, one below the other, for narrow screens.
 */
#include "pg/sql/bars.h"

#include <math.h>

/* Sizes in pixels. */
#define BARS_WIDTH 360
#define BAR_STEP 38
#define BAR_HEIGHT 12
#define BAR_GAP 14
#define BAR_ROOM 300			/* width of the longest */
#define LABEL_CHARACTERS 44

/* Formats a share as per cent. */
static char *
per_cent(double value)
{
	return psprintf("%.1f %%", 100 * value);
}

/* Draws bars of shares, 0 to 1; NaN gets no bar. */
void
lbrec_append_bars(StringInfo out, const char *title, const Bar *bars, int n)
{
	StringInfoData words;
	double		most = 0;
	int			y = 0;
	int			height = 8;

	initStringInfo(&words);
	for (int i = 0; i < n; i++)
	{
		most = Max(most, bars[i].value);
		height += BAR_STEP + (bars[i].above ? BAR_GAP : 0);
		appendStringInfo(&words, "%s%s: %s", i ? "; " : "", bars[i].label,
						 per_cent(bars[i].value));
	}
	lbrec_begin_svg(out, BARS_WIDTH, height, title, words.data);
	for (int i = 0; i < n; i++)
	{
		double		width = most > 0 ? BAR_ROOM * bars[i].value / most : 0;

		y += bars[i].above ? BAR_GAP : 0;
		appendStringInfo(out, "<text x=\"0\" y=\"%d\">", y + 14);
		lbrec_append_clipped(out, bars[i].label, LABEL_CHARACTERS);
		appendStringInfo(out, "</text><rect x=\"0\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\"/>"
						 "<text x=\"%.1f\" y=\"%d\" font-weight=\"bold\">%s</text>\n",
						 y + 20, Max(width, 1), BAR_HEIGHT,
						 lbrec_colours[bars[i].series], Max(width, 1) + 6,
						 y + 31, per_cent(bars[i].value));
		y += BAR_STEP;
	}
	appendStringInfoString(out, "</svg>\n");
}
