/*
 * cv_script.c
 *		The target for a script: writes to standard output for psql.
 *
 * No BEGIN or COMMIT: "psql -1" runs it as one transaction, plain psql runs
 * each statement as one. Each statement can be repeated, so loading again
 * finishes a load that stopped halfway.
 *
 * psql takes the end of its input inside a COPY for the end of the data.  So
 * rows go to temporary tables first: a script that ends early does not merge a
 * half-read batch.
 */
#include "cv_script.h"
#include "cv_check.h"
#include "cv_sql.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Script
{
	CvTarget	target;			/* must be first: pointers to the two types
								 * are cast */
	bool		failed;
	bool		copying;
	bool		in_line;		/* within a line of COPY data */
	const char *prefix;			/* schema of the tables: psql's variable, or
								 * nothing */
	CvBuf		check;			/* the block that checks before each write */
	CvBuf		text;			/* text not yet written */
} Script;

#define WRITE_BYTES ((size_t) 128 << 10)

static bool
write_all(Script *script, const char *data, size_t len)
{
	while (len > 0 && !script->failed)
	{
		ssize_t		done = write(STDOUT_FILENO, data, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
		{
			script->failed = true;
			cv_error("could not write to standard output: %s",
					 strerror(errno));
			if (errno == ENOSPC)
				cv_hint("Free some space, or pipe into psql instead of a "
						"file.");
			else if (errno == EPIPE)
				cv_hint("The program that reads the output ended: see its "
						"own message.");
			return false;
		}
		data += done;
		len -= (size_t) done;
	}
	return !script->failed;
}

static bool
flush(Script *script)
{
	bool		ok = write_all(script, script->text.data, script->text.len);

	script->text.len = 0;
	return ok;
}

static bool
put(Script *script, const char *data, size_t len)
{
	if (script->text.len + len > WRITE_BYTES && !flush(script))
		return false;
	if (len >= WRITE_BYTES)
		return write_all(script, data, len);
	cv_buf_add(&script->text, data, len);
	return !script->failed;
}

static bool
put_str(Script *script, const char *text)
{
	return put(script, text, strlen(text));
}

/* The script's beginning stores the schema's name in a psql variable. */
static bool
put_sql(Script *script, const char *sql, const char *end)
{
	CvBuf		text = {0};
	bool		ok;

	cv_sql_expand(&text, sql, script->prefix, ":'lbrec_schema'");
	ok = put(script, text.data, text.len) && put_str(script, end);
	cv_buf_free(&text);
	return ok;
}

static bool
script_exec(CvTarget *target, const char *sql, int64_t *rows)
{
	(void) rows;				/* only psql will know */
	return put_sql((Script *) target, sql, ";\n");
}

/*
 * psql expands no variables inside a DO statement's quotes, so the server
 * builds the statement, with cv_sql_expand() written in SQL.  The script's
 * beginning refuses a schema with "@" in its name, so nothing is expanded
 * twice.
 */
static bool
script_block(CvTarget *target, const char *sql)
{
	Script	   *script = (Script *) target;

	return put_str(script, "SELECT pg_catalog.replace(pg_catalog.replace(\n"
				   "$script$") && put_str(script, sql) &&
		put_str(script, "$script$,\n"
				"\t'@.', pg_catalog.format('%I.', :'lbrec_schema')),\n"
				"\t'@n', pg_catalog.quote_literal(:'lbrec_schema')) \\gexec\n");
}

static bool
script_check(CvTarget *target)
{
	return script_block(target, ((Script *) target)->check.data);
}

static bool
script_copy_begin(CvTarget *target, const char *sql)
{
	Script	   *script = (Script *) target;

	script->copying = true;
	script->in_line = false;
	return put_sql(script, sql, ";\n");
}

static bool
script_copy_data(CvTarget *target, const char *data, size_t len)
{
	Script	   *script = (Script *) target;

	if (len > 0)
		script->in_line = data[len - 1] != '\n';
	return put(script, data, len);
}

static bool
script_copy_end(CvTarget *target)
{
	Script	   *script = (Script *) target;

	script->copying = false;
	return put_str(script, "\\.\n");
}

static bool
script_bulk_begin(CvTarget *target)
{
	return script_block(target, cv_sql_bulk_begin) &&
		put_sql((Script *) target, cv_sql_is_bulk, " \\gset\n");
}

/* The script lets psql decide: the converter cannot see the tables. */
static bool
script_exec_either(CvTarget *target, CvBulk bulk, const char *first,
				   const char *later, int64_t *rows)
{
	Script	   *script = (Script *) target;

	return put_str(script, bulk == CV_BULK_KEYLESS ? "\\if :lbrec_keyless\n"
				   : "\\if :lbrec_first\n") &&
		(first == NULL || script_exec(target, first, rows)) &&
		put_str(script, "\\else\n") &&
		(later == NULL || script_exec(target, later, rows)) &&
		put_str(script, "\\endif\n");
}

static bool
script_bulk_end(CvTarget *target, int64_t *rows)
{
	Script	   *script = (Script *) target;
	CvBuf		key = {0};
	bool		ok;

	(void) rows;
	cv_buf_printf(&key, "DO $lbrec$ BEGIN\n%s;\n"
				  "EXCEPTION WHEN unique_violation THEN\n%s;\n%s;\n"
				  "END $lbrec$",
				  cv_sql_add_key, cv_sql_delete_duplicates, cv_sql_add_key);
	ok = put_str(script, "\\if :lbrec_keyless\n") &&
		script_block(target, key.data) &&
		put_str(script, "\\endif\n\\if :lbrec_first\n") &&
		script_block(target, cv_sql_first_end) &&
		put_str(script, "\\endif\n");
	cv_buf_free(&key);
	return ok;
}

CvTarget *
cv_script_create(void)
{
	Script	   *script = cv_alloc(sizeof(*script));

	memset(script, 0, sizeof(*script));
	script->prefix = "";
	script->target.exec = script_exec;
	script->target.block = script_block;
	script->target.check = script_check;
	script->target.bulk_begin = script_bulk_begin;
	script->target.exec_either = script_exec_either;
	script->target.bulk_end = script_bulk_end;
	script->target.copy_begin = script_copy_begin;
	script->target.copy_data = script_copy_data;
	script->target.copy_end = script_copy_end;
	return &script->target;
}

bool
cv_script_begin(CvTarget *target, const char *const *trusted, int n)
{
	Script	   *script = (Script *) target;
	bool		ok;

	script->prefix = ":\"lbrec_schema\".";
	cv_check_sql(&script->check, trusted, n);
	ok = put_str(script,
				 "-- lbrec-convert " LBREC_VERSION "\n"
				 "\\set ON_ERROR_STOP on\n"
				 "\\set QUIET on\n"
				 "SET client_encoding = 'UTF8';\n"
				 "SET client_min_messages = warning;\n"
				 "SELECT pg_catalog.current_schema() AS lbrec_schema,\n"
				 "\tpg_catalog.current_setting('search_path') AS lbrec_path,\n"
				 "\tpg_catalog.current_setting('TimeZone') AS lbrec_zone,\n"
				 "\tcoalesce(pg_catalog.strpos(pg_catalog.current_schema(), "
				 "'@'), 1)\n"
				 "\t\tOPERATOR(pg_catalog.>) 0 AS lbrec_no_schema \\gset\n"
				 "\\if :lbrec_no_schema\n"
				 "DO $$ BEGIN RAISE EXCEPTION\n"
				 "\t'no schema to load into'\n"
				 "\tUSING HINT = 'Set search_path to a schema that is there, "
				 "and has no \"@\" in its name.';\nEND $$;\n"
				 "\\endif\n");
	for (int i = 0; cv_sql_session[i] != NULL; i++)
		ok = ok && script_exec(target, cv_sql_session[i], NULL);
	return ok;
}

bool
cv_script_end(CvTarget *target)
{
	return put_str((Script *) target,
				   "SELECT pg_catalog.set_config('search_path', :'lbrec_path', "
				   "false) AS lbrec_path,\n"
				   "\tpg_catalog.set_config('TimeZone', :'lbrec_zone', false) "
				   "AS lbrec_zone \\gset\n");
}

void
cv_script_abandon(CvTarget *target)
{
	Script	   *script = (Script *) target;

	/* Inside a line, the end mark and everything after it would be data. */
	if (script->copying && script->in_line)
		put_str(script, "\n");
	if (script->copying)
		script_copy_end(target);
	put_str(script, "DO $$ BEGIN RAISE EXCEPTION\n"
			"\t'lbrec-convert could not finish; its own message says why'\n"
			"\tUSING HINT = 'Load again when that is put right: what is there "
			"already stays as it is.';\nEND $$;\n");
}

bool
cv_script_close(CvTarget *target)
{
	Script	   *script = (Script *) target;
	bool		ok = flush(script);

	/* Some file systems report a full disk only at close(). */
	if (close(STDOUT_FILENO) != 0 && ok)
	{
		cv_error("could not write to standard output: %s", strerror(errno));
		ok = false;
	}
	cv_buf_free(&script->check);
	cv_buf_free(&script->text);
	free(script);
	return ok;
}
