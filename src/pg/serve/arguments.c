/*
 * arguments.c
 *		Arguments and results common to the serving calls.
 */
#include "pg/serve/arguments.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/serve/queries.h"
#include "pg/server/time.h"

RecordingList
lbrec_array_recordings(ArrayType *array, const char *argument)
{
	RecordingList list = {0};
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR,
					  &values, &nulls, &n);
	list.keys = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", argument),
					 errdetail("It lists recordings."),
					 errhint("Use array_remove(…, NULL).")));
		list.keys[list.n++] = *DatumGetUUIDP(values[i]);
	}
	return list;
}

/*
 * Opens the model that two arguments name; NULL stands for the default name
 * and for the active version.
 */
const ServingModel *
lbrec_open_argument(FunctionCallInfo fcinfo, int model, int version)
{
	const char *name = PG_ARGISNULL(model) ? NULL :
	text_to_cstring(PG_GETARG_TEXT_PP(model));

	if (PG_ARGISNULL(version))
		return lbrec_open_model(name, 0);
	if (PG_GETARG_INT32(version) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version is %d, but must be at least 1",
						PG_GETARG_INT32(version)),
				 errdetail("Versions count up from 1 with each training of the name."),
				 errhint("Leave it out to ask the active version.")));
	return lbrec_open_model(name, PG_GETARG_INT32(version));
}

/* Returns a time of listening in microseconds since 1970; NULL is now. */
int64
lbrec_time_argument(FunctionCallInfo fcinfo, int arg)
{
	return lbrec_argument_time(PG_ARGISNULL(arg) ?
							   GetCurrentTransactionStartTimestamp() :
							   PG_GETARG_TIMESTAMPTZ(arg), "at");
}

/* Returns the number of rows to return: k, limited to the existing ones. */
int32
lbrec_bounded_k(int32 k, int64 most)
{
	if (k < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k is %d, but must be at least 1", k),
				 errdetail("k is the number of rows to return."),
				 errhint("Ask for 10, for example.")));
	return (int32) Min(k, most);
}

int32
lbrec_known_user(const ServingModel *serving, int64 user_id)
{
	int32		user = lbrec_user_code(serving, user_id);

	if (user == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("model \"%s\" does not know user %lld",
						serving->image->row.name, (long long) user_id),
				 errdetail("The user had no listens in the query that version %d was trained on.",
						   serving->image->row.version),
				 errhint("Train again when the user has listens.")));
	return user;
}

/* Reads the argument ks of evaluations. */
int32 *
lbrec_read_ks(ArrayType *array, int *n)
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

/* makes a real[] */
ArrayType *
lbrec_float_array(const float *values, int n)
{
	Datum	   *elements = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		elements[i] = Float4GetDatum(values[i]);
	return construct_array(elements, n, FLOAT4OID, sizeof(float4), true,
						   TYPALIGN_INT);
}

int32
lbrec_known_recording(const ServingModel *serving, const pg_uuid_t *recording)
{
	int32		candidate = lbrec_candidate_of(serving, recording);

	if (candidate < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("model \"%s\" does not know recording %s",
						serving->image->row.name,
						DatumGetCString(DirectFunctionCall1(uuid_out,
															UUIDPGetDatum(recording)))),
				 errdetail("The recording had no listens in the query that version %d was trained on.",
						   serving->image->row.version),
				 errhint("Train again when the recording has listens, or add it with lbrec_add_items.")));
	return candidate;
}
