/*
 * check.c
 *		lbrec_check(): verifies stored models.
 *
 * Chunks are read one at a time, so a check of any model takes the memory of
 * some chunks.  The code that builds images checks what serving needs, without
 * building one.
 *
 * Damage of a page or a TOAST value is an error of PostgreSQL's own; it ends
 * the check of that model only, and becomes a row like the others.
 */
#include "pg/server/lbrec.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "pg/image/image.h"
#include "pg/model/validate.h"
#include "pg/server/srf.h"
#include "pg/store/versions.h"
#include "pg/train/warm.h"

PG_FUNCTION_INFO_V1(lbrec_check);

#define N_COLUMNS 6

/* The result for one tensor. */
typedef struct Finding
{
	char	   *tensor;
	char	   *problem;		/* first problem */
	int			more;
} Finding;

typedef struct Check
{
	RowSink		sink;
	ModelRow	row;
	MemoryContext context;
	Validator	validator;
	List	   *findings;
} Check;

static void
note(const char *tensor, int32 chunk, const char *problem, void *arg)
{
	Check	   *check = arg;
	MemoryContext old = MemoryContextSwitchTo(check->context);
	ListCell   *cell;
	Finding    *f;

	foreach(cell, check->findings)
	{
		f = lfirst(cell);
		if (strcmp(f->tensor, tensor) == 0)
		{
			f->more++;
			MemoryContextSwitchTo(old);
			return;
		}
	}
	f = palloc0(sizeof(Finding));
	f->tensor = pstrdup(tensor);
	f->problem = chunk < 0 ? pstrdup(problem) :
		psprintf("Chunk %d: %s", chunk, problem);
	check->findings = lappend(check->findings, f);
	MemoryContextSwitchTo(old);
}

/*
 * Runs part of the check.  Returns the text of an error that means damage, and
 * the transaction goes on; other errors are raised again.
 */
static char *
attempt(void (*part) (Check *), Check *check)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile problem = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old);
	PG_TRY();
	{
		part(check);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;
		int			category;

		MemoryContextSwitchTo(check->context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(old);
		CurrentResourceOwner = owner;
		category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
		if (category != ERRCODE_TO_CATEGORY(ERRCODE_DATA_CORRUPTED) &&
			category != ERRCODE_DATA_EXCEPTION &&
			error->sqlerrcode != ERRCODE_UNDEFINED_FILE)
			ReThrowError(error);
		problem = error->detail ?
			psprintf("%s: %s", error->message, error->detail) :
			pstrdup(error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	return problem;
}

static void
read_chunks(Check *check)
{
	lbrec_validate_model(&check->validator, &check->row, note, check, NULL,
						 NULL);
	lbrec_validate_rows(&check->validator, &check->row);
}

static void
check_serving(Check *check)
{
	lbrec_check_image(&check->row);
}

static void
check_training(Check *check)
{
	lbrec_check_warm(&check->row);
}

static void
put(Check *check, const char *what, const char *problem, int64 bytes)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {0};

	values[0] = CStringGetTextDatum(check->row.name);
	values[1] = Int32GetDatum(check->row.version);
	values[2] = CStringGetTextDatum(what);
	values[3] = BoolGetDatum(problem == NULL);
	values[4] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	nulls[4] = problem == NULL;
	values[5] = Int64GetDatum(bytes);
	nulls[5] = bytes < 0;
	lbrec_put_row(&check->sink, values, nulls);
}

static void
check_model(Check *check)
{
	char	   *stopped;
	ListCell   *cell;

	check->findings = NIL;
	stopped = attempt(read_chunks, check);
	for (int i = 0; i < check->validator.checker.n; i++)
	{
		const CheckedTensor *t = &check->validator.checker.tensors[i];
		char	   *problem = NULL;

		foreach(cell, check->findings)
		{
			Finding    *f = lfirst(cell);

			if (strcmp(f->tensor, t->name) == 0)
			{
				problem = f->more == 0 ? f->problem :
					psprintf("%s And %d more.", f->problem, f->more);
				check->findings = foreach_delete_current(check->findings,
														 cell);
				break;
			}
		}
		put(check, psprintf("tensor %s", t->name), problem,
			(int64) t->bytes);
	}
	/* add rows for missing tensors */
	foreach(cell, check->findings)
	{
		Finding    *f = lfirst(cell);

		put(check, psprintf("tensor %s", f->tensor), f->problem, 0);
	}
	if (stopped)
		put(check, "reading", stopped, -1);
	put(check, "serving", attempt(check_serving, check), -1);
	put(check, "training", attempt(check_training, check), -1);
}

/* lbrec_check(model, version): a row for each tensor */
Datum
lbrec_check(PG_FUNCTION_ARGS)
{
	Check		check = {.sink = lbrec_begin_rows(fcinfo, 2, N_COLUMNS)};
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[2];
	char		nulls[2];
	SPITupleTable *models;
	uint64		n;

	for (int i = 0; i < 2; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	check.context = AllocSetContextCreate(CurrentMemoryContext, "lbrec check",
										  ALLOCSET_DEFAULT_SIZES);
	SPI_connect();
	if (SPI_execute_with_args("SELECT id, name, version, checksum, n_users, n_recordings "
							  "FROM lbrec.model "
							  "WHERE ($1 IS NULL OR name OPERATOR(pg_catalog.=) $1) "
							  "AND ($2 IS NULL OR version OPERATOR(pg_catalog.=) $2) "
							  "ORDER BY name, version",
							  2, types, values, nulls, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up models");
	models = SPI_tuptable;
	n = SPI_processed;
	if (n == 0 && !PG_ARGISNULL(0))
		lbrec_no_such_version(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							  PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1));
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old;

		lbrec_read_model_row(&check.row, models, i);
		old = MemoryContextSwitchTo(check.context);
		check_model(&check);
		MemoryContextSwitchTo(old);
		MemoryContextReset(check.context);
	}
	SPI_finish();
	return (Datum) 0;
}
