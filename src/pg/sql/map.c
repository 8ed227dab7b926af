/*
 * map.c
 *		Draws a map of points: dots with names as tooltips, and printed names
 *		where there is room.
 *
 * Points are sorted, the heaviest first.  They are drawn from the last to the
 * first, so that a small dot does not hide a large one's name.
 */
#include "pg/sql/map.h"

#include <math.h>

/* Sizes in pixels. */
#define MAP_WIDTH 720
#define MAP_HEIGHT 520
#define MAP_MARGIN 30
#define LARGEST_DOT 9
#define SMALLEST_DOT 1.5
#define LABEL_WIDTH 200
#define LABEL_HEIGHT 16
#define LABEL_CHARACTERS 28
#define LABELS 12

typedef struct Corner
{
	double		x;
	double		y;
} Corner;

static bool
overlaps(const Corner *labels, int n, double x, double y)
{
	for (int i = 0; i < n; i++)
		if (fabs(labels[i].x - x) < LABEL_WIDTH &&
			fabs(labels[i].y - y) < LABEL_HEIGHT)
			return true;
	return false;
}

void
lbrec_append_map(StringInfo out, const char *title, const char *described,
				 const MapPoint *points, int n)
{
	double		low[2] = {INFINITY, INFINITY};
	double		high[2] = {-INFINITY, -INFINITY};
	double		heaviest = n > 0 ? points[0].weight : 1;
	Corner	   *at = palloc(Max(n, 1) * sizeof(Corner));
	Corner		labels[LABELS];
	int			n_labels = 0;

	for (int i = 0; i < n; i++)
		for (int k = 0; k < 2; k++)
		{
			low[k] = Min(low[k], points[i].place[k]);
			high[k] = Max(high[k], points[i].place[k]);
		}
	lbrec_begin_svg(out, MAP_WIDTH, MAP_HEIGHT, title, described);
	for (int i = n - 1; i >= 0; i--)
	{
		const MapPoint *p = &points[i];
		double		share[2];

		for (int k = 0; k < 2; k++)
			share[k] = high[k] > low[k] ?
				(p->place[k] - low[k]) / (high[k] - low[k]) : 0.5;
		at[i].x = MAP_MARGIN + share[0] * (MAP_WIDTH - 2 * MAP_MARGIN);
		at[i].y = MAP_HEIGHT - MAP_MARGIN -
			share[1] * (MAP_HEIGHT - 2 * MAP_MARGIN);
		appendStringInfo(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\".45\"",
						 at[i].x, at[i].y,
						 Max(LARGEST_DOT * sqrt(p->weight / Max(heaviest, 1)),
							 SMALLEST_DOT), lbrec_colours[0]);
		if (p->name)
		{
			appendStringInfoString(out, "><title>");
			lbrec_append_escaped(out, p->name);
			appendStringInfoString(out, "</title></circle>\n");
		}
		else
			appendStringInfoString(out, "/>\n");
	}
	for (int i = 0; i < n && n_labels < LABELS && points[i].name; i++)
	{
		bool		left = at[i].x > MAP_WIDTH - LABEL_WIDTH;
		double		x = left ? at[i].x - LABEL_WIDTH : at[i].x;

		if (overlaps(labels, n_labels, x, at[i].y))
			continue;
		labels[n_labels++] = (Corner)
		{
			x, at[i].y
		};
		appendStringInfo(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" text-anchor=\"%s\" pointer-events=\"none\">",
						 at[i].x + (left ? -LARGEST_DOT : LARGEST_DOT),
						 at[i].y + 4, left ? "end" : "start");
		lbrec_append_clipped(out, points[i].name, LABEL_CHARACTERS);
		appendStringInfoString(out, "</text>\n");
	}
	appendStringInfoString(out, "</svg>\n");
}
