/*
 * cv_sql.c
 *		All SQL that the converter writes.
 *
 * The tables are ordinary ones in the first schema of your search path.
 * docs/tables.md explains their layout and has measured sizes.
 *
 * A batch arrives in temporary tables and is merged from there.  So a script
 * cut off inside a COPY leaves nothing of that batch, and each statement can
 * be repeated.  The server finds duplicates: with the unique index on a
 * listen's identity, a second load changes nothing.
 *
 * The loader is often a superuser, and others may create objects in the
 * schema.  So the session's search_path is pg_catalog alone, each table and
 * operator is named with its schema, and cv_check.c checks the tables before
 * each write.
 */
#include "cv_sql.h"
#include "cv_check.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define EQ "OPERATOR(pg_catalog.=)"
#define OID(table) "pg_catalog.to_regclass(pg_catalog.format('%I." table "', @n))"
#define LISTEN_KEY "user_id, listened_at, recording_msid"
#define RECORDING_COLUMNS "recording_msid, artist_name, track_name,\n" \
	"\trelease_name, recording_mbid, release_mbid, artist_mbids"

void
cv_sql_expand(CvBuf *to, const char *sql, const char *prefix,
			  const char *literal)
{
	const char *at;

	while ((at = strchr(sql, '@')) != NULL)
	{
		cv_buf_add(to, sql, (size_t) (at - sql));
		if (at[1] == '.')
			cv_buf_str(to, prefix);
		else if (at[1] == 'n')
			cv_buf_str(to, literal);
		else
			cv_buf_add(to, at, 2);
		sql = at + 2;
	}
	/* includes its NUL */
	cv_buf_add(to, sql, strlen(sql) + 1);
	to->len--;
}

/*
 * pg_dump restores with this search_path, too, so your triggers must work with
 * it anyway. lbrec_train reads a listened_at without time zone as UTC, so the
 * session writes UTC.
 *
 * A batch is sorted in the order of the index, so that neighbours fall on the
 * same page: merges took a third less time.  Sorting a million rows needs this
 * work_mem.
 */
const char *const cv_sql_session[] = {
	"SET search_path = pg_catalog, pg_temp",
	"SET standard_conforming_strings = on",
	"SET TimeZone = 'UTC'",
	"SET work_mem = '128MB'",
	"SET temp_buffers = '32MB'",
	"SET maintenance_work_mem = '256MB'",
	"SET jit = off",
	NULL
};

/* --- the tables --------------------------------------------------------- */

const char *const cv_sql_recording_table =
	"CREATE TABLE IF NOT EXISTS @.recording (\n"
	"\trecording_msid uuid PRIMARY KEY,\n"
	"\tartist_name text NOT NULL,\n"
	"\ttrack_name text NOT NULL,\n"
	"\trelease_name text,\n"
	"\trecording_mbid uuid,\n"
	"\trelease_mbid uuid,\n"
	"\tartist_mbids uuid[]\n"
	")";

/*
 * In this order, the key serves a user's listens since a time, oldest or
 * newest first, from the index alone.  It puts a user's new listens on one
 * page, and it compares two numbers before UUIDs.  The columns need no
 * padding.
 */
void
cv_sql_listen_table(CvBuf *sql, const char *table, bool key, bool by_month)
{
	cv_buf_printf(sql,
				  "CREATE TABLE IF NOT EXISTS @.%s (\n"
				  "\tuser_id bigint NOT NULL,\n"
				  "\tlistened_at timestamp with time zone NOT NULL,\n"
				  "\trecording_msid uuid NOT NULL%s\n"
				  ")%s",
				  table, key ? ",\n\tPRIMARY KEY (" LISTEN_KEY ")" : "",
				  by_month ? " PARTITION BY RANGE (listened_at)" : "");
}

void
cv_sql_listen_index(CvBuf *sql, const char *table)
{
	cv_buf_printf(sql,
				  "CREATE INDEX IF NOT EXISTS %s_listened_at_idx\n"
				  "\tON @.%s USING brin (listened_at)",
				  table, table);
}

/* Not LIKE recording: your table may have columns of its own. */
const char *const cv_sql_staging[] = {
	"CREATE TEMPORARY TABLE IF NOT EXISTS lbrec_new_recording (\n"
	"\trecording_msid uuid,\n"
	"\tartist_name text,\n"
	"\ttrack_name text,\n"
	"\trelease_name text,\n"
	"\trecording_mbid uuid,\n"
	"\trelease_mbid uuid,\n"
	"\tartist_mbids uuid[]\n"
	")",
	"CREATE TEMPORARY TABLE IF NOT EXISTS lbrec_new_listen (\n"
	"\tuser_id bigint,\n"
	"\tlistened_at timestamp with time zone,\n"
	"\trecording_msid uuid\n"
	")",
	NULL
};

/* --- a batch ------------------------------------------------------------ */

/*
 * A recording's names come from its first row, its identifiers all from the
 * first row with a recording_mbid.  Values in the table stay.  The second
 * statement reads few rows: one listen in twenty has an identifier.
 */
const char *const cv_sql_merge_recordings =
	"INSERT INTO @.recording (" RECORDING_COLUMNS ")\n"
	"SELECT " RECORDING_COLUMNS "\n"
	"FROM pg_temp.lbrec_new_recording ORDER BY recording_msid, ctid\n"
	"ON CONFLICT (recording_msid) DO NOTHING";

const char *const cv_sql_merge_identifiers =
	"UPDATE @.recording AS r\n"
	"SET recording_mbid = n.recording_mbid, release_mbid = n.release_mbid,\n"
	"\tartist_mbids = n.artist_mbids\n"
	"FROM (SELECT DISTINCT ON (recording_msid) recording_msid,\n"
	"\t\trecording_mbid, release_mbid, artist_mbids\n"
	"\tFROM pg_temp.lbrec_new_recording WHERE recording_mbid IS NOT NULL\n"
	"\tORDER BY recording_msid, ctid) AS n\n"
	"WHERE r.recording_msid " EQ " n.recording_msid\n"
	"\tAND r.recording_mbid IS NULL";

/*
 * keyed: the table has its key, so sort the rows (see above).  Without a key
 * the rows keep the dump's order, by time.
 *
 * ON CONFLICT names the columns: a row that another unique index refuses is an
 * error, not a duplicate.
 */
void
cv_sql_merge_listens(CvBuf *sql, const char *table, bool keyed)
{
	cv_buf_printf(sql,
				  "INSERT INTO @.%s (" LISTEN_KEY ")\n"
				  "SELECT " LISTEN_KEY "\n"
				  "FROM pg_temp.lbrec_new_listen%s",
				  table,
				  keyed ? "\nORDER BY " LISTEN_KEY "\n"
				  "ON CONFLICT (" LISTEN_KEY ") DO NOTHING"
				  : "");
}

const char *const cv_sql_empty_staging =
	"TRUNCATE pg_temp.lbrec_new_listen, pg_temp.lbrec_new_recording";

/* --- users by name ------------------------------------------------------ */

/*
 * name_id is the negative number derived from the name alone.  If a dump gave
 * a name a number, the name keeps it; a renamed user has two names then.
 */
const char *const cv_sql_users[] = {
	"CREATE TABLE IF NOT EXISTS @.lbrec_user (\n"
	"\tuser_name text PRIMARY KEY,\n"
	"\tuser_id bigint NOT NULL\n"
	")",
	"CREATE TEMPORARY TABLE IF NOT EXISTS lbrec_new_user (\n"
	"\tuser_id bigint,\n"
	"\tuser_name text,\n"
	"\tname_id bigint\n"
	")",
	NULL
};

const char *const cv_sql_merge_users =
	"INSERT INTO @.lbrec_user AS u (user_name, user_id)\n"
	"SELECT DISTINCT ON (n.user_name) n.user_name, n.user_id\n"
	"FROM pg_temp.lbrec_new_user AS n ORDER BY n.user_name, n.user_id DESC\n"
	"ON CONFLICT (user_name) DO UPDATE SET user_id = EXCLUDED.user_id\n"
	"WHERE u.user_id OPERATOR(pg_catalog.<) 0\n"
	"\tAND EXCLUDED.user_id OPERATOR(pg_catalog.>=) 0";

/* Names in this batch whose number is known. */
#define NUMBERED "FROM pg_temp.lbrec_new_user AS n\n" \
	"JOIN @.lbrec_user AS u ON u.user_name " EQ " n.user_name\n" \
	"\tAND u.user_id OPERATOR(pg_catalog.>=) 0\n"
#define IDS "(SELECT DISTINCT n.name_id, u.user_id " NUMBERED ") AS i\n"

const char *const cv_sql_number_batch =
	"UPDATE pg_temp.lbrec_new_listen AS l SET user_id = i.user_id\n"
	"FROM " IDS "WHERE l.user_id " EQ " i.name_id";

const char *const cv_sql_number_first =
	"UPDATE @.listen AS l SET user_id = i.user_id\n"
	"FROM " IDS "WHERE l.user_id " EQ " i.name_id";

const char *const cv_sql_number_listens =
	"INSERT INTO @.listen (" LISTEN_KEY ")\n"
	"SELECT i.user_id, l.listened_at, l.recording_msid\n"
	"FROM " IDS "JOIN @.listen AS l ON l.user_id " EQ " i.name_id\n"
	"ON CONFLICT (" LISTEN_KEY ") DO NOTHING";

const char *const cv_sql_number_rest =
	"DELETE FROM @.listen AS l USING " IDS
	"WHERE l.user_id " EQ " i.name_id";

/* --- the first load ----------------------------------------------------- */

/*
 * Filling an empty table and building its key afterwards takes a third of the
 * time of filling it with the key, and the key is a quarter smaller.  So a
 * first load drops the key of an empty listen; a comment on the table records
 * that until the key is back.  Rows for an empty recording are collected in a
 * table without a key, and are sorted into recording at the end.  A killed
 * load leaves the comment and that table, and the next load continues.
 *
 * The key stays where anything depends on it, where the table has a comment
 * already, and where columns have other types than ours: only those can be
 * filled by a binary COPY.
 */
const char *const cv_sql_bulk_begin =
	"DO $lbrec$ BEGIN\n"
	"\tIF " OID("lbrec_first_recording") " IS NULL\n"
	"\t\tAND NOT EXISTS (SELECT FROM @.recording)\n"
	"\tTHEN\n"
	"\t\tCREATE TABLE @.lbrec_first_recording (\n"
	"\t\t\trecording_msid uuid NOT NULL,\n"
	"\t\t\tartist_name text NOT NULL,\n"
	"\t\t\ttrack_name text NOT NULL,\n"
	"\t\t\trelease_name text,\n"
	"\t\t\trecording_mbid uuid,\n"
	"\t\t\trelease_mbid uuid,\n"
	"\t\t\tartist_mbids uuid[]\n"
	"\t\t);\n"
	"\tEND IF;\n"
	"\tIF NOT EXISTS (SELECT FROM @.listen)\n"
	"\t\tAND pg_catalog.obj_description(" OID("listen") ", 'pg_class') IS NULL\n"
	"\t\tAND EXISTS (SELECT FROM pg_catalog.pg_constraint AS k\n"
	"\t\t\tWHERE k.conrelid " EQ " " OID("listen") "\n"
	"\t\t\t\tAND k.conname " EQ " 'listen_pkey'\n"
	"\t\t\t\tAND pg_catalog.pg_get_constraintdef(k.oid) " EQ "\n"
	"\t\t\t\t'PRIMARY KEY (" LISTEN_KEY ")')\n"
	"\t\tAND 3 " EQ " (SELECT pg_catalog.count(*)\n"
	"\t\t\tFROM pg_catalog.pg_attribute AS a\n"
	"\t\t\tJOIN (VALUES ('user_id', 'bigint'),\n"
	"\t\t\t\t('listened_at', 'timestamp with time zone'),\n"
	"\t\t\t\t('recording_msid', 'uuid')) AS w (col, type)\n"
	"\t\t\t\tON a.attname " EQ " w.col AND w.type " EQ "\n"
	"\t\t\t\tpg_catalog.format_type(a.atttypid, a.atttypmod)\n"
	"\t\t\tWHERE a.attrelid " EQ " " OID("listen") ")\n"
	"\tTHEN\n"
	"\t\tBEGIN\n"
	"\t\t\tALTER TABLE @.listen DROP CONSTRAINT listen_pkey;\n"
	"\t\t\tCOMMENT ON TABLE @.listen IS '" CV_NO_KEY "';\n"
	"\t\tEXCEPTION WHEN dependent_objects_still_exist THEN NULL;\n"
	"\t\tEND;\n"
	"\tEND IF;\n"
	"END $lbrec$";

const char *const cv_sql_is_bulk =
	"SELECT pg_catalog.obj_description(" OID("listen") ", 'pg_class')\n"
	"\tIS NOT DISTINCT FROM '" CV_NO_KEY "' AS lbrec_keyless,\n"
	"\t" OID("lbrec_first_recording") " IS NOT NULL AS lbrec_first";

const char *const cv_sql_first_recordings =
	"INSERT INTO @.lbrec_first_recording (" RECORDING_COLUMNS ")\n"
	"SELECT " RECORDING_COLUMNS "\n"
	"FROM pg_temp.lbrec_new_recording";

/*
 * Keeps the same names and identifiers as the merges above, in one pass: both
 * sides of the join arrive sorted.  Within this transaction the key of
 * recording is dropped if nothing depends on it: building it afterwards takes
 * a third of the time.
 */
#define FIRST_INSERT \
	"INSERT INTO @.recording (" RECORDING_COLUMNS ")\n" \
	"SELECT n.recording_msid, n.artist_name, n.track_name, n.release_name,\n" \
	"\ti.recording_mbid,\n" \
	"\tCASE WHEN i.recording_mbid IS NULL THEN n.release_mbid\n" \
	"\t\tELSE i.release_mbid END,\n" \
	"\tCASE WHEN i.recording_mbid IS NULL THEN n.artist_mbids\n" \
	"\t\tELSE i.artist_mbids END\n" \
	"FROM (SELECT DISTINCT ON (recording_msid) " RECORDING_COLUMNS "\n" \
	"\tFROM @.lbrec_first_recording ORDER BY recording_msid, ctid) AS n\n" \
	"LEFT JOIN (SELECT DISTINCT ON (recording_msid) " RECORDING_COLUMNS "\n" \
	"\tFROM @.lbrec_first_recording WHERE recording_mbid IS NOT NULL\n" \
	"\tORDER BY recording_msid, ctid) AS i\n" \
	"\tON i.recording_msid " EQ " n.recording_msid\n" \
	"ORDER BY n.recording_msid"
#define RECORDING_KEY "PRIMARY KEY (recording_msid)"

const char *const cv_sql_first_end =
	"DO $lbrec$ DECLARE\n"
	"\tkeyless boolean := false;\n"
	"BEGIN\n"
	"IF NOT EXISTS (SELECT FROM @.recording)\n"
	"\tAND EXISTS (SELECT FROM pg_catalog.pg_constraint AS k\n"
	"\t\tWHERE k.conrelid " EQ " " OID("recording") "\n"
	"\t\t\tAND k.conname " EQ " 'recording_pkey'\n"
	"\t\t\tAND pg_catalog.pg_get_constraintdef(k.oid) " EQ "\n"
	"\t\t\t'" RECORDING_KEY "')\n"
	"THEN\n"
	"\tBEGIN\n"
	"\t\tALTER TABLE @.recording DROP CONSTRAINT recording_pkey;\n"
	"\t\tkeyless := true;\n"
	"\tEXCEPTION WHEN dependent_objects_still_exist THEN NULL;\n"
	"\tEND;\n"
	"END IF;\n"
	"IF keyless THEN\n"
	FIRST_INSERT ";\n"
	"ALTER TABLE @.recording ADD CONSTRAINT recording_pkey " RECORDING_KEY ";\n"
	"ELSE\n"
	FIRST_INSERT "\n"
	"ON CONFLICT (recording_msid) DO NOTHING;\n"
	"END IF;\n"
	"DROP TABLE @.lbrec_first_recording;\n"
	"END $lbrec$";

/*
 * Must be one transaction: a kill between its statements would lose the key.
 */
const char *const cv_sql_add_key =
	"ALTER TABLE @.listen ADD CONSTRAINT listen_pkey\n"
	"\tPRIMARY KEY (" LISTEN_KEY ");\n"
	"COMMENT ON TABLE @.listen IS NULL";

/* Keeps the first of listens with the same identity. */
const char *const cv_sql_delete_duplicates =
	"DELETE FROM @.listen AS l\n"
	"USING (SELECT tableoid AS t, ctid AS c,\n"
	"\tpg_catalog.row_number() OVER (PARTITION BY " LISTEN_KEY "\n"
	"\t\tORDER BY ctid) AS n\n"
	"\tFROM @.listen) AS d\n"
	"WHERE d.n OPERATOR(pg_catalog.>) 1 AND l.tableoid " EQ " d.t\n"
	"\tAND l.ctid " EQ " d.c";

/* --- the ledger --------------------------------------------------------- */

/*
 * The ledger's rows are written in the transaction that loads.  A dump has
 * finished_at when all its members are loaded; options holds the options that
 * decide which listens are loaded.
 *
 * Each member keeps a sample of its listens, by which a later run checks that
 * the tables still have them.
 */
const char *const cv_sql_ledger[] = {
	"CREATE TABLE IF NOT EXISTS @.lbrec_dump (\n"
	"\tdump text PRIMARY KEY,\n"
	"\tkind text NOT NULL CHECK (kind IN ('full', 'incremental', 'other')),\n"
	"\toptions text NOT NULL,\n"
	"\tchanges_from timestamp with time zone,\n"
	"\tchanges_to timestamp with time zone,\n"
	"\tstarted_at timestamp with time zone NOT NULL DEFAULT now(),\n"
	"\tfinished_at timestamp with time zone\n"
	")",
	"CREATE TABLE IF NOT EXISTS @.lbrec_dump_member (\n"
	"\tdump text NOT NULL REFERENCES @.lbrec_dump ON UPDATE CASCADE\n"
	"\t\tON DELETE CASCADE,\n"
	"\tmember text NOT NULL,\n"
	"\tbytes bigint NOT NULL,\n"
	"\tlines bigint NOT NULL,\n"
	"\tlistens bigint NOT NULL,\n"
	"\twritten bigint NOT NULL,\n"
	"\trejected bigint NOT NULL,\n"
	"\tsample_user_id bigint[] NOT NULL,\n"
	"\tsample_listened_at timestamp with time zone[] NOT NULL,\n"
	"\tsample_recording_msid uuid[] NOT NULL,\n"
	"\tloaded_at timestamp with time zone NOT NULL DEFAULT now(),\n"
	"\tPRIMARY KEY (dump, member)\n"
	")",
	NULL
};

/*
 * A join, not NOT EXISTS: a first load has no index yet, and the planner then
 * hashes the small sample instead of listen.
 */
#define FORGET_BEGIN \
	"WITH s (dump, member, u, t, r) AS (\n" \
	"\tSELECT m.dump, m.member, s.u, s.t, s.r\n" \
	"\tFROM @.lbrec_dump_member AS m\n" \
	"\tCROSS JOIN LATERAL ROWS FROM (\n" \
	"\t\tpg_catalog.unnest(m.sample_user_id),\n" \
	"\t\tpg_catalog.unnest(m.sample_listened_at),\n" \
	"\t\tpg_catalog.unnest(m.sample_recording_msid)) AS s (u, t, r)\n" \
	"\tWHERE (m.dump OPERATOR(pg_catalog.~~) '%" CV_SQL_REPLACING "') " EQ

#define FORGET_END \
	"),\n" \
	"gone AS (SELECT DISTINCT dump, member FROM missing),\n" \
	"forgotten AS (\n" \
	"\tDELETE FROM @.lbrec_dump_member AS m USING gone\n" \
	"\tWHERE m.dump " EQ " gone.dump AND m.member " EQ " gone.member\n" \
	"\tRETURNING m.dump),\n" \
	"unfinished AS (\n" \
	"\tUPDATE @.lbrec_dump AS d SET finished_at = NULL FROM gone\n" \
	"\tWHERE d.dump " EQ " gone.dump)\n" \
	"SELECT dump, pg_catalog.count(*) FROM forgotten GROUP BY dump ORDER BY dump"

void
cv_sql_forget(CvBuf *sql, const char *listen_table, bool first)
{
	bool		next = strcmp(listen_table, CV_SQL_NEXT) == 0;

	cv_buf_str(sql, FORGET_BEGIN);
	cv_buf_printf(sql,
				  " %s),\n"
				  "missing AS (SELECT * FROM s EXCEPT\n"
				  "\tSELECT s.dump, s.member, s.u, s.t, s.r FROM s\n"
				  "\tJOIN @.%s AS l ON l.user_id " EQ " s.u\n"
				  "\t\tAND l.listened_at " EQ " s.t\n"
				  "\t\tAND l.recording_msid " EQ " s.r\n"
				  "\tJOIN @.%s AS r ON r.recording_msid " EQ " s.r",
				  next ? "true" : "false", listen_table,
				  first ? "lbrec_first_recording" : "recording");
	/* includes its NUL */
	cv_buf_add(sql, FORGET_END, sizeof(FORGET_END));
}

/*
 * Makes a newer full dump the content of listen, in one transaction.
 * Unchanged rows are not touched, so the cost is that of the changes, readers
 * see the old listens until the commit, and views and grants stay.
 */
#define SAME \
	"n.user_id " EQ " l.user_id\n" \
	"\t\tAND n.recording_msid " EQ " l.recording_msid\n" \
	"\t\tAND n.listened_at " EQ " l.listened_at"

const char *const cv_sql_replace[] = {
	"DELETE FROM @.listen AS l\n"
	"WHERE NOT EXISTS (SELECT FROM @." CV_SQL_NEXT " AS n\n"
	"\tWHERE " SAME ")",
	"INSERT INTO @.listen (" LISTEN_KEY ")\n"
	"SELECT n.user_id, n.listened_at, n.recording_msid\n"
	"FROM @." CV_SQL_NEXT " AS n\n"
	"WHERE NOT EXISTS (SELECT FROM @.listen AS l\n"
	"\tWHERE " SAME ")\n"
	"ON CONFLICT (" LISTEN_KEY ") DO NOTHING",
	"DELETE FROM @.recording AS r\n"
	"WHERE NOT EXISTS (SELECT FROM @." CV_SQL_NEXT " AS n\n"
	"\tWHERE n.recording_msid " EQ " r.recording_msid)",
	"DROP TABLE @." CV_SQL_NEXT,
	NULL
};

/* --- partitions --------------------------------------------------------- */

/*
 * One partition before 2002-10, one a month, one from 2100 on, so that wrong
 * clocks do not make a partition each.
 */
#define FIRST_YEAR 2002
#define FIRST_MONTH 9			/* October, from 0 */
#define LAST_YEAR 2100

int
cv_sql_month(int64_t micros)
{
	int64_t		days = micros / INT64_C(86400000000);
	int64_t		era;
	unsigned	doe,
				yoe,
				doy,
				mp;
	int			year,
				month;

	if (micros < CV_EARLY_SECONDS * 1000000)
		return 0;
	/* civil_from_days; see cv_text.c.  The time is after 1970. */
	days += 719468;
	era = days / 146097;
	doe = (unsigned) (days - era * 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	month = (int) (mp < 10 ? mp + 2 : mp - 10);
	year = (int) ((int64_t) yoe + era * 400) + (month <= 1);
	if (year >= LAST_YEAR)
		return CV_SQL_MONTHS - 1;
	return 1 + (year - FIRST_YEAR) * 12 + month - FIRST_MONTH;
}

/*
 * A partition that exists already, of any name and length, takes the month's
 * listens.
 */
void
cv_sql_partition(CvBuf *sql, const char *table, int month)
{
	int			at = month - 1 + FIRST_MONTH;
	int			year = FIRST_YEAR + at / 12;

	cv_buf_str(sql, "DO $lbrec$ BEGIN\n");
	if (month == 0)
		cv_buf_printf(sql,
					  "CREATE TABLE IF NOT EXISTS @.%s_early\n"
					  "\tPARTITION OF @.%s\n"
					  "\tFOR VALUES FROM (MINVALUE) TO ('2002-10-01 00:00+00')",
					  table, table);
	else if (month == CV_SQL_MONTHS - 1)
		cv_buf_printf(sql,
					  "CREATE TABLE IF NOT EXISTS @.%s_late\n"
					  "\tPARTITION OF @.%s\n"
					  "\tFOR VALUES FROM ('%d-01-01 00:00+00') TO (MAXVALUE)",
					  table, table, LAST_YEAR);
	else
		cv_buf_printf(sql,
					  "CREATE TABLE IF NOT EXISTS @.%s_%d_%02d\n"
					  "\tPARTITION OF @.%s\n"
					  "\tFOR VALUES FROM ('%d-%02d-01 00:00+00') "
					  "TO ('%d-%02d-01 00:00+00')",
					  table, year, at % 12 + 1, table, year, at % 12 + 1,
					  year + (at % 12 == 11), (at + 1) % 12 + 1);
	cv_buf_printf(sql, ";\n"
				  "EXCEPTION WHEN invalid_object_definition OR check_violation "
				  "THEN NULL;\n"
				  "END $lbrec$");
}
