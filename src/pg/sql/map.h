/*
 * map.h
 *		Draws a map of points, the first of which have names.
 */
#ifndef LBREC_SQL_MAP_H
#define LBREC_SQL_MAP_H

#include "pg/sql/svg.h"

typedef struct MapPoint
{
	double		place[2];
	double		weight;			/* area of its dot */
	const char *name;			/* tooltip; NULL: none */
} MapPoint;

extern void lbrec_append_map(StringInfo out, const char *title,
							 const char *described, const MapPoint *points,
							 int n);

#endif							/* LBREC_SQL_MAP_H */
