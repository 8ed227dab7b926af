/*
 * cv_canonical.c
 *		MusicBrainz metadata for item features: ListenBrainz's canonical dump.
 *
 * canonical_musicbrainz_data.csv says for each recording its artists, release
 * and (in newer dumps) year; canonical_recording_redirect.csv which recording
 * stands for which.  The server reads CSV itself, so the bytes pass through:
 * the columns' names are taken from the header line, the rows arrive as text
 * in a temporary table and are cast from there.
 *
 * The bytes are searched for one thing: a line of backslash and dot.  It ends
 * a COPY, for psql even between quotes, and psql would run the lines after it
 * as commands.  No row of these files begins so; a file with such a line is
 * refused.
 *
 * There are no tags in ListenBrainz's published files.
 */
#include "cv_canonical.h"
#include "cv_member.h"

#include <string.h>

#define MAX_COLUMNS 64

typedef struct Header
{
	int			n;
	char		name[MAX_COLUMNS][64];
} Header;

static bool
read_header(Header *header, const char *head, size_t len)
{
	const char *p = head;
	const char *end = memchr(head, '\n', len);

	header->n = 0;
	if (end == NULL)
		return false;
	if (end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	while (p < end && header->n < MAX_COLUMNS)
	{
		char	   *name = header->name[header->n];
		size_t		n = 0;

		for (; p < end && *p != ',' && *p != '\r'; p++)
		{
			/*
			 * The name becomes an identifier in SQL, so only these characters
			 * pass.
			 */
			if (!((*p >= 'a' && *p <= 'z') || *p == '_' ||
				  (*p >= '0' && *p <= '9' && n > 0)) ||
				n + 1 >= sizeof(header->name[0]))
				return false;
			name[n++] = *p;
		}
		name[n] = '\0';
		if (n == 0)
			return false;
		header->n++;
		p += *p == '\r' ? 2 : 1;
	}
	return true;
}

static bool
has(const Header *header, const char *name)
{
	for (int i = 0; i < header->n; i++)
		if (strcmp(header->name[i], name) == 0)
			return true;
	return false;
}

static bool
exec_buf(CvTarget *target, CvBuf *sql)
{
	bool		ok = target->exec(target, sql->data, NULL);

	cv_buf_free(sql);
	return ok;
}

bool
cv_canonical_begin(CvTarget *target, bool redirect, const char *member,
				   const char *head, size_t len, CvCsvPlace *place)
{
	static const char *const needed[] = {"artist_mbids", "artist_credit_name",
		"release_mbid", "release_name",
	"recording_mbid", "recording_name"};
	Header		header;
	CvBuf		sql = {0};
	bool		ok = read_header(&header, head, len);

	*place = CV_CSV_BEGIN;
	for (size_t i = 0; !redirect && i < 6; i++)
		ok = ok && has(&header, needed[i]);
	if (!ok)
	{
		cv_error("cannot read \"%s\": its first line is not the columns' "
				 "names of a canonical dump",
				 member);
		return false;
	}
	ok = target->exec(target,
					  redirect
					  ? "CREATE TABLE IF NOT EXISTS "
					  "@.canonical_recording_redirect (\n"
					  "\trecording_mbid uuid PRIMARY KEY,\n"
					  "\tcanonical_recording_mbid uuid NOT NULL\n)"
					  : "CREATE TABLE IF NOT EXISTS @.canonical_recording "
					  "(\n"
					  "\trecording_mbid uuid PRIMARY KEY,\n"
					  "\trecording_name text NOT NULL,\n"
					  "\tartist_mbids uuid[] NOT NULL,\n"
					  "\tartist_credit_name text NOT NULL,\n"
					  "\trelease_mbid uuid,\n"
					  "\trelease_name text,\n"
					  "\tyear integer\n)",
					  NULL);
	cv_buf_printf(&sql, "CREATE TEMPORARY TABLE lbrec_new_canonical (");
	for (int i = 0; i < header.n; i++)
		cv_buf_printf(&sql, "%s%s text", i > 0 ? ", " : "", header.name[i]);
	if (!redirect && !has(&header, "year"))
		cv_buf_printf(&sql, ", year text");
	cv_buf_printf(&sql, ")");
	ok = exec_buf(target, &sql) && ok;
	cv_buf_printf(&sql, "COPY pg_temp.lbrec_new_canonical (");
	for (int i = 0; i < header.n; i++)
		cv_buf_printf(&sql, "%s%s", i > 0 ? ", " : "", header.name[i]);
	cv_buf_printf(&sql, ") FROM STDIN (FORMAT csv, HEADER)");
	ok = ok && target->copy_begin(target, sql.data);
	cv_buf_free(&sql);
	return ok;
}

static bool
refuse(const char *member, const char *what)
{
	cv_error("cannot load \"%s\": it holds %s", member, what);
	cv_hint("No canonical dump of MusicBrainz does: download it again and "
			"compare its checksum.");
	return false;
}

bool
cv_canonical_data(CvTarget *target, const char *member, const char *data,
				  size_t len, CvCsvPlace *place)
{
	const char *end = data + len;
	const char *p = data;

	/* psql reads C strings: it would see no line end behind a NUL. */
	if (memchr(data, '\0', len) != NULL)
		return refuse(member, "a NUL byte");
	while (p < end)
	{
		/* Only the beginning of a line matters. */
		if (*place == CV_CSV_WITHIN &&
			(p = memchr(p, '\n', (size_t) (end - p))) == NULL)
			break;
		if (*place == CV_CSV_BACKSLASH && *p == '.')
			return refuse(member, "a line that begins with \"\\.\"");
		if (*p == '\n')
			*place = CV_CSV_BEGIN;
		else if (*place == CV_CSV_BEGIN && *p == '\\')
			*place = CV_CSV_BACKSLASH;
		else
			*place = CV_CSV_WITHIN;
		p++;
	}
	return target->copy_data(target, data, len);
}

bool
cv_canonical_end(CvTarget *target, bool redirect, CvCsvPlace place,
				 int64_t *rows)
{
	return (place == CV_CSV_BEGIN || target->copy_data(target, "\n", 1)) &&
		target->copy_end(target) &&
		target->exec(
					 target,
					 redirect
					 ? "INSERT INTO @.canonical_recording_redirect AS c "
					 "(recording_mbid,\n\t\tcanonical_recording_mbid)\n"
					 "SELECT DISTINCT ON (1) recording_mbid::uuid, "
					 "canonical_recording_mbid::uuid\n"
					 "FROM pg_temp.lbrec_new_canonical\n"
					 "ON CONFLICT (recording_mbid) DO UPDATE\n"
					 "SET canonical_recording_mbid = "
					 "EXCLUDED.canonical_recording_mbid\n"
					 "WHERE c.canonical_recording_mbid OPERATOR(pg_catalog.<>) "
					 "EXCLUDED.canonical_recording_mbid"
					 : "INSERT INTO @.canonical_recording AS c (recording_mbid, "
					 "recording_name,\n\t\tartist_mbids, artist_credit_name, "
					 "release_mbid, release_name, year)\n"
					 "SELECT DISTINCT ON (1) recording_mbid::uuid, "
					 "recording_name,\n"
					 "\tpg_catalog.string_to_array(pg_catalog.btrim(artist_mbids, '{}'), ',')::uuid[]"
					 ", artist_credit_name,\n"
					 "\tnullif(release_mbid, '')::uuid, "
					 "nullif(release_name, ''), nullif(year, '')::integer\n"
					 "FROM pg_temp.lbrec_new_canonical\n"
					 "ON CONFLICT (recording_mbid) DO UPDATE\n"
					 "SET (recording_name, artist_mbids, artist_credit_name, "
					 "release_mbid,\n\t\trelease_name, year) =\n"
					 "\t(EXCLUDED.recording_name, EXCLUDED.artist_mbids,\n"
					 "\tEXCLUDED.artist_credit_name, EXCLUDED.release_mbid,\n"
					 "\tEXCLUDED.release_name, EXCLUDED.year)\n"
					 "WHERE c IS DISTINCT FROM EXCLUDED",
					 rows) &&
		target->exec(target, "DROP TABLE pg_temp.lbrec_new_canonical", NULL);
}

/* --- the formats -------------------------------------------------------- */

static bool
detect_redirect(const CvHead *head)
{
	return cv_head_begins(head, "recording_mbid,canonical_recording_mbid,");
}

static bool
detect_canonical(const CvHead *head)
{
	return cv_head_line_holds(head, "artist_credit_id") &&
		cv_head_line_holds(head, "recording_mbid") &&
		cv_head_line_holds(head, "recording_name");
}

static bool
begin(Run *run, const CvHead *head, bool redirect)
{
	if (run->options->table != CV_TABLE_BOTH)
	{
		cv_error("cannot write \"%s\" as rows of listen or recording",
				 run->place.member);
		cv_hint("Leave --table out: it becomes a table of its own.");
		return false;
	}
	/* Only one COPY can be open at a time. */
	return cv_load_flush(run->load) &&
		cv_canonical_begin(run->target, redirect, run->place.member,
						   head->data, head->len, &run->csv);
}

static bool
begin_canonical(Run *run, const CvHead *head)
{
	return begin(run, head, false);
}

static bool
begin_redirect(Run *run, const CvHead *head)
{
	return begin(run, head, true);
}

static bool
take_bytes(Run *run, const char *data, size_t len)
{
	return cv_canonical_data(run->target, run->place.member, data, len,
							 &run->csv);
}

static bool
end_canonical(Run *run)
{
	int64_t		rows = 0;

	return cv_canonical_end(run->target, false, run->csv, &rows);
}

static bool
end_redirect(Run *run)
{
	int64_t		rows = 0;

	return cv_canonical_end(run->target, true, run->csv, &rows);
}

const CvFormat cv_format_canonical = {
	.name = "canonical MusicBrainz metadata", .role = CV_ROLE_METADATA,
	.cut = CV_CUT_BYTES,
	.detect = detect_canonical, .begin = begin_canonical, .piece = take_bytes,
	.end = end_canonical
};

const CvFormat cv_format_redirect = {
	.name = "canonical MusicBrainz redirects", .role = CV_ROLE_METADATA,
	.cut = CV_CUT_BYTES,
	.detect = detect_redirect, .begin = begin_redirect, .piece = take_bytes,
	.end = end_redirect
};
