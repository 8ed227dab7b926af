/*
 * embeddings.c
 *		lbrec_user_embedding(), lbrec_recording_embedding(),
 *		lbrec_recording_embeddings(): return the vectors of the towers.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/serve/arguments.h"
#include "pg/serve/listener.h"
#include "pg/server/declaration.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"

PG_FUNCTION_INFO_V1(lbrec_user_embedding);
PG_FUNCTION_INFO_V1(lbrec_recording_embedding);
PG_FUNCTION_INFO_V1(lbrec_recording_embeddings);

/*
 * lbrec_user_embedding(user_id, model, at, listens, version, fresh): the query
 * vector
 */
Datum
lbrec_user_embedding(PG_FUNCTION_ARGS)
{
	const ServingModel *serving;
	Moment		moment;
	Listener	listener;
	int64		user_id;

	lbrec_check_declaration(fcinfo, USER_EMBEDDING_ARGS, 0);
	if (PG_ARGISNULL(USER_EMBEDDING_USER_ID))
		PG_RETURN_NULL();
	user_id = PG_GETARG_INT64(USER_EMBEDDING_USER_ID);
	moment = lbrec_moment(fcinfo, USER_EMBEDDING_AT, USER_EMBEDDING_LISTENS,
						  USER_EMBEDDING_FRESH);
	serving = lbrec_open_argument(fcinfo, USER_EMBEDDING_MODEL, USER_EMBEDDING_VERSION);
	lbrec_find_listener(&listener, serving, user_id, &moment);
	if (listener.basis == BASIS_POPULAR)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("model \"%s\" does not know user %lld",
						serving->image->row.name, (long long) user_id),
				 errdetail("The user has no current listens from which to make a vector."),
				 errhint("Name the table or query that has them with listens; lbrec_recommend() answers with popular recordings.")));
	PG_RETURN_ARRAYTYPE_P(lbrec_float_array(listener.query, listener.D));
}

/* lbrec_recording_embedding(recording, model, version): the candidate vector */
Datum
lbrec_recording_embedding(PG_FUNCTION_ARGS)
{
	const ServingModel *serving;
	int32		candidate;

	lbrec_check_declaration(fcinfo, RECORDING_EMBEDDING_ARGS, 0);
	if (PG_ARGISNULL(RECORDING_EMBEDDING_RECORDING))
		PG_RETURN_NULL();
	serving = lbrec_open_argument(fcinfo, RECORDING_EMBEDDING_MODEL, RECORDING_EMBEDDING_VERSION);
	candidate =
		lbrec_known_recording(serving,
							  PG_GETARG_UUID_P(RECORDING_EMBEDDING_RECORDING));
	PG_RETURN_ARRAYTYPE_P(lbrec_float_array(lbrec_candidate_vector(serving,
																   candidate),
											serving->image->D));
}

/* lbrec_recording_embeddings(model, version): all of them */
Datum
lbrec_recording_embeddings(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, RECORDING_EMBEDDINGS_ARGS, 2);
	const ServingModel *serving;
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext,
											  "lbrec embedding",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;

	serving = lbrec_open_argument(fcinfo, RECORDING_EMBEDDINGS_MODEL, RECORDING_EMBEDDINGS_VERSION);
	old = MemoryContextSwitchTo(row);
	for (int32 c = 0; c < serving->tower.n_recordings; c++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		CHECK_FOR_INTERRUPTS();
		values[0] = UUIDPGetDatum(&serving->tower.recording_keys[c]);
		values[1] = PointerGetDatum(lbrec_float_array(lbrec_candidate_vector(serving,
																			 c),
													  serving->image->D));
		lbrec_put_row(&sink, values, nulls);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
	return (Datum) 0;
}
