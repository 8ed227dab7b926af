/*
 * forget.c
 *		lbrec_forget_user(): removes a user from all models.
 *
 * A model has rows for each user: the key, the embedding and its optimiser's
 * states, features, and plays.  The table of arrays (parts.c) tells which
 * arrays have such rows.  They are cut out, and later users move up, so that
 * not even a gap is left.  The versions' images are removed when the
 * transaction commits; the next session that needs one builds it.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "pg/image/sweep.h"
#include "pg/model/load.h"
#include "pg/server/srf.h"
#include "pg/store/cut.h"
#include "pg/store/versions.h"

PG_FUNCTION_INFO_V1(lbrec_forget_user);

#define N_COLUMNS 4
#define USES (PART_SERVES | PART_TRAINS)

/*
 * Selects and locks the versions of all models, in order.  The active snapshot
 * is taken afterwards, so concurrent changes are seen or wait.
 */
static ModelRow *
lock_models(uint64 *n)
{
	ModelRow   *rows;

	if (SPI_execute("SELECT id FROM lbrec.model ORDER BY id FOR UPDATE",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock the rows of lbrec.model");
	SPI_freetuptable(SPI_tuptable);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_execute("SELECT id, name, version, checksum, n_users, n_recordings "
					"FROM lbrec.model ORDER BY name, version",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read lbrec.model");
	*n = SPI_processed;
	rows = palloc_extended((*n + 1) * sizeof(ModelRow), MCXT_ALLOC_HUGE);
	for (uint64 i = 0; i < *n; i++)
		lbrec_read_model_row(&rows[i], SPI_tuptable, i);
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

/*
 * Returns the code of the user, from 1 on; 0 if the model does not know them.
 */
static int64
find_code(const LoadedModel *model, int64 user)
{
	const StoredPart *keys =
		&model->parts->part[lbrec_find_part(model->parts, "user_key")];
	int64	   *chunk = palloc(TENSOR_CHUNK_BYTES);
	int64		code = 0;
	int64		seen = 0;

	for (int32 i = 0; code == 0 && seen < keys->shape.rows; i++)
	{
		int64		n = lbrec_load_chunk(model->row, keys->name, &keys->shape,
										 i, (char *) chunk) / sizeof(int64);

		CHECK_FOR_INTERRUPTS();
		for (int64 j = 0; j < n; j++)
			if (chunk[j] == user)
				code = seen + j + 1;
		seen += n;
	}
	pfree(chunk);
	return code;
}

/* Reads one element of an array of 8-byte integers. */
static int64
load_integer(const LoadedModel *model, const StoredPart *part, int64 row)
{
	char	   *chunk = palloc(TENSOR_CHUNK_BYTES);
	Size		at = row * sizeof(int64);
	int64		value;

	lbrec_load_chunk(model->row, part->name, &part->shape,
					 (int32) (at / TENSOR_CHUNK_BYTES), chunk);
	memcpy(&value, chunk + at % TENSOR_CHUNK_BYTES, sizeof(value));
	pfree(chunk);
	return value;
}

/*
 * Cuts the user's list out of the arrays that an array of offsets cuts.
 * Returns the number of its entries.
 */
static int64
cut_list(const LoadedModel *model, ModelRow *row, int offsets, int64 code)
{
	const StoredPart *part = &model->parts->part[offsets];
	TensorCut	cut = {.at = load_integer(model, part, code)};
	int64		rows = model->parts->part[part->cuts].shape.rows;

	cut.rows = load_integer(model, part, code + 1) - cut.at;
	if (cut.at < 0 || cut.rows < 0 || cut.at > rows || cut.rows > rows - cut.at)
		lbrec_bad_array(model->row, part->name,
						"Its offsets do not ascend, or too far.");
	for (int i = 0; i < model->parts->n; i++)
	{
		const StoredPart *p = &model->parts->part[i];

		if (p->cut_by != offsets)
			continue;
		if (p->shape.rows != rows)
			lbrec_bad_array(model->row, p->name,
							psprintf("It has another length than \"%s\".",
									 model->parts->part[part->cuts].name));
		lbrec_cut_tensor(row, p->name, &p->shape, &cut);
	}
	return cut.rows;
}

/*
 * Cuts the user with that code out of all arrays of the version.  Returns the
 * number of their recordings.
 */
static int64
cut_user(const LoadedModel *model, ModelRow *row, int64 code)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[2];
	int64		played = 0;

	for (int i = 0; i < model->parts->n; i++)
	{
		const StoredPart *p = &model->parts->part[i];
		TensorCut	cut = {.at = code - 1 + p->first_user, .rows = 1};

		if (p->first_user < 0)
			continue;
		if (p->check == CHECK_OFFSETS)
		{
			cut.less = cut_list(model, row, i, code);
			if (strcmp(p->name, "history_offsets") == 0)
				played = cut.less;
		}
		lbrec_cut_tensor(row, p->name, &p->shape, &cut);
	}
	values[0] = Int64GetDatum(row->id);
	values[1] = Int64GetDatum(row->checksum);
	if (SPI_execute_with_args("UPDATE lbrec.model "
							  "SET n_users = n_users OPERATOR(pg_catalog.-) 1, checksum = $2 "
							  "WHERE id OPERATOR(pg_catalog.=) $1",
							  2, types, values, NULL, false, 0) != SPI_OK_UPDATE ||
		SPI_processed != 1)
		elog(ERROR, "could not update lbrec.model");
	return played;
}

/* Drops a version that knows no other user. */
static void
drop_version(const ModelRow *row)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(row->id)};

	if (SPI_execute_with_args("DELETE FROM lbrec.model "
							  "WHERE id OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, false, 0) != SPI_OK_DELETE ||
		SPI_processed != 1)
		elog(ERROR, "could not delete from lbrec.model");
}

/*
 * Removes the user from one version, and adds a row if it knew them.  True if
 * the version remains.
 */
static bool
forget_in(ModelRow *row, int64 user, RowSink *sink)
{
	ModelRow	old = *row;
	LoadedModel model;
	int64		code;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};

	lbrec_find_arrays(&model, &old, USES);
	code = find_code(&model, user);
	if (code == 0)
		return false;
	values[0] = CStringGetTextDatum(row->name);
	values[1] = Int32GetDatum(row->version);
	values[2] = BoolGetDatum(row->n_users == 1);
	if (row->n_users == 1)
	{
		drop_version(row);
		nulls[3] = true;
	}
	else
		values[3] = Int64GetDatum(cut_user(&model, row, code));
	lbrec_put_row(sink, values, nulls);
	lbrec_forget_images(row->id, XACT_EVENT_COMMIT);
	return old.n_users > 1;
}

/*
 * lbrec_forget_user(user_id): returns a row for each version that knew the
 * user.
 */
Datum
lbrec_forget_user(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, 1, N_COLUMNS);
	MemoryContext scratch;
	MemoryContext old;
	ModelRow   *rows;
	uint64		n;
	bool		some_left = false;

	PreventCommandIfReadOnly("lbrec_forget_user()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "user_id"),
				 errhint("Give the user that all models must forget.")));
	SPI_connect();
	rows = lock_models(&n);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "lbrec forgetting",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	for (uint64 i = 0; i < n; i++)
	{
		some_left |= forget_in(&rows[i], PG_GETARG_INT64(0), &sink);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(old);
	PopActiveSnapshot();
	SPI_finish();
	if (some_left)
		ereport(NOTICE,
				(errmsg("models still hold what they learned from this user together with others"),
				 errdetail("These are the vectors, counts and neighbours of recordings, the layers' weights, and the values that features of users had."),
				 errhint("Delete the user's listens and train again to remove that, too. VACUUM lbrec.tensor, which keeps the old rows until then.")));
	return (Datum) 0;
}
