/*
 * load.h
 *		Loads the arrays of a stored model into memory, and checks them.
 */
#ifndef LBREC_MODEL_LOAD_H
#define LBREC_MODEL_LOAD_H

#include "pg/model/part_values.h"
#include "pg/model/parts.h"

/* A stored model: shapes of its arrays, and which of them are loaded. */
typedef struct LoadedModel
{
	const ModelRow *row;
	ModelConfig config;
	StoredParts *parts;
	PartValues *seen;			/* by part */
} LoadedModel;

extern void lbrec_find_arrays(LoadedModel *model, const ModelRow *row,
							  int uses);
extern void lbrec_load_array(LoadedModel *model, int i, void *out);
extern void lbrec_check_arrays(const LoadedModel *model, int uses);
extern void lbrec_bad_array(const ModelRow *row, const char *name,
							const char *problem);

#endif							/* LBREC_MODEL_LOAD_H */
