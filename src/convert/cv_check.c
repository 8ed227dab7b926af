/*
 * cv_check.c
 *		Checks that existing tables are safe to write to.
 *
 * The loader is often a superuser, and in many databases others may create
 * tables.  Such a table with one of our names could have a trigger, a check or
 * a default, which would run with the loader's rights.  A table of another
 * shape is no danger, but would store each load again, or times in another
 * zone.
 *
 * The block runs before the tables are created, and then in each transaction
 * that writes: behind the lock that keeps triggers from being added, in a
 * server; before each merge, in a script.
 */
#include "cv_check.h"

#include <string.h>

#define EQ "OPERATOR(pg_catalog.=)"
#define NE "OPERATOR(pg_catalog.<>)"
#define RAISE "\t\tRAISE EXCEPTION USING ERRCODE = '" CV_OUR_ERROR "',\n"
#define CLASS(name) "'pg_catalog." name "'::pg_catalog.regclass"

/* All tables that cv_sql.c, cv_canonical.c and cv_feedback.c write to. */
#define OURS \
	"\tours pg_catalog.text[] := '{listen,recording,lbrec_dump,\n" \
	"\t\tlbrec_dump_member,lbrec_next_listen,lbrec_first_recording,\n" \
	"\t\tcanonical_recording,canonical_recording_redirect,feedback,\n" \
	"\t\tlbrec_user}';\n"

const char *const cv_check_lock =
	"DO $lbrec$ DECLARE\n"
	"\ttab pg_catalog.regclass;\n"
	OURS
	"BEGIN\n"
	"\tFOR tab IN SELECT c.oid FROM pg_catalog.pg_class AS c\n"
	"\t\tJOIN pg_catalog.pg_namespace AS s ON s.oid " EQ " c.relnamespace\n"
	"\t\tWHERE s.nspname " EQ " @n AND c.relname " EQ " ANY (ours)\n"
	"\t\t\tAND c.relkind " EQ " ANY ('{r,p}'::pg_catalog.\"char\"[])\n"
	"\t\t\tAND pg_catalog.has_table_privilege(c.oid, 'INSERT')\n"
	"\t\tORDER BY c.oid\n"
	"\tLOOP\n"
	"\t\tEXECUTE pg_catalog.format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', tab);\n"
	"\tEND LOOP;\n"
	"END $lbrec$";

/*
 * rels: our tables, their partitions, and the tables that reference them,
 * because a DELETE may cascade there.
 */
static const char *const declarations =
	"DO $lbrec$ DECLARE\n"
	"\tbad record;\n"
	"\tspace pg_catalog.oid := (SELECT oid FROM pg_catalog.pg_namespace\n"
	"\t\tWHERE nspname " EQ " @n);\n"
	OURS
	"\tcallable pg_catalog.oid[] := ARRAY[" CLASS("pg_proc") ",\n"
	"\t\t" CLASS("pg_operator") ", " CLASS("pg_type") "];\n"
	"\ttrusted pg_catalog.oid[] := ARRAY(\n"
	"\t\tSELECT r.oid FROM pg_catalog.pg_roles AS r\n"
	"\t\tWHERE r.rolsuper OR r.rolname " EQ " CURRENT_USER\n"
	"\t\t\tOR r.rolname " EQ " 'pg_database_owner'\n"
	"\t\tUNION ALL SELECT d.datdba FROM pg_catalog.pg_database AS d\n"
	"\t\tWHERE d.datname " EQ " pg_catalog.current_database()\n"
	"\t\tUNION ALL SELECT s.nspowner FROM pg_catalog.pg_namespace AS s\n"
	"\t\tWHERE s.oid " EQ " space AND s.nspname " EQ " ANY (named)\n"
	"\t\tUNION ALL SELECT c.relowner FROM pg_catalog.pg_class AS c\n"
	"\t\tWHERE c.relnamespace " EQ " space AND c.relname " EQ " ANY (ours)\n"
	"\t\t\tAND c.relname " EQ " ANY (named));\n"
	"\trels pg_catalog.oid[] := ARRAY(\n"
	"\t\tWITH RECURSIVE rel (oid) AS (\n"
	"\t\tSELECT c.oid FROM pg_catalog.pg_class AS c\n"
	"\t\tWHERE c.relnamespace " EQ " space AND c.relname " EQ " ANY (ours)\n"
	"\t\tUNION\n"
	"\t\tSELECT more.oid FROM rel CROSS JOIN LATERAL (\n"
	"\t\t\tSELECT i.inhrelid FROM pg_catalog.pg_inherits AS i\n"
	"\t\t\tWHERE i.inhparent " EQ " rel.oid\n"
	"\t\t\tUNION ALL\n"
	"\t\t\tSELECT f.conrelid FROM pg_catalog.pg_constraint AS f\n"
	"\t\t\tWHERE f.confrelid " EQ " rel.oid) AS more (oid))\n"
	"\t\tSELECT oid FROM rel);\n"
	"BEGIN\n";

static const char *const owners =
	"\tFOR bad IN SELECT c.oid::pg_catalog.regclass AS what,\n"
	"\t\t\tpg_catalog.pg_get_userbyid(c.relowner) AS owner\n"
	"\t\tFROM pg_catalog.pg_class AS c\n"
	"\t\tWHERE c.oid " EQ " ANY (rels) AND NOT c.relowner " EQ " ANY (trusted)\n"
	"\tLOOP\n"
	RAISE
	"\t\t\tMESSAGE = pg_catalog.format(\n"
	"\t\t\t\t'table \"%s\" belongs to role \"%s\"', bad.what, bad.owner),\n"
	"\t\t\tDETAIL = 'The owner of a table decides what runs, with your '\n"
	"\t\t\t\t'rights, when you write to it.',\n"
	"\t\t\tHINT = pg_catalog.format('Drop the table, or make it your own '\n"
	"\t\t\t\t'(ALTER TABLE ... OWNER TO). If you trust \"%s\" with all that '\n"
	"\t\t\t\t'\"%s\" may do, name the table: --trust.',\n"
	"\t\t\t\tbad.owner, CURRENT_USER);\n"
	"\tEND LOOP;\n"
	"\tFOR bad IN SELECT s.nspname AS what,\n"
	"\t\t\tpg_catalog.pg_get_userbyid(s.nspowner) AS owner\n"
	"\t\tFROM pg_catalog.pg_namespace AS s\n"
	"\t\tWHERE s.oid " EQ " space AND NOT s.nspowner " EQ " ANY (trusted)\n"
	"\tLOOP\n"
	RAISE
	"\t\t\tMESSAGE = pg_catalog.format(\n"
	"\t\t\t\t'schema \"%s\" belongs to role \"%s\"', bad.what, bad.owner),\n"
	"\t\t\tDETAIL = 'The owner of a schema can put other tables in the '\n"
	"\t\t\t\t'place of those in it.',\n"
	"\t\t\tHINT = pg_catalog.format('Load into another schema: '\n"
	"\t\t\t\t'PGOPTIONS=\"-c search_path=NAME\". If you trust \"%s\" with all '\n"
	"\t\t\t\t'that \"%s\" may do, name the schema: --trust.',\n"
	"\t\t\t\tbad.owner, CURRENT_USER);\n"
	"\tEND LOOP;\n";

/*
 * Lists the functions that a row would call: in triggers, constraints,
 * defaults, indexes, rules, policies and column types.  The check does not
 * look inside a function: its owner is responsible for its calls.
 */
#define PART(class, oid, catalog, column) \
	"\t\tUNION ALL SELECT " CLASS(class) ", p." oid ", p." column "\n" \
	"\t\tFROM pg_catalog." catalog " AS p\n" \
	"\t\tWHERE p." column " " EQ " ANY (rels)\n"

static const char *const functions =
	"\tFOR bad IN WITH RECURSIVE part (class, obj, rel) AS (\n"
	"\t\tSELECT " CLASS("pg_class") "::pg_catalog.oid, r.oid, r.oid\n"
	"\t\tFROM pg_catalog.unnest(rels) AS r (oid)\n"
	PART("pg_class", "indexrelid", "pg_index", "indrelid")
	PART("pg_constraint", "oid", "pg_constraint", "conrelid")
	PART("pg_attrdef", "oid", "pg_attrdef", "adrelid")
	PART("pg_trigger", "oid", "pg_trigger", "tgrelid")
	PART("pg_rewrite", "oid", "pg_rewrite", "ev_class")
	PART("pg_policy", "oid", "pg_policy", "polrelid")
	"\t),\n"
	"\tneed (class, obj, rel) AS (\n"
	"\t\tSELECT class, obj, rel FROM part\n"
	"\t\tUNION\n"
	"\t\tSELECT more.class, more.obj, need.rel\n"
	"\t\tFROM need CROSS JOIN LATERAL (\n"
	"\t\t\tSELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend AS d\n"
	"\t\t\tWHERE d.classid " EQ " need.class AND d.objid " EQ " need.obj\n"
	"\t\t\t\tAND d.refclassid " EQ " ANY (callable)\n"
	"\t\t\t\tAND need.class " NE " " CLASS("pg_proc") "\n"
	"\t\t\tUNION ALL\n"
	"\t\t\tSELECT " CLASS("pg_constraint") ", k.oid\n"
	"\t\t\tFROM pg_catalog.pg_constraint AS k\n"
	"\t\t\tWHERE need.class " EQ " " CLASS("pg_type") "\n"
	"\t\t\t\tAND k.contypid " EQ " need.obj) AS more (class, obj))\n"
	"\t\tSELECT need.rel::pg_catalog.regclass AS tab,\n"
	"\t\t\tpg_catalog.pg_describe_object(need.class, need.obj, 0) AS what,\n"
	"\t\t\tpg_catalog.pg_get_userbyid(x.owner) AS owner\n"
	"\t\tFROM need\n"
	"\t\tLEFT JOIN pg_catalog.pg_proc AS f ON f.oid " EQ " need.obj\n"
	"\t\t\tAND need.class " EQ " " CLASS("pg_proc") "\n"
	"\t\tLEFT JOIN pg_catalog.pg_operator AS o ON o.oid " EQ " need.obj\n"
	"\t\t\tAND need.class " EQ " " CLASS("pg_operator") "\n"
	"\t\tLEFT JOIN pg_catalog.pg_type AS t ON t.oid " EQ " need.obj\n"
	"\t\t\tAND need.class " EQ " " CLASS("pg_type") "\n"
	"\t\tCROSS JOIN LATERAL (SELECT coalesce(f.proowner, o.oprowner,\n"
	"\t\t\tt.typowner)) AS x (owner)\n"
	"\t\tWHERE NOT x.owner " EQ " ANY (trusted)\n"
	"\tLOOP\n"
	RAISE
	"\t\t\tMESSAGE = pg_catalog.format('a row of table \"%s\" would call %s, '\n"
	"\t\t\t\t'which belongs to role \"%s\"', bad.tab, bad.what, bad.owner),\n"
	"\t\t\tDETAIL = 'It would run with your rights.',\n"
	"\t\t\tHINT = 'Drop the trigger, constraint, default, index or rule that '\n"
	"\t\t\t\t'calls it, or give it to an owner that you trust: yourself, '\n"
	"\t\t\t\t'the owner of the database or a superuser.';\n"
	"\tEND LOOP;\n";

static const char *const columns =
	"\tFOR bad IN SELECT c.oid::pg_catalog.regclass AS tab, w.col, w.types,\n"
	"\t\t\tc.relkind " EQ " ANY ('{r,p}'::pg_catalog.\"char\"[]) AS is_table,\n"
	"\t\t\ta.attname IS NOT NULL AS found,\n"
	"\t\t\ta.attgenerated " NE " '' AS generated,\n"
	"\t\t\tpg_catalog.format_type(a.atttypid, a.atttypmod) AS type\n"
	"\t\tFROM (VALUES\n"
	"\t\t\t('listen', 'user_id', '{bigint,integer}'::pg_catalog.text[]),\n"
	"\t\t\t('listen', 'listened_at', '{timestamp with time zone,\n"
	"\t\t\t\ttimestamp without time zone}'),\n"
	"\t\t\t('listen', 'recording_msid', '{uuid}'),\n"
	"\t\t\t('recording', 'recording_msid', '{uuid}'),\n"
	"\t\t\t('recording', 'artist_name', '{text,character varying}'),\n"
	"\t\t\t('recording', 'track_name', '{text,character varying}'),\n"
	"\t\t\t('recording', 'release_name', '{text,character varying}'),\n"
	"\t\t\t('recording', 'recording_mbid', '{uuid}'),\n"
	"\t\t\t('recording', 'release_mbid', '{uuid}'),\n"
	"\t\t\t('recording', 'artist_mbids', '{uuid[]}')) AS w (tab, col, types)\n"
	"\t\tJOIN pg_catalog.pg_class AS c\n"
	"\t\t\tON c.relnamespace " EQ " space AND c.relname " EQ " w.tab\n"
	"\t\tLEFT JOIN pg_catalog.pg_attribute AS a\n"
	"\t\t\tON a.attrelid " EQ " c.oid AND a.attname " EQ " w.col\n"
	"\t\t\tAND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped\n"
	"\tLOOP\n"
	"\t\tCONTINUE WHEN bad.is_table AND bad.found AND NOT bad.generated\n"
	"\t\t\tAND bad.type " EQ " ANY (bad.types);\n"
	RAISE
	"\t\t\tMESSAGE = CASE WHEN NOT bad.is_table\n"
	"\t\t\t\tTHEN pg_catalog.format('\"%s\" is not a table', bad.tab)\n"
	"\t\t\t\tWHEN NOT bad.found THEN pg_catalog.format(\n"
	"\t\t\t\t\t'table \"%s\" has no column \"%s\"', bad.tab, bad.col)\n"
	"\t\t\t\tWHEN bad.generated THEN pg_catalog.format(\n"
	"\t\t\t\t\t'column \"%s\" of table \"%s\" is generated',\n"
	"\t\t\t\t\tbad.col, bad.tab)\n"
	"\t\t\t\tELSE pg_catalog.format(\n"
	"\t\t\t\t\t'column \"%s\" of table \"%s\" is of type %s',\n"
	"\t\t\t\t\tbad.col, bad.tab, bad.type) END,\n"
	"\t\t\tDETAIL = pg_catalog.format(\n"
	"\t\t\t\t'lbrec-convert writes to a column \"%s\" of type %s.', bad.col,\n"
	"\t\t\t\tpg_catalog.array_to_string(bad.types, ' or ')),\n"
	"\t\t\tHINT = 'Rename what is there, or load into another schema: '\n"
	"\t\t\t\t'PGOPTIONS=\"-c search_path=NAME\".';\n"
	"\tEND LOOP;\n";

/* Without a key each load would store all rows again. */
static const char *const keys =
	"\tFOR bad IN SELECT c.oid::pg_catalog.regclass AS tab,\n"
	"\t\t\tpg_catalog.array_to_string(w.cols, ', ') AS cols\n"
	"\t\tFROM (VALUES ('listen',\n"
	"\t\t\t\t'{user_id,listened_at,recording_msid}'::pg_catalog.name[]),\n"
	"\t\t\t('recording', '{recording_msid}')) AS w (tab, cols)\n"
	"\t\tJOIN pg_catalog.pg_class AS c\n"
	"\t\t\tON c.relnamespace " EQ " space AND c.relname " EQ " w.tab\n"
	"\t\tWHERE NOT EXISTS (\n"
	"\t\t\tSELECT FROM pg_catalog.pg_index AS i\n"
	"\t\t\tWHERE i.indrelid " EQ " c.oid AND i.indisunique AND i.indimmediate\n"
	"\t\t\t\tAND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL\n"
	"\t\t\t\tAND i.indnkeyatts " EQ " pg_catalog.cardinality(w.cols)\n"
	"\t\t\t\tAND NOT EXISTS (\n"
	"\t\t\t\t\tSELECT FROM pg_catalog.pg_attribute AS a\n"
	"\t\t\t\t\tWHERE a.attrelid " EQ " c.oid AND NOT a.attname " EQ "\n"
	"\t\t\t\t\t\t\tANY (w.cols)\n"
	"\t\t\t\t\t\tAND a.attnum " EQ " ANY ((i.indkey::pg_catalog.int2[])\n"
	"\t\t\t\t\t\t\t[0:i.indnkeyatts OPERATOR(pg_catalog.-) 1])))\n"
	"\t\t\tAND NOT (w.tab " EQ " 'listen' AND coalesce(\n"
	"\t\t\t\tpg_catalog.obj_description(c.oid, 'pg_class'), '') " EQ "\n"
	"\t\t\t\t'" CV_NO_KEY "')\n"
	"\tLOOP\n"
	RAISE
	"\t\t\tMESSAGE = pg_catalog.format(\n"
	"\t\t\t\t'table \"%s\" has no unique index on (%s)', bad.tab, bad.cols),\n"
	"\t\t\tDETAIL = 'What is loaded twice would be there twice.',\n"
	"\t\t\tHINT = pg_catalog.format('Delete duplicates, then CREATE UNIQUE '\n"
	"\t\t\t\t'INDEX ON %s (%s); or rename the table, and lbrec-convert '\n"
	"\t\t\t\t'creates its own.', bad.tab, bad.cols);\n"
	"\tEND LOOP;\n"
	"END $lbrec$";

/* An element of an array of names, in double quotes within single ones. */
static void
add_name(CvBuf *sql, const char *name)
{
	cv_buf_str(sql, "\"");
	for (const char *p = name; *p != '\0'; p++)
	{
		if (*p == '\'')
			cv_buf_str(sql, "'");
		else if (*p == '"' || *p == '\\')
			cv_buf_str(sql, "\\");
		cv_buf_add(sql, p, 1);
	}
	cv_buf_str(sql, "\"");
}

void
cv_check_sql(CvBuf *sql, const char *const *trusted, int n)
{
	const char *begin = strchr(declarations, '\n') + 1;

	cv_buf_add(sql, declarations, (size_t) (begin - declarations));
	cv_buf_str(sql, "\tnamed pg_catalog.name[] := '{");
	for (int i = 0; i < n; i++)
	{
		cv_buf_str(sql, i > 0 ? "," : "");
		add_name(sql, trusted[i]);
	}
	cv_buf_str(sql, "}';\n");
	cv_buf_str(sql, begin);
	cv_buf_str(sql, owners);
	cv_buf_str(sql, functions);
	cv_buf_str(sql, columns);
	cv_buf_add(sql, keys, strlen(keys) + 1);
}
