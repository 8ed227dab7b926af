/*
 * cv_ledger.c
 *		Records which members a server has, so that none is loaded twice.
 *
 * A member of a dump is one transaction that ends with the member's row in the
 * ledger (lbrec_dump_member).  So after a kill at any moment the ledger says
 * exactly which members are in, and the next run skips those.  Listens are
 * unique by their key in any case: the ledger saves work, the key keeps the
 * truth.  So only dumps, which carry their name, are skipped by it; other
 * files are loaded again each time, which changes nothing.
 *
 * The tables can lose listens that the ledger records: by TRUNCATE, DELETE, or
 * a restore without them.  So each member keeps a sample of its listens, and
 * members whose sample is not there, with its recordings, are forgotten first.
 *
 * A full replacement loads beside the old listens, resumable in the same way,
 * and swaps the content in one last transaction (cv_sql_replace).
 */
#include "cv_ledger.h"
#include "cv_sql.h"
#include "cv_text.h"

#include <stdlib.h>
#include <string.h>

#define EQ "OPERATOR(pg_catalog.=)"
#define NE "OPERATOR(pg_catalog.<>)"

struct CvLedger
{
	CvDb	   *db;
	CvDump		dump;
	char	   *name;			/* name of the dump in the ledger */
	bool		replace;
	int64_t		removed;
	int64_t		added;
};

CvLedger *
cv_ledger_create(CvDb *db)
{
	CvLedger   *ledger = cv_alloc(sizeof(*ledger));

	memset(ledger, 0, sizeof(*ledger));
	ledger->db = db;
	ledger->removed = ledger->added = -1;
	return ledger;
}

void
cv_ledger_free(CvLedger *ledger)
{
	if (ledger == NULL)
		return;
	free(ledger->name);
	free(ledger);
}

int64_t
cv_ledger_removed(const CvLedger *ledger)
{
	return ledger->removed;
}

int64_t
cv_ledger_added(const CvLedger *ledger)
{
	return ledger->added;
}

/* --- against the tables ------------------------------------------------- */

static bool
forget_missing(CvLedger *ledger, const char *table)
{
	CvBuf		sql = {0};
	PGresult   *result;

	cv_sql_forget(&sql, table, cv_db_first(ledger->db));
	result = cv_db_query(ledger->db, sql.data, 0, NULL);
	cv_buf_free(&sql);
	if (result == NULL)
		return false;
	for (int i = 0; i < PQntuples(result); i++)
	{
		cv_warning("listens of \"%s\" are gone from the tables",
				   PQgetvalue(result, i, 0));
		cv_detail("Of %s of its members the ledger keeps listens that are no "
				  "longer there, or whose recordings are not.",
				  PQgetvalue(result, i, 1));
		cv_hint("Load that dump again: those members no longer count as "
				"loaded.");
	}
	PQclear(result);
	return true;
}

bool
cv_ledger_verify(CvLedger *ledger)
{
	bool		found;

	if (!cv_db_write_begin(ledger->db) ||
		!forget_missing(ledger, CV_SQL_LISTEN) ||
		!cv_db_ask(ledger->db, "SELECT pg_catalog.to_regclass(\n"
				   "\tpg_catalog.format('%I." CV_SQL_NEXT "', @n))",
				   0, NULL, &found, NULL, 0))
		return false;
	return (!found || forget_missing(ledger, CV_SQL_NEXT)) &&
		cv_db_write_end(ledger->db);
}

bool
cv_ledger_reach(CvLedger *ledger, bool *known, int64_t *reach)
{
	char		answer[32];

	if (!cv_db_ask(ledger->db,
				   "SELECT (extract(epoch FROM pg_catalog.max(changes_to))\n"
				   "\tOPERATOR(pg_catalog.*) 1000000)::bigint\n"
				   "FROM @.lbrec_dump\n"
				   "WHERE finished_at IS NOT NULL AND kind " NE " 'other'",
				   0, NULL, known, answer, sizeof(answer)))
		return false;
	if (*known)
		*reach = strtoll(answer, NULL, 10);
	return true;
}

/* --- a dump ------------------------------------------------------------- */

/*
 * Refuses inputs that cannot replace listen, and finds a replacement that an
 * earlier run began.
 */
static bool
replace_begin(CvLedger *ledger, const CvDumpUse *use, bool *done)
{
	CvDb	   *db = ledger->db;
	const char *name = ledger->dump.name;
	CvBuf		sql = {0};
	bool		found;
	bool		known;
	int64_t		reach;
	const char *values[2];
	bool		ok;

	if (ledger->dump.kind != CV_DUMP_FULL || !ledger->dump.has_to)
	{
		cv_error("cannot replace by \"%s\": it is not a full dump", name);
		cv_detail("Only a full dump with a TIMESTAMP shows which listens were "
				  "deleted.");
		cv_hint("If its TIMESTAMP stands behind the listens, unpack the archive "
				"and give the folder.");
		return false;
	}
	if (!cv_ledger_reach(ledger, &known, &reach))
		return false;
	if (known && reach > ledger->dump.to && !use->force)
	{
		char		has[CV_TIME_LEN];
		char		gives[CV_TIME_LEN];

		cv_time_format(has, reach);
		cv_time_format(gives, ledger->dump.to);
		cv_error("cannot replace by \"%s\": it is older than what is loaded",
				 name);
		cv_detail("The dump was made at %s; the tables reach to %s.", gives,
				  has);
		cv_hint("Use a newer full dump, or --force to lose what is newer.");
		return false;
	}
	values[0] = name;
	values[1] = use->options;
	if (!cv_db_ask(db, "SELECT 1 WHERE EXISTS (SELECT FROM @.lbrec_dump\n"
				   "\t\tWHERE dump " EQ " $1 AND options " EQ " $2\n"
				   "\t\t\tAND finished_at IS NOT NULL)\n"
				   "\tAND NOT EXISTS (SELECT FROM @.lbrec_dump\n"
				   "\t\tWHERE dump " NE " $1)",
				   2, values, done, NULL, 0))
		return false;
	*done = *done && !use->reload;
	if (*done)
		return true;

	name = ledger->name;
	if (!cv_db_ask(db, "SELECT 1 FROM @.lbrec_dump WHERE dump " EQ " $1\n"
				   "\tAND pg_catalog.to_regclass(pg_catalog.format(\n"
				   "\t\t'%I." CV_SQL_NEXT "', @n)) IS NOT NULL",
				   1, &name, &found, NULL, 0))
		return false;
	if (found)
		return true;
	cv_sql_listen_table(&sql, CV_SQL_NEXT, false, use->by_month);
	ok = cv_db_run(db, "DROP TABLE IF EXISTS @." CV_SQL_NEXT, 0, NULL, NULL) &&
		cv_db_run(db, "DELETE FROM @.lbrec_dump WHERE dump\n"
				  "\tOPERATOR(pg_catalog.~~) '%" CV_SQL_REPLACING "'",
				  0, NULL, NULL) &&
		cv_db_run(db, sql.data, 0, NULL, NULL);
	cv_buf_free(&sql);
	return ok;
}

bool
cv_ledger_dump_begin(CvLedger *ledger, const CvDump *dump,
					 const CvDumpUse *use, bool *done)
{
	static const char *const kinds[] = {"other", "full", "incremental"};
	CvDb	   *db = ledger->db;
	CvTarget   *target = cv_db_target(db);
	char		from[CV_TIME_LEN];
	char		to[CV_TIME_LEN];
	CvBuf		name = {0};
	const char *values[6];

	*done = false;
	/* The table whose rows will replace listen's has no key either. */
	target->direct = cv_db_keyless(db) || use->replace;
	ledger->dump = *dump;
	ledger->replace = use->replace;
	free(ledger->name);
	cv_buf_printf(&name, "%s%s", dump->name,
				  use->replace ? CV_SQL_REPLACING : "");
	ledger->name = name.data;
	if (dump->has_from)
		cv_time_format(from, dump->from);
	if (dump->has_to)
		cv_time_format(to, dump->to);
	values[0] = ledger->name;
	values[1] = kinds[dump->kind];
	values[2] = use->options;
	values[3] = dump->has_from ? from : NULL;
	values[4] = dump->has_to ? to : NULL;
	values[5] = use->reload ? "true" : "false";

	/*
	 * The same name with other times is another dump; with other options,
	 * another load.  One transaction makes the table and its row, so that a
	 * kill leaves both or none.
	 */
	return cv_db_write_begin(db) &&
		cv_db_run(db, "DELETE FROM @.lbrec_dump\n"
				  "WHERE dump " EQ " $1\n"
				  "\tAND ($6::boolean OR (kind, options, changes_from,\n"
				  "\t\tchanges_to) IS DISTINCT FROM\n"
				  "\t\t($2::text, $3::text, $4::timestamptz, $5::timestamptz))",
				  6, values, NULL) &&
		(!use->replace || replace_begin(ledger, use, done)) &&
		(*done ||
		 cv_db_run(db, "INSERT INTO @.lbrec_dump (dump, kind, options,\n"
				   "\tchanges_from, changes_to)\n"
				   "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (dump) DO NOTHING",
				   5, values, NULL)) &&
		cv_db_write_end(db);
}

bool
cv_ledger_knows(CvLedger *ledger, const char *member, int64_t bytes,
				bool *known)
{
	char		size[24];
	const char *values[] = {ledger->name, member, size};

	*known = false;
	if (ledger->dump.kind == CV_DUMP_OTHER)
		return true;
	snprintf(size, sizeof(size), "%lld", (long long) bytes);
	return cv_db_ask(ledger->db,
					 "SELECT 1 FROM @.lbrec_dump_member\n"
					 "WHERE dump " EQ " $1 AND member " EQ " $2\n"
					 "\tAND bytes " EQ " $3::bigint",
					 3, values, known, NULL, 0);
}

bool
cv_ledger_member_begin(CvLedger *ledger)
{
	return cv_db_write_begin(ledger->db);
}

bool
cv_ledger_member_end(CvLedger *ledger, const char *member,
					 const CvMemberCounts *counts, const CvSample *sample)
{
	const int64_t numbers[5] = {counts->bytes, counts->lines, counts->listens,
		counts->written, counts->rejected};
	char		text[5][24];
	CvBuf		arrays[3] = {0};
	const char *values[10] = {ledger->name, member};
	bool		ok;

	for (int i = 0; i < 5; i++)
	{
		snprintf(text[i], sizeof(text[i]), "%lld", (long long) numbers[i]);
		values[2 + i] = text[i];
	}
	for (int i = 0; i < sample->n; i++)
	{
		const char *comma = i > 0 ? "," : "";
		char		time[CV_TIME_LEN];
		char		uuid[36];

		cv_time_format(time, sample->listened_at[i]);
		cv_uuid_format(uuid, &sample->recording_msid[i]);
		cv_buf_printf(&arrays[0], "%s%lld", comma,
					  (long long) sample->user_id[i]);
		cv_buf_printf(&arrays[1], "%s\"%s\"", comma, time);
		cv_buf_printf(&arrays[2], "%s%.36s", comma, uuid);
	}
	for (int i = 0; i < 3; i++)
	{
		CvBuf		array = {0};

		cv_buf_printf(&array, "{%.*s}", (int) arrays[i].len,
					  arrays[i].data != NULL ? arrays[i].data : "");
		cv_buf_free(&arrays[i]);
		arrays[i] = array;
		values[7 + i] = array.data;
	}
	ok = cv_db_run(ledger->db,
				   "INSERT INTO @.lbrec_dump_member (dump, member, bytes,\n"
				   "\tlines, listens, written, rejected, sample_user_id,\n"
				   "\tsample_listened_at, sample_recording_msid)\n"
				   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)\n"
				   "ON CONFLICT (dump, member) DO UPDATE SET\n"
				   "\tbytes = EXCLUDED.bytes, lines = EXCLUDED.lines,\n"
				   "\tlistens = EXCLUDED.listens, written = EXCLUDED.written,\n"
				   "\trejected = EXCLUDED.rejected,\n"
				   "\tsample_user_id = EXCLUDED.sample_user_id,\n"
				   "\tsample_listened_at = EXCLUDED.sample_listened_at,\n"
				   "\tsample_recording_msid = EXCLUDED.sample_recording_msid,\n"
				   "\tloaded_at = pg_catalog.now()",
				   10, values, NULL) &&
		cv_db_write_end(ledger->db);
	for (int i = 0; i < 3; i++)
		cv_buf_free(&arrays[i]);
	return ok;
}

/* Creates the partitions of listen that the new listens need. */
static bool
copy_partitions(CvDb *db)
{
	PGresult   *list = cv_db_query(db,
								   "SELECT pg_catalog.format('CREATE TABLE IF NOT EXISTS '\n"
								   "\t'%I.%I PARTITION OF %I." CV_SQL_LISTEN " %s', @n,\n"
								   "\tpg_catalog.replace(c.relname, '" CV_SQL_NEXT "',\n"
								   "\t\t'" CV_SQL_LISTEN "'), @n,\n"
								   "\tpg_catalog.pg_get_expr(c.relpartbound, c.oid))\n"
								   "FROM pg_catalog.pg_inherits AS i\n"
								   "JOIN pg_catalog.pg_class AS c ON c.oid " EQ " i.inhrelid\n"
								   "WHERE i.inhparent " EQ " pg_catalog.to_regclass(\n"
								   "\tpg_catalog.format('%I." CV_SQL_NEXT "', @n))",
								   0, NULL);
	bool		ok = list != NULL;

	for (int i = 0; ok && i < PQntuples(list); i++)
	{
		CvBuf		sql = {0};

		cv_buf_printf(&sql, "DO $lbrec$ BEGIN\n%s;\n"
					  "EXCEPTION WHEN invalid_object_definition\n"
					  "\tOR check_violation THEN NULL;\n"
					  "END $lbrec$", PQgetvalue(list, i, 0));
		ok = cv_db_run(db, sql.data, 0, NULL, NULL);
		cv_buf_free(&sql);
	}
	PQclear(list);
	return ok;
}

static bool
replace_end(CvLedger *ledger)
{
	CvDb	   *db = ledger->db;
	const char *values[] = {ledger->name, ledger->dump.name};
	int64_t		rows[4] = {0};
	int64_t		duplicates;

	/* An earlier run may have been killed during its first load. */
	if (!cv_db_bulk_end(db, &duplicates))
		return false;
	/* Without statistics the next joins take hours. */
	if (!cv_db_run(db, "ANALYZE @." CV_SQL_NEXT, 0, NULL, NULL) ||
		!cv_db_run(db, "ANALYZE @." CV_SQL_LISTEN, 0, NULL, NULL) ||
		!cv_db_write_begin(db) || !copy_partitions(db))
		return false;
	for (int i = 0; cv_sql_replace[i] != NULL; i++)
		if (!cv_db_run(db, cv_sql_replace[i], 0, NULL, &rows[i]))
			return false;
	ledger->removed = (ledger->removed < 0 ? 0 : ledger->removed) + rows[0];
	ledger->added = (ledger->added < 0 ? 0 : ledger->added) + rows[1];
	return cv_db_run(db, "DELETE FROM @.lbrec_dump WHERE dump " NE " $1", 1,
					 values, NULL) &&
		cv_db_run(db, "UPDATE @.lbrec_dump SET dump = $2,\n"
				  "\tfinished_at = pg_catalog.now() WHERE dump " EQ " $1",
				  2, values, NULL) &&
		cv_db_write_end(db);
}

bool
cv_ledger_dump_end(CvLedger *ledger)
{
	const char *values[] = {ledger->name};

	if (ledger->replace)
		return replace_end(ledger);
	return cv_db_run(ledger->db,
					 "UPDATE @.lbrec_dump SET finished_at = pg_catalog.now()\n"
					 "WHERE dump " EQ " $1", 1, values, NULL);
}
