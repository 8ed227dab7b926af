/*
 * cv_db.c
 *		The target for a server: loads through libpq.
 *
 * It uses two connections.  One loads.  The other holds a lock on the ledger's
 * table, in a transaction that does nothing else, so that only one converter
 * loads at a time.  A table lock on the loading connection would end with each
 * of its transactions, and any role that may connect could take an advisory
 * lock.
 *
 * Nothing is written before cv_check.c has passed in the same transaction,
 * under a lock that keeps triggers from being added.
 */
#include "cv_db.h"
#include "cv_check.h"
#include "cv_sql.h"

#include <stdlib.h>
#include <string.h>

struct CvDb
{
	CvTarget	target;			/* must be first: pointers to the two types
								 * are cast */
	PGconn	   *conn;
	PGconn	   *lock;			/* its transaction holds the lock */
	char	   *conninfo;
	char	   *prefix;			/* schema of the tables, quoted, and "." */
	char	   *literal;		/* the schema as a literal */
	CvBuf		check;			/* the block that checks before each write */
	bool		keyless;		/* a first load dropped the key of listen */
	bool		first;			/* a first load collects recordings apart */
};

/* --- statements --------------------------------------------------------- */

static void
report_result(PGconn *conn, const PGresult *result, const char *doing)
{
	const char *message;
	const char *field;

	if (PQstatus(conn) == CONNECTION_BAD)
	{
		cv_error("lost the connection to the server while %s: %s", doing,
				 PQerrorMessage(conn));
		cv_hint("Run the same command again: members that were committed are "
				"skipped, the others are loaded.");
		return;
	}
	message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (field != NULL && strcmp(field, CV_OUR_ERROR) == 0)
		cv_error("%s", message);
	else
		cv_error("the server refused %s: %s", doing,
				 message != NULL ? message : PQerrorMessage(conn));
	field = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	if (field != NULL)
		cv_detail("%s", field);
	field = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	if (field != NULL)
		cv_hint("%s", field);
}

static PGresult *
send_sql(CvDb *db, PGconn *conn, const char *sql, int n,
		 const char *const *values)
{
	CvBuf		text = {0};
	PGresult   *result;

	cv_sql_expand(&text, sql, db->prefix, db->literal);
	result = n == 0 ? PQexec(conn, text.data)
		: PQexecParams(conn, text.data, n, NULL, values, NULL, NULL, 0);
	cv_buf_free(&text);
	return result;
}

static bool
is_ok(const PGresult *result)
{
	return PQresultStatus(result) == PGRES_COMMAND_OK ||
		PQresultStatus(result) == PGRES_TUPLES_OK;
}

static bool
has_state(const PGresult *result, const char *state)
{
	const char *field = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return field != NULL && strcmp(field, state) == 0;
}

static PGresult *
query_on(CvDb *db, PGconn *conn, const char *sql, int n,
		 const char *const *values)
{
	PGresult   *result = send_sql(db, conn, sql, n, values);

	if (is_ok(result))
		return result;
	report_result(conn, result, "a statement");
	PQclear(result);
	return NULL;
}

PGresult *
cv_db_query(CvDb *db, const char *sql, int n, const char *const *values)
{
	return query_on(db, db->conn, sql, n, values);
}

bool
cv_db_run(CvDb *db, const char *sql, int n, const char *const *values,
		  int64_t *rows)
{
	PGresult   *result = cv_db_query(db, sql, n, values);

	if (result == NULL)
		return false;
	if (rows != NULL)
		*rows = strtoll(PQcmdTuples(result), NULL, 10);
	PQclear(result);
	return true;
}

bool
cv_db_ask(CvDb *db, const char *sql, int n, const char *const *values,
		  bool *found, char *answer, size_t size)
{
	PGresult   *result = cv_db_query(db, sql, n, values);

	if (result == NULL)
		return false;
	*found = PQntuples(result) > 0 && !PQgetisnull(result, 0, 0);
	if (*found && answer != NULL)
		strncpy(answer, PQgetvalue(result, 0, 0), size - 1)[size - 1] = '\0';
	PQclear(result);
	return true;
}

/* --- the target --------------------------------------------------------- */

static bool
db_exec(CvTarget *target, const char *sql, int64_t *rows)
{
	return cv_db_run((CvDb *) target, sql, 0, NULL, rows);
}

static bool
db_block(CvTarget *target, const char *sql)
{
	return cv_db_run((CvDb *) target, sql, 0, NULL, NULL);
}

/* cv_db_write_begin() has checked already. */
static bool
db_check(CvTarget *target)
{
	(void) target;
	return true;
}

static bool
db_copy_begin(CvTarget *target, const char *sql)
{
	CvDb	   *db = (CvDb *) target;
	PGresult   *result = send_sql(db, db->conn, sql, 0, NULL);
	bool		ok = PQresultStatus(result) == PGRES_COPY_IN;

	if (!ok)
		report_result(db->conn, result, "COPY");
	PQclear(result);
	return ok;
}

/* Reads the result of a COPY that we or the server ended. */
static bool
copy_result(CvDb *db)
{
	PGresult   *result;
	bool		ok = true;

	while ((result = PQgetResult(db->conn)) != NULL)
	{
		if (ok && PQresultStatus(result) != PGRES_COMMAND_OK)
		{
			report_result(db->conn, result, "COPY");
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

	/* libpq takes an int; the largest rows have 10 MiB. */
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
find_bulk(CvDb *db)
{
	PGresult   *result = cv_db_query(db, cv_sql_is_bulk, 0, NULL);

	if (result == NULL)
		return false;
	db->keyless = db->target.direct = PQgetvalue(result, 0, 0)[0] == 't';
	db->first = db->target.direct_recordings =
		PQgetvalue(result, 0, 1)[0] == 't';
	PQclear(result);
	return true;
}

static bool
db_bulk_begin(CvTarget *target)
{
	CvDb	   *db = (CvDb *) target;

	return cv_db_run(db, cv_sql_bulk_begin, 0, NULL, NULL) && find_bulk(db);
}

static bool
db_exec_either(CvTarget *target, CvBulk bulk, const char *first,
			   const char *later, int64_t *rows)
{
	CvDb	   *db = (CvDb *) target;
	bool		is_first = bulk == CV_BULK_KEYLESS ? db->keyless : db->first;
	const char *sql = is_first ? first : later;

	return sql == NULL || cv_db_run(db, sql, 0, NULL, rows);
}

static bool
key_back(CvDb *db, int64_t *duplicates)
{
	PGresult   *result = send_sql(db, db->conn, cv_sql_add_key, 0, NULL);
	bool		ok = is_ok(result);
	bool		has_duplicates = has_state(result, "23505");

	if (!ok && !has_duplicates)
		report_result(db->conn, result, "the key of listen");
	PQclear(result);
	if (ok)
		return true;
	return has_duplicates && cv_db_write_begin(db) &&
		cv_db_run(db, cv_sql_delete_duplicates, 0, NULL, duplicates) &&
		cv_db_run(db, cv_sql_add_key, 0, NULL, NULL) && cv_db_write_end(db);
}

bool
cv_db_bulk_end(CvDb *db, int64_t *duplicates)
{
	*duplicates = 0;
	if (db->keyless && !key_back(db, duplicates))
		return false;
	if (db->first &&
		!(cv_db_write_begin(db) &&
		  cv_db_run(db, cv_sql_first_end, 0, NULL, NULL) &&
		  cv_db_write_end(db)))
		return false;
	db->keyless = db->target.direct = false;
	db->first = db->target.direct_recordings = false;
	return true;
}

static bool
db_bulk_end(CvTarget *target, int64_t *rows)
{
	CvDb	   *db = (CvDb *) target;
	bool		bulk = db->keyless || db->first;

	/* New tables lack statistics, and training begins with a join. */
	return cv_db_bulk_end(db, rows) &&
		(!bulk || cv_db_run(db, "ANALYZE @.listen, @.recording", 0, NULL, NULL));
}

/* --- the connections ---------------------------------------------------- */

static void
ignore_notice(void *arg, const PGresult *result)
{
	(void) arg;
	(void) result;
}

static PGconn *
connect_to(const char *conninfo)
{
	const char *const keys[] = {"dbname", "fallback_application_name",
		"client_encoding", NULL};
	const char *const values[] = {conninfo, "lbrec-convert", "UTF8", NULL};
	PGconn	   *conn = PQconnectdbParams(keys, values, 1);

	if (PQstatus(conn) != CONNECTION_OK)
	{
		cv_error("could not connect: %s", PQerrorMessage(conn));
		cv_hint("--dbname takes a database name, a connection string or a "
				"postgresql:// URI; PGHOST and the like work, too.");
		PQfinish(conn);
		return NULL;
	}
	/* Hides "already exists, skipping". */
	PQsetNoticeReceiver(conn, ignore_notice, NULL);
	return conn;
}

CvDb *
cv_db_connect(const char *conninfo)
{
	CvDb	   *db = cv_alloc(sizeof(*db));

	memset(db, 0, sizeof(*db));
	db->conninfo = cv_strdup(conninfo);
	db->target.binary = true;
	db->target.counts_rows = true;
	db->target.exec = db_exec;
	db->target.block = db_block;
	db->target.check = db_check;
	db->target.bulk_begin = db_bulk_begin;
	db->target.exec_either = db_exec_either;
	db->target.bulk_end = db_bulk_end;
	db->target.copy_begin = db_copy_begin;
	db->target.copy_data = db_copy_data;
	db->target.copy_end = db_copy_end;
	db->conn = connect_to(conninfo);
	if (db->conn != NULL)
		return db;
	cv_db_free(db);
	return NULL;
}

void
cv_db_free(CvDb *db)
{
	if (db == NULL)
		return;
	PQfinish(db->conn);
	PQfinish(db->lock);
	cv_buf_free(&db->check);
	free(db->conninfo);
	free(db->prefix);
	free(db->literal);
	free(db);
}

CvTarget *
cv_db_target(CvDb *db)
{
	return &db->target;
}

bool
cv_db_keyless(const CvDb *db)
{
	return db->keyless;
}

bool
cv_db_first(const CvDb *db)
{
	return db->first;
}

/*
 * Finds the schema where CREATE TABLE puts a table: the first existing one of
 * the path.
 */
static bool
find_schema(CvDb *db)
{
	PGresult   *result = PQexec(db->conn, "SELECT pg_catalog.current_schema()");
	CvBuf		prefix = {0};
	char	   *quoted;
	const char *name;

	if (!is_ok(result) || PQgetisnull(result, 0, 0))
	{
		if (!is_ok(result))
			report_result(db->conn, result, "a statement");
		else
		{
			cv_error("no schema to load into");
			cv_hint("Set search_path to a schema that is there: "
					"PGOPTIONS=\"-c search_path=NAME\".");
		}
		PQclear(result);
		return false;
	}
	name = PQgetvalue(result, 0, 0);
	quoted = PQescapeIdentifier(db->conn, name, strlen(name));
	cv_buf_printf(&prefix, "%s.", quoted);
	PQfreemem(quoted);
	quoted = PQescapeLiteral(db->conn, name, strlen(name));
	db->prefix = prefix.data;
	db->literal = cv_strdup(quoted);
	PQfreemem(quoted);
	PQclear(result);
	return true;
}

/* If two converters find that a table is missing, one of them fails here. */
static bool
create_ledger(CvDb *db)
{
	for (int i = 0; cv_sql_ledger[i] != NULL; i++)
	{
		PGresult   *result = send_sql(db, db->conn, cv_sql_ledger[i], 0, NULL);
		bool		again = has_state(result, "23505") ||
			has_state(result, "42P07");

		if (is_ok(result) || again)
			i -= again;
		else
		{
			report_result(db->conn, result, "a statement");
			PQclear(result);
			return false;
		}
		PQclear(result);
	}
	return true;
}

/*
 * This mode conflicts with itself, and with nothing that readers, writers or
 * an ANALYZE need.  Taking it needs the right to write to the ledger.
 */
#define LOCK "LOCK TABLE @.lbrec_dump IN SHARE UPDATE EXCLUSIVE MODE"

/* A load may take an hour: no timeout may end its sessions. */
static const char *const no_timeouts[] = {
	"SET search_path = pg_catalog, pg_temp",
	"SET idle_in_transaction_session_timeout = 0",
	"SET lock_timeout = 0",
	"SET statement_timeout = 0",
	/* PostgreSQL 17 and later have this setting. */
	"SELECT pg_catalog.set_config(name, '0', false)\n"
	"FROM pg_catalog.pg_settings\n"
	"WHERE name OPERATOR(pg_catalog.=) 'transaction_timeout'",
	NULL
};

static bool
run_all(CvDb *db, PGconn *conn, const char *const *sql)
{
	for (; *sql != NULL; sql++)
	{
		PGresult   *result = query_on(db, conn, *sql, 0, NULL);

		if (result == NULL)
			return false;
		PQclear(result);
	}
	return true;
}

static bool
take_lock(CvDb *db)
{
	PGresult   *result;

	db->lock = connect_to(db->conninfo);
	if (db->lock == NULL || !run_all(db, db->lock, no_timeouts))
		return false;
	PQclear(PQexec(db->lock, "BEGIN ISOLATION LEVEL READ COMMITTED"));
	result = send_sql(db, db->lock, LOCK " NOWAIT", 0, NULL);
	if (has_state(result, "55P03"))
	{
		cv_warning("another lbrec-convert loads into this database: waiting");
		/* The server may not have noticed yet that a converter was killed. */
		PQclear(result);
		PQclear(PQexec(db->lock, "ROLLBACK"));
		PQclear(PQexec(db->lock, "BEGIN ISOLATION LEVEL READ COMMITTED"));
		result = send_sql(db, db->lock, LOCK, 0, NULL);
	}
	if (!is_ok(result))
		report_result(db->lock, result, "the lock on lbrec_dump");
	PQclear(result);
	return PQtransactionStatus(db->lock) == PQTRANS_INTRANS;
}

bool
cv_db_begin(CvDb *db, const char *const *trusted, int n)
{
	cv_check_sql(&db->check, trusted, n);
	if (!find_schema(db))
		return false;
	return run_all(db, db->conn, no_timeouts) &&
		run_all(db, db->conn, cv_sql_session) &&
		cv_db_run(db, db->check.data, 0, NULL, NULL) && create_ledger(db) &&
		take_lock(db);
}

bool
cv_db_by_month(CvDb *db, bool *by_month)
{
	bool		found;
	char		answer[8];

	if (!cv_db_ask(db, "SELECT EXISTS (SELECT\n"
				   "\tFROM pg_catalog.pg_partitioned_table AS p\n"
				   "\tJOIN pg_catalog.pg_attribute AS a\n"
				   "\t\tON a.attrelid OPERATOR(pg_catalog.=) p.partrelid\n"
				   "\tWHERE p.partrelid OPERATOR(pg_catalog.=) c.oid\n"
				   "\t\tAND p.partstrat OPERATOR(pg_catalog.=) 'r'\n"
				   "\t\tAND p.partnatts OPERATOR(pg_catalog.=) 1\n"
				   "\t\tAND p.partattrs[0] OPERATOR(pg_catalog.=) a.attnum\n"
				   "\t\tAND a.attname OPERATOR(pg_catalog.=) 'listened_at')\n"
				   "FROM pg_catalog.pg_class AS c\n"
				   "WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(\n"
				   "\tpg_catalog.format('%I." CV_SQL_LISTEN "', @n))",
				   0, NULL, &found, answer, sizeof(answer)))
		return false;
	if (found && answer[0] != 't' && *by_month)
	{
		cv_error("cannot load by month: listen is there, and not partitioned "
				 "by ranges of listened_at");
		cv_hint("Leave --by-month out, or rename the table.");
		return false;
	}
	*by_month = *by_month || (found && answer[0] == 't');
	return true;
}

bool
cv_db_write_begin(CvDb *db)
{
	return cv_db_run(db, "BEGIN", 0, NULL, NULL) &&
		cv_db_run(db, cv_check_lock, 0, NULL, NULL) &&
		cv_db_run(db, db->check.data, 0, NULL, NULL);
}

bool
cv_db_write_end(CvDb *db)
{
	PGresult   *result = query_on(db, db->lock, "SELECT", 0, NULL);

	if (result == NULL)
		return false;
	PQclear(result);
	return cv_db_run(db, "COMMIT", 0, NULL, NULL);
}
