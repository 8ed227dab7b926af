/*
 * bars.h
 *		Bars with their numbers.
 */
#ifndef LBREC_SQL_BARS_H
#define LBREC_SQL_BARS_H

#include "pg/sql/svg.h"

typedef struct Bar
{
	const char *label;
	double		value;
	int			series;			/* number of the colour */
	bool		above;			/* leave an empty line above it */
} Bar;

extern void lbrec_append_bars(StringInfo out, const char *title,
							  const Bar *bars, int n);

#endif							/* LBREC_SQL_BARS_H */
