/*
 * add_items.c
 *		lbrec_add_items(): adds recordings without plays to a model.
 */
#include "pg/server/lbrec.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/image/ready.h"
#include "pg/listens/dataset.h"
#include "pg/listens/items.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/server/progress.h"
#include "pg/server/srf.h"
#include "pg/store/versions.h"
#include "pg/train/options.h"
#include "pg/train/request.h"
#include "pg/train/save.h"
#include "pg/train/setting_values.h"
#include "pg/train/train.h"
#include "pg/train/warm.h"

PG_FUNCTION_INFO_V1(lbrec_add_items);

#define N_COLUMNS 3

enum
{
	ARG_MODEL,
	ARG_ITEMS,
	ARG_ACTIVATE,
	N_ARGS
};

static const char *const argument_names[N_ARGS] = {
	"model", "items", "activate"
};

/* lbrec_add_items(model, items, activate) */
Datum
lbrec_add_items(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, N_ARGS, N_COLUMNS);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec items",
												  ALLOCSET_DEFAULT_SIZES);
	TrainOptions options;
	TrainRequest request = {.options = &options};
	ListenSource source = {0};
	Dataset    *data;
	Trained    *trained;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};

	for (int i = 0; i < N_ARGS; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", argument_names[i]),
					 errhint("Leave the argument out to use its default, if it has one.")));
	request.name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODEL));
	source.items = text_to_cstring(PG_GETARG_TEXT_PP(ARG_ITEMS));
	PreventCommandIfReadOnly("lbrec_add_items()");
	PreventCommandIfParallelMode("lbrec_add_items()");
	lbrec_preset(&options, "default");
	request.warm = lbrec_warm_open(request.name, &options, context);
	options.activate = PG_GETARG_BOOL(ARG_ACTIVATE);
	options.make_default = false;
	source.bucketize = options.bucketize;
	source.number_buckets = options.number_buckets;
	source.prepare = lbrec_extend_prepare;
	source.prepare_arg = request.warm;
	lbrec_progress_start("lbrec_add_items", request.name, context);
	request.data = data = lbrec_read_catalogue(&source, context);
	trained = lbrec_extend_model(&request, context);
	lbrec_progress_phase("saving");
	data->n_listens = lbrec_warm_listens(request.warm);
	values[0] = Int32GetDatum(lbrec_save_model(request.name, trained, data,
											   &options, NULL, 0));
	values[1] = Int64GetDatum(lbrec_vocabulary_size(data->recordings) -
							  data->n_known_recordings);
	values[2] = Int64GetDatum(lbrec_vocabulary_size(data->recordings));
	lbrec_put_row(&sink, values, nulls);
	lbrec_spool_free(data->listens);
	MemoryContextDelete(context);
	if (PG_GETARG_BOOL(ARG_ACTIVATE))
		lbrec_prepare_image(text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODEL)));
	return (Datum) 0;
}
