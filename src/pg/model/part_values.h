/*
 * part_values.h
 *		Checks the values of a model's arrays.
 */
#ifndef LBREC_MODEL_PART_VALUES_H
#define LBREC_MODEL_PART_VALUES_H

#include "pg/model/parts.h"

/* Facts about an array's values so far; starts as zeros. */
typedef struct PartValues
{
	int64		n;
	int64		first;			/* integers */
	int64		last;
	int64		least;
	int64		most;
	int64		above;			/* CHECK_COUNTS of integers: largest from
								 * "beyond" on */
	double		previous;		/* CHECK_ASCENDING */
} PartValues;

extern const char *lbrec_check_values(const StoredPart *part,
									  PartValues *seen, const char *data,
									  Size bytes);
extern const char *lbrec_check_part(const StoredParts *parts,
									const PartValues *seen, int i);

#endif							/* LBREC_MODEL_PART_VALUES_H */
