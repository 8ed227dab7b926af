/*
 * cv_kind.c
 *		What a member is, by what is in it.
 *
 * Names help only where the content cannot tell: a dump's TIMESTAMP is any
 * text, and a .listens file whose first line is damaged is one all the same.
 */
#include "cv_kind.h"
#include "cv_import.h"
#include "cv_text.h"

#include <string.h>

static const char *
base_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash != NULL ? slash + 1 : name;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t		len = strlen(text);
	size_t		end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool
holds(const char *text, size_t len, const char *part)
{
	return memmem(text, len, part, strlen(part)) != NULL;
}

bool
cv_kind_is_uuid_named(const char *name)
{
	const char *base = base_name(name);
	size_t		len = strlen(base);
	CvUuid		uuid;

	return len > 8 && ends_with(base, ".listens") &&
		cv_uuid_parse(base, len - 8, &uuid);
}

/* {"payload": ...}, whatever the white space */
static bool
is_payload(const char *p, const char *end)
{
	for (p++; p < end && strchr(" \t\r\n", *p) != NULL && *p != '\0'; p++)
	{
	}
	return end - p > 9 && memcmp(p, "\"payload\"", 9) == 0;
}

static bool
has_line_of_object(const char *p, const char *end)
{
	while (p < end)
	{
		if (*p == '{')
			return true;
		p = memchr(p, '\n', (size_t) (end - p));
		if (p == NULL)
			return false;
		p++;
	}
	return false;
}

/* Comments may come before the line with the columns' names. */
static bool
has_librefm_header(const char *p, const char *end)
{
	for (int i = 0; i < 20 && p < end; i++)
	{
		const char *newline = memchr(p, '\n', (size_t) (end - p));
		const char *line_end = newline != NULL ? newline : end;

		if (line_end - p < 1000 &&
			cv_import_is_librefm_header(p, (size_t) (line_end - p)))
			return true;
		p = line_end + 1;
	}
	return false;
}

/* Files that hold listens, or metadata, but no lines of listens. */
static CvKind
other_format(const char *p, const char *end)
{
	size_t		len = (size_t) (end - p);

	if (*p == '[')
		return holds(p, len, "\"master_metadata_track_name\"") &&
			holds(p, len, "\"ts\"")
			? CV_KIND_SPOTIFY
				: CV_KIND_OTHER;
	if (len > 16 && memcmp(p, "#AUDIOSCROBBLER/", 16) == 0)
		return CV_KIND_SCROBBLER;
	if (len > 40 && memcmp(p, "recording_mbid,canonical_recording_mbid,", 40) == 0)
		return CV_KIND_REDIRECT;
	if (*p != '{')
	{
		const char *newline = memchr(p, '\n', len);
		size_t		line = newline != NULL ? (size_t) (newline - p) : len;

		if (holds(p, line, "artist_credit_id") &&
			holds(p, line, "recording_mbid") &&
			holds(p, line, "recording_name"))
			return CV_KIND_CANONICAL;
		if (has_librefm_header(p, end))
			return CV_KIND_LIBREFM;
	}
	return CV_KIND_OTHER;
}

CvKind
cv_kind(const char *name, bool archive, const char *head, size_t len)
{
	const char *base = base_name(name);
	const char *p = head;
	const char *end = head + len;
	const char *line_end;
	size_t		line_len;
	CvKind		format;
	bool		listens_name = ends_with(base, ".listens");

	if (len >= 4 && memcmp(head, "PAR1", 4) == 0)
		return CV_KIND_PARQUET;
	if (archive)
	{
		if (strcmp(base, "SCHEMA_SEQUENCE") == 0)
			return CV_KIND_SCHEMA;
		if (strcmp(base, "TIMESTAMP") == 0)
			return CV_KIND_TIMESTAMP;
		if (strcmp(base, "START_TIMESTAMP") == 0)
			return CV_KIND_START;
		if (strcmp(base, "END_TIMESTAMP") == 0)
			return CV_KIND_END;
	}
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	if (p == end)
		return !archive || listens_name ? CV_KIND_LISTENS : CV_KIND_OTHER;
	if (*p == '{' && is_payload(p, end))
		return CV_KIND_PAYLOAD;
	if (listens_name)
		return CV_KIND_LISTENS;
	format = other_format(p, end);
	if (format != CV_KIND_OTHER)
		return format;

	line_end = memchr(p, '\n', (size_t) (end - p));
	line_len = (size_t) ((line_end != NULL ? line_end : end) - p);
	if (*p == '{' && holds(p, line_len, "\"track_metadata\"") &&
		(holds(p, line_len, "\"listened_at\"") ||
		 holds(p, line_len, "\"timestamp\"") ||
		 holds(p, line_len, "\"ts_since_epoch\"")))
		return CV_KIND_LISTENS;
	if (archive)
		return strcmp(base, "user.json") == 0 && *p == '{' ? CV_KIND_USER
			: CV_KIND_OTHER;
	if (has_line_of_object(p, end))
		return CV_KIND_LISTENS;
	return CV_KIND_UNKNOWN;
}
