/*
 * stored_config.c
 *		Reads and verifies the configuration of a stored model.
 */
#include "pg/model/stored_config.h"

#include "executor/spi.h"

#include "pg/model/config.h"
#include "pg/store/tensors.h"
#include "pg/store/versions.h"

static void
damaged_config(const char *tensor, int32 chunk, const char *text, void *arg)
{
	lbrec_damaged(arg, tensor, Max(chunk, 0), text);
}

/* Returns the configuration in a model's row, as text. Called within SPI. */
char *
lbrec_row_config(const ModelRow *row)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(row->id)};
	MemoryContext context = CurrentMemoryContext;
	char	   *config;

	if (SPI_execute_with_args("SELECT config FROM lbrec.model "
							  "WHERE id OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, true,
							  0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not read a model's config");
	/* SPI's calls switch to another memory context */
	MemoryContextSwitchTo(context);
	config = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	SPI_freetuptable(SPI_tuptable);
	return config;
}

/*
 * Returns the same after comparing it with the copy that was saved with the
 * tensors: no other check would detect a changed configuration.
 */
char *
lbrec_stored_config(const ModelRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	TensorShape shape;
	char	   *saved;
	char	   *stored;

	if (!lbrec_tensor_shape(row, "config", &shape) ||
		shape.type != TENSOR_BYTES || shape.cols != 1 ||
		lbrec_tensor_size(&shape) > MaxAllocSize / 2)
		lbrec_damaged(row, "config", 0,
					  "The tensor is missing, or its shape does not fit the model's.");
	saved = MemoryContextAllocZero(context, lbrec_tensor_size(&shape) + 1);
	lbrec_load_tensor(row, "config", &shape, saved, NULL, NULL);
	MemoryContextSwitchTo(context);
	stored = lbrec_row_config(row);
	if (strcmp(stored, saved) != 0)
		lbrec_damaged(row, "config", 0, CONFIG_DIFFERS);
	pfree(stored);
	return saved;
}

/* Reads a stored model's configuration. Called within SPI. */
void
lbrec_load_config(ModelConfig *config, const ModelRow *row)
{
	char	   *json = lbrec_stored_config(row);

	(void) lbrec_parse_config(config, json, damaged_config,
							  unconstify(ModelRow *, row));
	pfree(json);
}
