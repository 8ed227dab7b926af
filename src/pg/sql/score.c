/*
 * score.c
 *		lbrec_score(): returns the scores of given recordings.
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
#include "pg/sql/calls.h"

PG_FUNCTION_INFO_V1(lbrec_score);

/*
 * lbrec_score(user_id, recordings, model, at, listens, version, fresh): scores
 * in the order of the array; null for recordings that the model does not know.
 */
Datum
lbrec_score(PG_FUNCTION_ARGS)
{
	const ServingModel *serving;
	Moment		moment;
	Listener	listener;
	Datum	   *keys;
	bool	   *nulls;
	Datum	   *scores;
	int			n;
	int			lower = 1;

	lbrec_check_declaration(fcinfo, SCORE_ARGS, 0);
	if (PG_ARGISNULL(SCORE_USER_ID) || PG_ARGISNULL(SCORE_RECORDINGS))
		PG_RETURN_NULL();
	moment = lbrec_moment(fcinfo, SCORE_AT, SCORE_LISTENS, SCORE_FRESH);
	serving = lbrec_open_argument(fcinfo, SCORE_MODEL, SCORE_VERSION);
	lbrec_find_listener(&listener, serving, PG_GETARG_INT64(SCORE_USER_ID), &moment);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(SCORE_RECORDINGS), UUIDOID, UUID_LEN, false,
					  TYPALIGN_CHAR, &keys, &nulls, &n);
	if (n == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(FLOAT4OID));
	scores = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
	{
		int32		c = nulls[i] ? -1 :
		lbrec_candidate_of(serving, DatumGetUUIDP(keys[i]));

		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		nulls[i] = c < 0;
		scores[i] = c < 0 ? (Datum) 0 :
			Float4GetDatum(lbrec_listener_score(&listener, c));
	}
	PG_RETURN_ARRAYTYPE_P(construct_md_array(scores, nulls, 1, &n, &lower,
											 FLOAT4OID, sizeof(float4), true,
											 TYPALIGN_INT));
}
