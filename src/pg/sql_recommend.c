/*
 * sql_recommend.c
 *		lbrec_recommend(): the best recordings for a user, exactly.
 */
#include "lbrec.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/lb_scan.h"
#include "image.h"

PG_FUNCTION_INFO_V1(lbrec_recommend);

/* Clears the bits of the recordings that a user has listened to by now. */
static void
exclude_listened(uint64 *allow, const ServingModel *serving,
				 const char *listens, int64 user_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(user_id)};
	char	   *sql;
	bool		was_read_only = XactReadOnly;

	/*
	 * The caller's own listens: the query runs with the caller's rights, so
	 * row security applies, and the condition reaches an index below it.  It
	 * must not write; SPI's own argument for that does not reach what
	 * functions in the query do.  An error restores XactReadOnly with the
	 * (sub)transaction.
	 */
	sql = psprintf("SELECT DISTINCT l.recording_msid FROM (%s) AS l "
				   "WHERE l.user_id OPERATOR(pg_catalog.=) $1",
				   lbrec_listens_query(listens));
	SPI_connect();
	XactReadOnly = true;
	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 0) !=
		SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("listens must be one query that returns rows"),
				 errhint("Give the name of a table or a single SELECT.")));
	if (SPI_gettypeid(SPI_tuptable->tupdesc, 1) != UUIDOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"recording_msid\" of the query of listens is not of type uuid")));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		d = SPI_getbinval(SPI_tuptable->vals[i],
									  SPI_tuptable->tupdesc, 1, &isnull);
		int32		candidate;

		if (isnull)
			continue;
		candidate = lbrec_candidate_of(serving, DatumGetUUIDP(d));
		if (candidate >= 0)
			allow[candidate / 64] &= ~(UINT64CONST(1) << (candidate % 64));
	}
	XactReadOnly = was_read_only;
	SPI_finish();
}

static void
check_k(int32 k, const ServingModel *serving)
{
	if (k < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k is %d, but must be at least 1", k),
				 errdetail("k is the number of recordings to recommend."),
				 errhint("Ask for 10, for example.")));
	if (k > serving->tower.n_recordings)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k is %d, beyond the number of candidates", k),
				 errdetail("Model \"%s\" knows %lld recordings.",
						   serving->image->row.name,
						   (long long) serving->tower.n_recordings),
				 errhint("Ask for at most %lld.",
						 (long long) serving->tower.n_recordings)));
}

/*
 * lbrec_recommend(user_id, k, model, at, exclude_listened, listens)
 */
Datum
lbrec_recommend(PG_FUNCTION_ARGS)
{
	int64		user_id;
	int32		k;
	int32		user;
	int64		time;
	bool		exclude;
	const ServingModel *serving;
	RowSink		sink = lbrec_begin_rows(fcinfo);
	int			D;
	int64		n;
	int64		found;
	float	   *query;
	int64	   *ids;
	float	   *scores;
	uint64	   *allow = NULL;
	LbCandidates set = {0};
	void	   *scratch;
	LbStatus	status;

	/* as a strict function: nothing is recommended to nobody */
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	user_id = PG_GETARG_INT64(0);
	k = PG_ARGISNULL(1) ? 10 : PG_GETARG_INT32(1);
	time = PG_ARGISNULL(3) ? GetCurrentTransactionStartTimestamp() :
		PG_GETARG_TIMESTAMPTZ(3);
	exclude = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	serving = lbrec_open_model(PG_ARGISNULL(2) ? NULL :
							   text_to_cstring(PG_GETARG_TEXT_PP(2)));
	check_k(k, serving);
	user = lbrec_user_code(serving, user_id);
	if (user == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("model \"%s\" does not know user %lld",
						serving->image->row.name, (long long) user_id),
				 errdetail("The user had no listens in the query that version %d was trained on.",
						   serving->image->row.version),
				 errhint("Train again when the user has listens.")));

	n = serving->tower.n_recordings;
	D = serving->image->D;
	if (exclude)
	{
		Size		words = (n + 63) / 64;

		allow = palloc_extended(words * sizeof(uint64), MCXT_ALLOC_HUGE);
		memset(allow, 0xff, words * sizeof(uint64));
		exclude_listened(allow, serving, PG_ARGISNULL(5) ? "listen" :
						 text_to_cstring(PG_GETARG_TEXT_PP(5)), user_id);
	}
	query = lbrec_alloc_aligned(CurrentMemoryContext, D * sizeof(float),
								"query");
	time += ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) *
		USECS_PER_DAY;
	lbrec_query_vectors(query, &serving->tower, &user, &time, 1, NULL,
						CurrentMemoryContext);
	set.c = serving->candidates;
	set.n = n;
	set.D = D;
	set.index = serving->index;
	set.allow = allow;
	scratch = lbrec_alloc_aligned(CurrentMemoryContext,
								  lb_topk_bytes(&set, k), "selection");
	ids = palloc_extended(k * sizeof(int64), MCXT_ALLOC_HUGE);
	scores = palloc_extended(k * sizeof(float), MCXT_ALLOC_HUGE);
	do
	{
		CHECK_FOR_INTERRUPTS();
		status = lb_topk(&found, ids, scores, query, &set, k, scratch,
						 lbrec_cancel_flag());
	} while (status == LB_CANCELLED);
	lbrec_check_status(status, "a score");
	for (int64 i = 0; i < found; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = UUIDPGetDatum(&serving->recording_keys[ids[i]]);
		values[2] = Float4GetDatum(scores[i]);
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
