/*
 * evaluations.c
 *		Stores measures of versions in lbrec.evaluation.
 *
 * They outlive their version, so that you can compare weeks after it was
 * pruned.
 */
#include "pg/store/evaluations.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "pg/server/time.h"

#define N_PARAMETERS 17

/*
 * Writes the rows of one evaluation, all with the same time, in the caller's
 * transaction and with the caller's rights.  Called within SPI.
 */
void
lbrec_keep_evaluation(const EvaluationHead *head, const EvaluationRow *rows,
					  int n)
{
	Oid			types[N_PARAMETERS] = {INT8OID, TEXTOID, TEXTOID, TEXTOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID, FLOAT8OID,
		FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	INT8OID, TIMESTAMPTZOID};
	Datum		values[N_PARAMETERS];
	char		nulls[N_PARAMETERS];
	SPIPlanPtr	plan;

	plan = SPI_prepare(psprintf("INSERT INTO lbrec.evaluation (name, version, model, kind, listens, split, "
								"first_listen, last_listen, recommender, k, top_k_accuracy, ndcg, mrr, "
								"new_recall, new_ndcg, coverage, mean_popularity, users_evaluated, measured, "
								"listens_evaluated, unknown_recordings) "
								"SELECT m.name, m.version, m.id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
								"$12, $13, $14, $15, $16, $17, " INT64_FORMAT ", " INT64_FORMAT " "
								"FROM lbrec.model AS m WHERE m.id OPERATOR(pg_catalog.=) $1",
								head->n_listens, head->unknown),
					   N_PARAMETERS, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the insertion into lbrec.evaluation");
	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(head->model);
	values[1] = CStringGetTextDatum(head->kind);
	values[2] = CStringGetTextDatum(head->listens);
	if (head->split)
		values[3] = CStringGetTextDatum(head->split);
	else
		nulls[3] = 'n';
	values[4] = TimestampTzGetDatum(lbrec_timestamp(head->first_time));
	values[5] = TimestampTzGetDatum(lbrec_timestamp(head->last_time));
	values[16] = TimestampTzGetDatum(GetCurrentTimestamp());
	for (int i = 0; i < n; i++)
	{
		const EvaluationRow *r = &rows[i];
		double		measures[] = {r->top_k, r->ndcg, r->mrr, r->new_recall,
			r->new_ndcg, r->coverage, r->mean_popularity};

		values[6] = CStringGetTextDatum(r->recommender);
		values[7] = Int32GetDatum(r->k);
		for (int m = 0; m < lengthof(measures); m++)
		{
			values[8 + m] = Float8GetDatum(measures[m]);
			nulls[8 + m] = isnan(measures[m]) ? 'n' : ' ';
		}
		values[15] = Int64GetDatum(r->users);
		if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert into lbrec.evaluation");
	}
	SPI_freeplan(plan);
}

/*
 * Removes all measures of a name that is dropped as a whole.  Called within
 * SPI.
 */
void
lbrec_drop_evaluations(const char *name)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};

	if (SPI_execute_with_args("DELETE FROM lbrec.evaluation "
							  "WHERE name OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, false,
							  0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete from lbrec.evaluation");
}
