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

const char *const cv_sql_tables[] = {
	"CREATE TABLE IF NOT EXISTS recording (\n"
	"\trecording_msid uuid PRIMARY KEY,\n"
	"\tartist_name text NOT NULL,\n"
	"\ttrack_name text NOT NULL,\n"
	"\trelease_name text,\n"
	"\trecording_mbid uuid,\n"
	"\trelease_mbid uuid,\n"
	"\tartist_mbids uuid[]\n"
	")",
	"CREATE TABLE IF NOT EXISTS listen (\n"
	"\tuser_id bigint NOT NULL,\n"
	"\tlistened_at timestamp with time zone NOT NULL,\n"
	"\trecording_msid uuid NOT NULL,\n"
	"\tPRIMARY KEY (user_id, recording_msid, listened_at)\n"
	")",
	"CREATE INDEX IF NOT EXISTS listen_listened_at_idx\n"
	"\tON listen USING brin (listened_at)",
	NULL
};

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
 * Of a recording's rows the first gives the names; the first with a MusicBrainz
 * identifier gives the identifiers, all of them, and what the table has
 * already stays.  The second statement looks at few rows: one listen in
 * twenty has an identifier.
 */
const char *const cv_sql_merge[] = {
	"INSERT INTO recording (recording_msid, artist_name, track_name,\n"
	"\t\trelease_name, recording_mbid, release_mbid, artist_mbids)\n"
	"SELECT recording_msid, artist_name, track_name,\n"
	"\trelease_name, recording_mbid, release_mbid, artist_mbids\n"
	"FROM lbrec_new_recording\n"
	"ON CONFLICT DO NOTHING",
	"UPDATE recording AS r\n"
	"SET recording_mbid = n.recording_mbid, release_mbid = n.release_mbid,\n"
	"\tartist_mbids = n.artist_mbids\n"
	"FROM (SELECT DISTINCT ON (recording_msid) recording_msid,\n"
	"\t\trecording_mbid, release_mbid, artist_mbids\n"
	"\tFROM lbrec_new_recording WHERE recording_mbid IS NOT NULL\n"
	"\tORDER BY recording_msid, recording_mbid) AS n\n"
	"WHERE r.recording_msid = n.recording_msid AND r.recording_mbid IS NULL",
	"INSERT INTO listen (user_id, listened_at, recording_msid)\n"
	"SELECT user_id, listened_at, recording_msid\n"
	"FROM lbrec_new_listen\n"
	"ON CONFLICT DO NOTHING",
	"TRUNCATE lbrec_new_listen, lbrec_new_recording",
	NULL
};
