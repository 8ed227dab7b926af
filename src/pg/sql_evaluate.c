/*
 * sql_evaluate.c
 *		lbrec_evaluate(): how well a model finds what was listened to.
 */
#include "lbrec.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "dataset.h"
#include "image.h"
#include "ranking.h"

PG_FUNCTION_INFO_V1(lbrec_evaluate);

#define N_COLUMNS 6

static int32 *
read_ks(ArrayType *array, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	int32	   *ks;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &values, &nulls, n);
	if (*n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ks must not be empty"),
				 errdetail("It lists the K of top-K accuracy."),
				 errhint("For example: ks => '{1,5,10,50,100}'.")));
	ks = palloc(*n * sizeof(int32));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i] || DatumGetInt32(values[i]) < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("ks must hold numbers of at least 1"),
					 errdetail("It lists the K of top-K accuracy."),
					 errhint("For example: ks => '{1,5,10,50,100}'.")));
		ks[i] = DatumGetInt32(values[i]);
	}
	return ks;
}

/* Codes of the dataset's users and recordings in the model. */
static void
map_listens(const ServingModel *serving, const Dataset *data,
			int32 *users, int64 *times, int32 *truth)
{
	int32		n_users = lbrec_vocabulary_size(data->users);
	int32		n_recordings = lbrec_vocabulary_size(data->recordings);
	int32	   *user_codes = palloc_extended((n_users + 1) * sizeof(int32),
											 MCXT_ALLOC_HUGE);
	int32	   *candidates = palloc_extended((n_recordings + 1) *
											 sizeof(int32), MCXT_ALLOC_HUGE);

	for (int32 i = 1; i <= n_users; i++)
	{
		int64		key;

		memcpy(&key, lbrec_vocabulary_key(data->users, i, NULL),
			   sizeof(key));
		user_codes[i] = lbrec_user_code(serving, key);
	}
	for (int32 i = 1; i <= n_recordings; i++)
		candidates[i] = lbrec_candidate_of(serving, (const pg_uuid_t *)
										   lbrec_vocabulary_key(data->recordings, i, NULL));
	for (int64 i = 0; i < data->n_listens; i++)
	{
		users[i] = user_codes[data->listens[i].user];
		truth[i] = candidates[data->listens[i].recording];
		times[i] = data->listens[i].time;
	}
}

/*
 * lbrec_evaluate(model, listens, ks)
 *
 * Each listen is a query whose one relevant candidate is its recording.  A
 * recording that the model does not know is a miss; an unknown user is scored
 * with the out-of-vocabulary embedding.
 */
Datum
lbrec_evaluate(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec evaluation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const ServingModel *serving;
	Dataset    *data;
	int32	   *ks;
	int			n_ks;
	int32	   *users;
	int32	   *truth;
	int64	   *times;
	int64	   *ranks;
	int64		unknown = 0;
	int64		most = 0;
	int64		n;

	for (int arg = 1; arg < 3; arg++)
		if (PG_ARGISNULL(arg))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null",
							arg == 1 ? "listens" : "ks"),
					 errhint("Leave the argument out to use its default.")));
	ks = read_ks(PG_GETARG_ARRAYTYPE_P(2), &n_ks);
	data = lbrec_read_listens(text_to_cstring(PG_GETARG_TEXT_PP(1)), NULL,
							  false, context);
	serving = lbrec_open_model(PG_ARGISNULL(0) ? NULL :
							   text_to_cstring(PG_GETARG_TEXT_PP(0)));
	n = data->n_listens;
	users = MemoryContextAllocHuge(context, n * sizeof(int32));
	truth = MemoryContextAllocHuge(context, n * sizeof(int32));
	times = MemoryContextAllocHuge(context, n * sizeof(int64));
	for (int j = 0; j < n_ks; j++)
		most = Max(most, ks[j]);
	map_listens(serving, data, users, times, truth);
	ranks = lbrec_rank_listens(&serving->tower, serving->candidates, users,
							   times, truth, n, most,
							   lbrec_start_threads(context), context);
	for (int64 i = 0; i < n; i++)
		if (truth[i] < 0)
			unknown++;
	MemoryContextSwitchTo(old);
	for (int j = 0; j < n_ks; j++)
	{
		int64		hits = 0;
		double		gain = 0;
		double		reciprocal = 0;
		Datum		values[N_COLUMNS];
		bool		nulls[N_COLUMNS] = {0};

		for (int64 i = 0; i < n; i++)
			if (ranks[i] < ks[j])
			{
				hits++;
				gain += 1 / log2(ranks[i] + 2.0);
				reciprocal += 1 / (ranks[i] + 1.0);
			}
		values[0] = Int32GetDatum(ks[j]);
		values[1] = Float8GetDatum((double) hits / n);
		values[2] = Float8GetDatum(gain / n);
		values[3] = Float8GetDatum(reciprocal / n);
		values[4] = Int64GetDatum(n);
		values[5] = Int64GetDatum(unknown);
		lbrec_put_row(&sink, values, nulls);
	}
	MemoryContextDelete(context);
	return (Datum) 0;
}
