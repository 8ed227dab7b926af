/*
 * cv_db.c
 *		A target that is a server, and the ledger of what was loaded there.
 *
 * A member of a dump is one transaction that ends with the member's row in
 * the ledger (lbrec_dump_member).  So after a kill at any moment the ledger
 * says exactly which members are in, and the next run skips those.  Listens
 * are unique by their key in any case: the ledger saves work, the key keeps
 * the truth.  That is why only real dumps are skipped by it, which name
 * themselves; other files are loaded again each time, which changes nothing.
 *
 * A full replacement loads beside the old listens, resumable in the same way,
 * and swaps the content in one last transaction (cv_sql_replace).
 */
#include "cv_db.h"
#include "cv_sql.h"
#include "cv_text.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

/* What pg_advisory_lock takes: "lbrec" in ASCII. */
#define LOCK_KEY "465508132195"

#define REPLACING " (replacing)"

struct CvDb
{
	CvTarget	target;			/* first: the two are cast to each other */
	PGconn	   *conn;
	CvDump		dump;
	char	   *name;			/* the dump's in the ledger */
	bool		replace;
	bool		bulk;			/* the key of listen is away */
	int64_t		removed;
	int64_t		added;
};

static void
report_result(CvDb *db, const PGresult *result, const char *doing)
{
	const char *field;

	if (PQstatus(db->conn) == CONNECTION_BAD)
	{
		cv_error("lost the connection to the server while %s: %s", doing,
				 PQerrorMessage(db->conn));
		cv_hint("Run the same command again: members that were committed are "
				"skipped, the others are loaded.");
		return;
	}
	field = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	cv_error("the server refused %s: %s", doing,
			 field != NULL ? field : PQerrorMessage(db->conn));
	field = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	if (field != NULL)
		cv_detail("%s", field);
	field = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	if (field != NULL)
		cv_hint("%s", field);
}

/* A statement with text parameters; NULL after telling why. */
static PGresult *
query(CvDb *db, const char *sql, int n, const char *const *values)
{
	PGresult   *result =
		n == 0 ? PQexec(db->conn, sql)
		: PQexecParams(db->conn, sql, n, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	report_result(db, result, "a statement");
	PQclear(result);
	return NULL;
}

static bool
run(CvDb *db, const char *sql, int n, const char *const *values,
	int64_t *rows)
{
	PGresult   *result = query(db, sql, n, values);

	if (result == NULL)
		return false;
	if (rows != NULL)
		*rows = strtoll(PQcmdTuples(result), NULL, 10);
	PQclear(result);
	return true;
}

static bool
db_exec(CvTarget *target, const char *sql, int64_t *rows)
{
	return run((CvDb *) target, sql, 0, NULL, rows);
}

static bool
db_copy_begin(CvTarget *target, const char *sql)
{
	CvDb	   *db = (CvDb *) target;
	PGresult   *result = PQexec(db->conn, sql);
	bool		ok = PQresultStatus(result) == PGRES_COPY_IN;

	if (!ok)
		report_result(db, result, "COPY");
	PQclear(result);
	return ok;
}

/* The result of a COPY that has ended, by us or by the server. */
static bool
copy_result(CvDb *db)
{
	PGresult   *result;
	bool		ok = true;

	while ((result = PQgetResult(db->conn)) != NULL)
	{
		if (ok && PQresultStatus(result) != PGRES_COMMAND_OK)
		{
			report_result(db, result, "COPY");
			ok = false;
		}
		PQclear(result);
	}
	return ok;
}

static bool
db_copy_data(CvTarget *target, const char *data, size_t len)
{
	CvDb	   *db = (CvDb *) target;

	/* An int; the largest rows have 10 MiB. */
	while (len > 0)
	{
		int			part = len > 1 << 20 ? 1 << 20 : (int) len;

		if (PQputCopyData(db->conn, data, part) != 1)
		{
			if (copy_result(db))
				cv_error("lost the connection to the server while copying");
			return false;
		}
		data += part;
		len -= (size_t) part;
	}
	return true;
}

static bool
db_copy_end(CvTarget *target)
{
	CvDb	   *db = (CvDb *) target;

	if (PQputCopyEnd(db->conn, NULL) != 1)
	{
		if (copy_result(db))
			cv_error("lost the connection to the server while copying");
		return false;
	}
	return copy_result(db);
}

static bool
db_bulk_begin(CvTarget *target)
{
	CvDb	   *db = (CvDb *) target;
	PGresult   *result;

	if (!run(db, cv_sql_bulk_begin, 0, NULL, NULL) ||
		(result = query(db, cv_sql_is_bulk, 0, NULL)) == NULL)
		return false;
	db->bulk = PQgetvalue(result, 0, 0)[0] == 't';
	db->target.direct = db->bulk;
	PQclear(result);
	return true;
}

static bool
db_exec_either(CvTarget *target, const char *bulk, const char *keyed,
			   int64_t *rows)
{
	CvDb	   *db = (CvDb *) target;

	return run(db, db->bulk ? bulk : keyed, 0, NULL, rows);
}

static bool
db_bulk_end(CvTarget *target, int64_t *rows)
{
	CvDb	   *db = (CvDb *) target;
	PGresult   *result;
	const char *state;
	bool		duplicates;

	*rows = 0;
	if (!db->bulk)
		return true;
	db->bulk = db->target.direct = false;
	result = PQexec(db->conn, cv_sql_add_key);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
	{
		state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		duplicates = state != NULL && strcmp(state, "23505") == 0;
		if (!duplicates)
			report_result(db, result, "the key of listen");
		PQclear(result);
		return duplicates && run(db, "BEGIN", 0, NULL, NULL) &&
			run(db, cv_sql_delete_duplicates, 0, NULL, rows) &&
			run(db, cv_sql_add_key, 0, NULL, NULL) &&
			run(db, "COMMIT", 0, NULL, NULL);
	}
	PQclear(result);
	return true;
}

static void
ignore_notice(void *arg, const PGresult *result)
{
	(void) arg;
	(void) result;
}

CvDb *
cv_db_connect(const char *conninfo)
{
	const char *const keys[] = {"dbname", "fallback_application_name",
		"client_encoding", NULL};
	const char *const values[] = {conninfo, "lbrec-convert", "UTF8", NULL};
	CvDb	   *db = cv_alloc(sizeof(*db));

	memset(db, 0, sizeof(*db));
	db->removed = db->added = -1;
	db->target.counts_rows = true;
	db->target.exec = db_exec;
	db->target.bulk_begin = db_bulk_begin;
	db->target.exec_either = db_exec_either;
	db->target.bulk_end = db_bulk_end;
	db->target.copy_begin = db_copy_begin;
	db->target.copy_data = db_copy_data;
	db->target.copy_end = db_copy_end;
	db->conn = PQconnectdbParams(keys, values, 1);
	if (PQstatus(db->conn) != CONNECTION_OK)
	{
		cv_error("could not connect: %s", PQerrorMessage(db->conn));
		cv_hint("--dbname takes a database name, a connection string or a "
				"postgresql:// URI; PGHOST and the like work, too.");
		cv_db_free(db);
		return NULL;
	}
	/* "already exists, skipping" is no news. */
	PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
	return db;
}

void
cv_db_free(CvDb *db)
{
	if (db == NULL)
		return;
	PQfinish(db->conn);
	free(db->name);
	free(db);
}

CvTarget *
cv_db_target(CvDb *db)
{
	return &db->target;
}

int64_t
cv_db_removed(const CvDb *db)
{
	return db->removed;
}

int64_t
cv_db_added(const CvDb *db)
{
	return db->added;
}

/* The first column of the first row; false in *found if there is none. */
static bool
ask(CvDb *db, const char *sql, int n, const char *const *values, bool *found,
	char *answer, size_t size)
{
	PGresult   *result = query(db, sql, n, values);

	if (result == NULL)
		return false;
	*found = PQntuples(result) > 0 && !PQgetisnull(result, 0, 0);
	if (*found && answer != NULL)
		strncpy(answer, PQgetvalue(result, 0, 0), size - 1)[size - 1] = '\0';
	PQclear(result);
	return true;
}

bool
cv_db_lock(CvDb *db, bool *by_month)
{
	bool		found;
	char		answer[16];

	if (!ask(db, "SELECT pg_try_advisory_lock(" LOCK_KEY ")", 0, NULL, &found,
			 answer, sizeof(answer)))
		return false;
	if (answer[0] != 't')
	{
		cv_warning("another lbrec-convert loads into this database: waiting");
		/* The server may not have noticed yet that one was killed. */
		if (!run(db, "SELECT pg_advisory_lock(" LOCK_KEY ")", 0, NULL, NULL))
			return false;
	}
	if (!ask(db, "SELECT 1 FROM pg_class WHERE oid = to_regclass('"
			 CV_SQL_LISTEN "') AND relkind = 'p'",
			 0, NULL, &found, NULL, 0))
		return false;
	*by_month = *by_month || found;

	/* The user dropped listen: what the ledger says is no longer there. */
	if (!ask(db, "SELECT 1 WHERE to_regclass('" CV_SQL_LISTEN "') IS NULL AND "
			 "to_regclass('lbrec_dump') IS NOT NULL",
			 0, NULL, &found, NULL, 0))
		return false;
	return !found || run(db, "DELETE FROM lbrec_dump", 0, NULL, NULL);
}

bool
cv_db_prepare(CvDb *db)
{
	for (int i = 0; cv_sql_ledger[i] != NULL; i++)
		if (!run(db, cv_sql_ledger[i], 0, NULL, NULL))
			return false;
	return true;
}

bool
cv_db_reach(CvDb *db, bool *known, int64_t *reach)
{
	char		answer[32];

	if (!ask(db, "SELECT (extract(epoch FROM max(changes_to)) * 1000000)"
			 "::bigint FROM lbrec_dump WHERE finished_at IS NOT NULL",
			 0, NULL, known, answer, sizeof(answer)))
		return false;
	if (*known)
		*reach = strtoll(answer, NULL, 10);
	return true;
}

/* Is this replacement allowed, and where does it stand? */
static bool
replace_begin(CvDb *db, bool by_month, bool force, bool *done)
{
	const char *name = db->dump.name;
	CvBuf		sql = {0};
	bool		found;
	bool		known;
	int64_t		reach;
	bool		ok;

	if (db->dump.kind != CV_DUMP_FULL || !db->dump.has_to)
	{
		cv_error("cannot replace by \"%s\": it is not a full dump", name);
		cv_detail("Only a full dump with a TIMESTAMP shows which listens were "
				  "deleted.");
		return false;
	}
	if (!cv_db_reach(db, &known, &reach))
		return false;
	if (known && reach > db->dump.to && !force)
	{
		char		has[CV_TIME_LEN];
		char		gives[CV_TIME_LEN];

		cv_time_format(has, reach);
		cv_time_format(gives, db->dump.to);
		cv_error("cannot replace by \"%s\": it is older than what is loaded",
				 name);
		cv_detail("The dump was made at %s; the tables reach to %s.", gives,
				  has);
		cv_hint("Use a newer full dump, or --force to lose what is newer.");
		return false;
	}
	if (!ask(db, "SELECT 1 WHERE EXISTS (SELECT FROM lbrec_dump WHERE dump = $1"
			 " AND finished_at IS NOT NULL) AND NOT EXISTS (SELECT FROM "
			 "lbrec_dump WHERE dump <> $1)",
			 1, &name, done, NULL, 0))
		return false;
	if (*done)
		return true;

	name = db->name;
	if (!ask(db, "SELECT 1 FROM lbrec_dump WHERE dump = $1 "
			 "AND to_regclass('" CV_SQL_NEXT "') IS NOT NULL",
			 1, &name, &found, NULL, 0))
		return false;
	if (found)
		return true;
	cv_sql_listen_table(&sql, CV_SQL_NEXT, false, by_month);
	ok = run(db, "DROP TABLE IF EXISTS " CV_SQL_NEXT, 0, NULL, NULL) &&
		run(db, "DELETE FROM lbrec_dump WHERE dump LIKE '%" REPLACING "'", 0,
			NULL, NULL) &&
		run(db, sql.data, 0, NULL, NULL);
	cv_buf_free(&sql);
	return ok;
}

bool
cv_db_dump_begin(CvDb *db, const CvDump *dump, bool replace, bool by_month,
				 bool force, bool *done)
{
	static const char *const kinds[] = {"other", "full", "incremental"};
	char		from[CV_TIME_LEN];
	char		to[CV_TIME_LEN];
	CvBuf		name = {0};
	const char *values[4];

	*done = false;
	/* What is to replace listen has no key either. */
	db->target.direct = db->bulk || replace;
	db->dump = *dump;
	db->replace = replace;
	free(db->name);
	cv_buf_printf(&name, "%s%s", dump->name, replace ? REPLACING : "");
	db->name = name.data;
	if (dump->has_from)
		cv_time_format(from, dump->from);
	if (dump->has_to)
		cv_time_format(to, dump->to);
	values[0] = db->name;
	values[1] = kinds[dump->kind];
	values[2] = dump->has_from ? from : NULL;
	values[3] = dump->has_to ? to : NULL;

	/*
	 * Another dump of the same name, by its times, is another dump.  The
	 * table and its row come together, or a kill between would tell.
	 */
	return run(db, "BEGIN", 0, NULL, NULL) &&
		run(db, "DELETE FROM lbrec_dump WHERE dump = $1 AND "
			"(kind, changes_from, changes_to) IS DISTINCT FROM "
			"($2, $3::timestamptz, $4::timestamptz)",
			4, values, NULL) &&
		(!replace || replace_begin(db, by_month, force, done)) &&
		(*done ||
		 run(db, "INSERT INTO lbrec_dump (dump, kind, changes_from, "
			 "changes_to) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			 4, values, NULL)) &&
		run(db, "COMMIT", 0, NULL, NULL);
}

bool
cv_db_member_known(CvDb *db, const char *member, int64_t bytes, bool *known)
{
	char		size[24];
	const char *values[] = {db->name, member, size};

	*known = false;
	if (db->dump.kind == CV_DUMP_OTHER)
		return true;
	snprintf(size, sizeof(size), "%lld", (long long) bytes);
	return ask(db, "SELECT 1 FROM lbrec_dump_member WHERE dump = $1 AND "
			   "member = $2 AND bytes = $3::bigint",
			   3, values, known, NULL, 0);
}

bool
cv_db_member_begin(CvDb *db)
{
	return run(db, "BEGIN", 0, NULL, NULL);
}

bool
cv_db_member_end(CvDb *db, const char *member, const CvMemberCounts *counts)
{
	const int64_t numbers[5] = {counts->bytes, counts->lines, counts->listens,
		counts->written, counts->rejected};
	char		text[5][24];
	const char *values[7] = {db->name, member};

	for (int i = 0; i < 5; i++)
	{
		snprintf(text[i], sizeof(text[i]), "%lld", (long long) numbers[i]);
		values[2 + i] = text[i];
	}
	return run(db, "INSERT INTO lbrec_dump_member (dump, member, bytes, lines, "
			   "listens, written, rejected) VALUES ($1, $2, $3, $4, $5, $6, $7)"
			   " ON CONFLICT (dump, member) DO UPDATE SET "
			   "bytes = EXCLUDED.bytes, lines = EXCLUDED.lines, "
			   "listens = EXCLUDED.listens, written = EXCLUDED.written, "
			   "rejected = EXCLUDED.rejected, loaded_at = now()",
			   7, values, NULL) &&
		run(db, "COMMIT", 0, NULL, NULL);
}

/* listen needs the partitions that the new listens have. */
static bool
copy_partitions(CvDb *db)
{
	PGresult   *list =
		query(db, "SELECT format('CREATE TABLE IF NOT EXISTS %I PARTITION OF "
			  CV_SQL_LISTEN " %s', replace(c.relname, '" CV_SQL_NEXT "', '"
			  CV_SQL_LISTEN "'), pg_get_expr(c.relpartbound, c.oid)) "
			  "FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
			  "WHERE i.inhparent = '" CV_SQL_NEXT "'::regclass",
			  0, NULL);
	bool		ok = list != NULL;

	for (int i = 0; ok && i < PQntuples(list); i++)
		ok = run(db, PQgetvalue(list, i, 0), 0, NULL, NULL);
	PQclear(list);
	return ok;
}

static bool
replace_end(CvDb *db)
{
	const char *values[] = {db->name, db->dump.name};
	int64_t		rows[4] = {0};

	int64_t		duplicates;

	/* A first load that was killed, and then replaced. */
	if (!db_bulk_end(&db->target, &duplicates))
		return false;
	/* The joins below are hopeless without statistics. */
	if (!run(db, "ANALYZE " CV_SQL_NEXT, 0, NULL, NULL) ||
		!run(db, "ANALYZE " CV_SQL_LISTEN, 0, NULL, NULL) ||
		!run(db, "BEGIN", 0, NULL, NULL) || !copy_partitions(db))
		return false;
	for (int i = 0; cv_sql_replace[i] != NULL; i++)
		if (!run(db, cv_sql_replace[i], 0, NULL, &rows[i]))
			return false;
	db->removed = (db->removed < 0 ? 0 : db->removed) + rows[0];
	db->added = (db->added < 0 ? 0 : db->added) + rows[1];
	return run(db, "DELETE FROM lbrec_dump WHERE dump <> $1", 1, values,
			   NULL) &&
		run(db, "UPDATE lbrec_dump SET dump = $2, finished_at = now() "
			"WHERE dump = $1",
			2, values, NULL) &&
		run(db, "COMMIT", 0, NULL, NULL);
}

bool
cv_db_dump_end(CvDb *db)
{
	const char *values[] = {db->name};

	if (db->replace)
		return replace_end(db);
	return run(db, "UPDATE lbrec_dump SET finished_at = now() WHERE dump = $1",
			   1, values, NULL);
}
