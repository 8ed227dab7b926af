/*
 * cv_sql.c
 *		The SQL that the converter writes, in one place.
 *
 * Ordinary tables in the first schema of the search path, the user's own.
 * docs/tables.md argues the layout and has the measured bytes.
 *
 * A batch arrives in temporary tables and is merged from there.  So a script
 * that is cut off inside a COPY leaves nothing of that batch, each statement
 * may be repeated, and duplicates are the server's to find: the unique index
 * on a listen's identity is what makes a second load change nothing.
 */
#include "cv_sql.h"

#include <stddef.h>
#include <stdlib.h>

const char *const cv_sql_recording_table =
	"CREATE TABLE IF NOT EXISTS recording (\n"
	"\trecording_msid uuid PRIMARY KEY,\n"
	"\tartist_name text NOT NULL,\n"
	"\ttrack_name text NOT NULL,\n"
	"\trelease_name text,\n"
	"\trecording_mbid uuid,\n"
	"\trelease_mbid uuid,\n"
	"\tartist_mbids uuid[]\n"
	")";

/*
 * The key's order serves "what did this user play" and play counts from the
 * index alone, and needs no padding.
 */
void
cv_sql_listen_table(CvBuf *sql, const char *table, bool key, bool by_month)
{
	cv_buf_printf(sql,
				  "CREATE TABLE IF NOT EXISTS %s (\n"
				  "\tuser_id bigint NOT NULL,\n"
				  "\tlistened_at timestamp with time zone NOT NULL,\n"
				  "\trecording_msid uuid NOT NULL%s\n"
				  ")%s",
				  table,
				  key ? ",\n\tPRIMARY KEY (user_id, recording_msid, listened_at)"
				  : "",
				  by_month ? " PARTITION BY RANGE (listened_at)" : "");
}

void
cv_sql_listen_index(CvBuf *sql, const char *table)
{
	cv_buf_printf(sql,
				  "CREATE INDEX IF NOT EXISTS %s_listened_at_idx\n"
				  "\tON %s USING brin (listened_at)",
				  table, table);
}

/*
 * Not LIKE recording: the names of these columns are ours, whatever the user
 * has added to the tables since.
 */
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

/*
 * A batch is sorted as the index is: neighbours then fall on the same page,
 * which took a third off the time of a merge.  A million rows need this.
 */
const char *const cv_sql_session[] = {
	"SET work_mem = '128MB'",
	"SET temp_buffers = '32MB'",
	"SET maintenance_work_mem = '256MB'",
	NULL
};

/*
 * Of a recording's rows the first gives the names; the first with a MusicBrainz
 * identifier gives the identifiers, all of them, and what the table has
 * already stays.  The second statement looks at few rows: one listen in
 * twenty has an identifier.
 */
const char *const cv_sql_merge_recordings =
	"INSERT INTO recording (recording_msid, artist_name, track_name,\n"
	"\t\trelease_name, recording_mbid, release_mbid, artist_mbids)\n"
	"SELECT recording_msid, artist_name, track_name,\n"
	"\trelease_name, recording_mbid, release_mbid, artist_mbids\n"
	"FROM lbrec_new_recording ORDER BY recording_msid, ctid\n"
	"ON CONFLICT DO NOTHING";

const char *const cv_sql_merge_identifiers =
	"UPDATE recording AS r\n"
	"SET recording_mbid = n.recording_mbid, release_mbid = n.release_mbid,\n"
	"\tartist_mbids = n.artist_mbids\n"
	"FROM (SELECT DISTINCT ON (recording_msid) recording_msid,\n"
	"\t\trecording_mbid, release_mbid, artist_mbids\n"
	"\tFROM lbrec_new_recording WHERE recording_mbid IS NOT NULL\n"
	"\tORDER BY recording_msid, recording_mbid) AS n\n"
	"WHERE r.recording_msid = n.recording_msid AND r.recording_mbid IS NULL";

/*
 * sorted: into an index, see above.  A load without the key keeps the dump's
 * order, which is that of time.
 */
void
cv_sql_merge_listens(CvBuf *sql, const char *table, bool sorted)
{
	cv_buf_printf(sql,
				  "INSERT INTO %s (user_id, listened_at, recording_msid)\n"
				  "SELECT user_id, listened_at, recording_msid\n"
				  "FROM lbrec_new_listen%s\n"
				  "ON CONFLICT DO NOTHING",
				  table,
				  sorted ? "\nORDER BY user_id, recording_msid, listened_at"
				  : "");
}

const char *const cv_sql_empty_staging =
	"TRUNCATE lbrec_new_listen, lbrec_new_recording";

/* --- the first load ----------------------------------------------------- */

/*
 * Filling an empty table and building its key afterwards takes a third of the
 * time of filling it with the key there, and the key is a quarter smaller.
 * So the key of an empty listen goes, and a comment says so until it is back:
 * a load that was killed between is finished by the next one.
 *
 * Not if anything depends on the key, or if the table has a comment already.
 */
#define NO_KEY "lbrec-convert is loading; its primary key comes back at the end"

const char *const cv_sql_bulk_begin =
	"DO $$ BEGIN\n"
	"\tIF NOT EXISTS (SELECT FROM listen)\n"
	"\t\tAND obj_description('listen'::regclass, 'pg_class') IS NULL\n"
	"\t\tAND EXISTS (SELECT FROM pg_constraint\n"
	"\t\t\tWHERE conrelid = 'listen'::regclass AND conname = 'listen_pkey')\n"
	"\tTHEN\n"
	"\t\tALTER TABLE listen DROP CONSTRAINT listen_pkey;\n"
	"\t\tCOMMENT ON TABLE listen IS '" NO_KEY "';\n"
	"\tEND IF;\n"
	"EXCEPTION WHEN dependent_objects_still_exist THEN NULL;\n"
	"END $$";

const char *const cv_sql_is_bulk =
	"SELECT obj_description('listen'::regclass, 'pg_class')\n"
	"\tIS NOT DISTINCT FROM '" NO_KEY "' AS lbrec_bulk";

/* One transaction wherever it runs: a kill must not come between. */
const char *const cv_sql_add_key =
	"ALTER TABLE listen ADD CONSTRAINT listen_pkey\n"
	"\tPRIMARY KEY (user_id, recording_msid, listened_at);\n"
	"COMMENT ON TABLE listen IS NULL";

/* Of listens with one identity the first stays. */
const char *const cv_sql_delete_duplicates =
	"DELETE FROM listen AS l\n"
	"USING (SELECT tableoid AS t, ctid AS c, row_number() OVER (\n"
	"\t\tPARTITION BY user_id, recording_msid, listened_at ORDER BY ctid) AS n\n"
	"\tFROM listen) AS d\n"
	"WHERE d.n > 1 AND l.tableoid = d.t AND l.ctid = d.c";

/*
 * What was loaded, written in the transaction that loads it.  A dump's row has
 * finished_at when all its members are in.
 */
const char *const cv_sql_ledger[] = {
	"CREATE TABLE IF NOT EXISTS lbrec_dump (\n"
	"\tdump text PRIMARY KEY,\n"
	"\tkind text NOT NULL CHECK (kind IN ('full', 'incremental', 'other')),\n"
	"\tchanges_from timestamp with time zone,\n"
	"\tchanges_to timestamp with time zone,\n"
	"\tstarted_at timestamp with time zone NOT NULL DEFAULT now(),\n"
	"\tfinished_at timestamp with time zone\n"
	")",
	"CREATE TABLE IF NOT EXISTS lbrec_dump_member (\n"
	"\tdump text NOT NULL REFERENCES lbrec_dump ON UPDATE CASCADE\n"
	"\t\tON DELETE CASCADE,\n"
	"\tmember text NOT NULL,\n"
	"\tbytes bigint NOT NULL,\n"
	"\tlines bigint NOT NULL,\n"
	"\tlistens bigint NOT NULL,\n"
	"\twritten bigint NOT NULL,\n"
	"\trejected bigint NOT NULL,\n"
	"\tloaded_at timestamp with time zone NOT NULL DEFAULT now(),\n"
	"\tPRIMARY KEY (dump, member)\n"
	")",
	NULL
};

/*
 * A newer full dump becomes the content of listen, in one transaction.  Rows
 * that stay are not touched, so a replacement costs what has changed, readers
 * see the old listens until the commit, and views and grants stay.
 */
const char *const cv_sql_replace[] = {
	"DELETE FROM listen AS l\n"
	"WHERE NOT EXISTS (SELECT FROM " CV_SQL_NEXT " AS n\n"
	"\tWHERE n.user_id = l.user_id\n"
	"\t\tAND n.recording_msid = l.recording_msid\n"
	"\t\tAND n.listened_at = l.listened_at)",
	"INSERT INTO listen (user_id, listened_at, recording_msid)\n"
	"SELECT n.user_id, n.listened_at, n.recording_msid\n"
	"FROM " CV_SQL_NEXT " AS n\n"
	"WHERE NOT EXISTS (SELECT FROM listen AS l\n"
	"\tWHERE n.user_id = l.user_id\n"
	"\t\tAND n.recording_msid = l.recording_msid\n"
	"\t\tAND n.listened_at = l.listened_at)\n"
	"ON CONFLICT DO NOTHING",
	"DELETE FROM recording AS r\n"
	"WHERE NOT EXISTS (SELECT FROM " CV_SQL_NEXT " AS n\n"
	"\tWHERE n.recording_msid = r.recording_msid)",
	"DROP TABLE " CV_SQL_NEXT,
	NULL
};

/* --- partitions --------------------------------------------------------- */

/*
 * One partition before 2002-10, one a month, one from 2100 on: wrong clocks
 * must not make a partition each.
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

void
cv_sql_partition(CvBuf *sql, const char *table, int month)
{
	int			at = month - 1 + FIRST_MONTH;
	int			year = FIRST_YEAR + at / 12;

	if (month == 0)
		cv_buf_printf(sql,
					  "CREATE TABLE IF NOT EXISTS %s_early\n"
					  "\tPARTITION OF %s\n"
					  "\tFOR VALUES FROM (MINVALUE) TO ('2002-10-01 00:00+00')",
					  table, table);
	else if (month == CV_SQL_MONTHS - 1)
		cv_buf_printf(sql,
					  "CREATE TABLE IF NOT EXISTS %s_late\n"
					  "\tPARTITION OF %s\n"
					  "\tFOR VALUES FROM ('%d-01-01 00:00+00') TO (MAXVALUE)",
					  table, table, LAST_YEAR);
	else
		cv_buf_printf(sql,
					  "CREATE TABLE IF NOT EXISTS %s_%d_%02d\n"
					  "\tPARTITION OF %s\n"
					  "\tFOR VALUES FROM ('%d-%02d-01 00:00+00') "
					  "TO ('%d-%02d-01 00:00+00')",
					  table, year, at % 12 + 1, table, year, at % 12 + 1,
					  year + (at % 12 == 11), (at + 1) % 12 + 1);
}
