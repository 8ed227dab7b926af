/*
 * svg.h
 *		Shared by all figures: texts, colours, markers and axes.
 */
#ifndef LBREC_SQL_SVG_H
#define LBREC_SQL_SVG_H

#include "pg/server/lbrec.h"

#include "lib/stringinfo.h"

/* Maximum number of lines or kinds of bars in a figure. */
#define MAX_SERIES 8

/* Largest value that a figure can show. */
#define LARGEST_VALUE 1e300

typedef struct Scale
{
	double		low;
	double		high;
	double		step;			/* distance between ticks */
} Scale;

/* Where a scale begins. */
typedef enum ScaleStart
{
	START_ZERO,					/* at zero */
	START_NEAR,					/* at zero if it is as near as the values are
								 * to each other */
} ScaleStart;

extern const char *const lbrec_colours[MAX_SERIES];

extern void lbrec_append_escaped(StringInfo out, const char *text);
extern void lbrec_append_clipped(StringInfo out, const char *text, int most);
extern void lbrec_begin_svg(StringInfo out, int width, int height,
							const char *title, const char *described);
extern void lbrec_append_marker(StringInfo out, int series, double x,
								double y);
extern Scale lbrec_nice_scale(double low, double high, ScaleStart start,
							  bool whole);
extern int	lbrec_scale_steps(const Scale *s);
extern int	lbrec_scale_digits(const Scale *s);

/* Returns the share of the scale below the value. */
static inline double
lbrec_place(const Scale *s, double value)
{
	return (value - s->low) / (s->high - s->low);
}

#endif							/* LBREC_SQL_SVG_H */
