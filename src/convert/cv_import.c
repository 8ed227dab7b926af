/*
 * cv_import.c
 *		Listens in other services' line formats, as ListenBrainz imports them.
 *
 * Two formats that ListenBrainz's importer (background/listens_importer)
 * takes as files: the Audioscrobbler log of players that scrobble to Last.fm
 * when they are back online, and Libre.fm's export.  Last.fm itself is read
 * by ListenBrainz through its API only.
 *
 * These listens have no MSID yet.  ListenBrainz would get one from
 * MessyBrainz, which invents a random one per set of names.  We derive it: a
 * UUID of version 5 (RFC 4122) of the names in lower case, so that the same
 * names are the same recording in every import and on every machine.
 */
#include "cv_import.h"
#include "cv_text.h"

#include <string.h>
#include <strings.h>
#include <uuid/uuid.h>

/* Drawn once at random: the name space of the converter's own MSIDs. */
static const unsigned char name_space[16] = {
	0x5e, 0x0c, 0x3b, 0x8a, 0x41, 0x97, 0x4d, 0x0f,
0x9b, 0x62, 0x1d, 0x7a, 0xc4, 0x35, 0xe8, 0x21};

/*
 * Lower case of ASCII only: what a locale or a Unicode version makes of the
 * rest must not decide which recording it is.
 */
static void
add_name(CvBuf *names, const CvText *text)
{
	for (size_t i = 0; i < text->len; i++)
	{
		char		c = text->data[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		cv_buf_add(names, &c, 1);
	}
	cv_buf_add(names, "\n", 1);
}

void
cv_import_msid(CvListen *listen)
{
	CvBuf		names = {0};

	add_name(&names, &listen->artist_name);
	add_name(&names, &listen->track_name);
	add_name(&names, &listen->release_name);
	uuid_generate_sha1(listen->recording_msid.byte, name_space, names.data,
					   names.len);
	cv_buf_free(&names);
}

static CvReason
reject(CvListen *listen, CvReason reason, const char *detail)
{
	listen->detail = detail;
	return reason;
}

/* Whole seconds, as ListenBrainz's int() takes them. */
static bool
read_seconds(const CvText *text, int64_t *micros)
{
	if (text->len == 0 || memchr(text->data, '.', text->len) != NULL)
		return false;
	return cv_time_from_text(text->data, text->len, micros);
}

static CvReason
finish(CvListen *listen, const CvText *time)
{
	if (!read_seconds(time, &listen->listened_at))
		return reject(listen, CV_BAD_TIME, "the time is no number of seconds");
	if (listen->artist_name.len == 0)
		return reject(listen, CV_BAD_ARTIST, "the artist is missing");
	if (listen->track_name.len == 0)
		return reject(listen, CV_BAD_TRACK, "the track is missing");
	if (listen->release_name.len == 0)
		listen->release_name.data = NULL;
	cv_import_msid(listen);
	return CV_LISTEN;
}

static void
trim_line(const char *line, size_t *len)
{
	while (*len > 0 && line[*len - 1] == '\r')
		(*len)--;
}

/*
 * artist, album, track, number, duration, rating, time, MBID; tabs between.
 * Rating L: listened; S: skipped.  The last column may be missing.
 */
CvImported
cv_import_scrobbler(const char *line, size_t len, int64_t user_id,
					CvReason *reason, CvListen *listen)
{
	CvText		column[8] = {{0}};
	int			n = 0;
	const char *p = line;
	const char *end;

	trim_line(line, &len);
	end = line + len;
	memset(listen, 0, sizeof(*listen));
	if (len == 0 || line[0] == '#')
		return CV_IMPORT_COMMENT;
	for (;;)
	{
		const char *tab = memchr(p, '\t', (size_t) (end - p));

		if (n == 8)
		{
			*reason = reject(listen, CV_BAD_JSON, "more than 8 columns");
			return CV_IMPORTED;
		}
		column[n].data = p;
		column[n].len = (size_t) ((tab != NULL ? tab : end) - p);
		n++;
		if (tab == NULL)
			break;
		p = tab + 1;
	}
	if (n < 7)
	{
		*reason = reject(listen, CV_BAD_JSON, "fewer than 7 columns");
		return CV_IMPORTED;
	}
	if (column[5].len != 1 || column[5].data[0] != 'L')
		return CV_IMPORT_LEFT_OUT;
	listen->user_id = user_id;
	listen->artist_name = column[0];
	listen->release_name = column[1];
	listen->track_name = column[2];
	if (listen->artist_name.len == 10 &&
		memcmp(listen->artist_name.data, "<Untagged>", 10) == 0)
		listen->artist_name.len = 0;
	if (n == 8 && cv_uuid_parse(column[7].data, column[7].len,
								&listen->recording_mbid))
		listen->has_recording_mbid = true;
	*reason = finish(listen, &column[6]);
	return CV_IMPORTED;
}

/*
 * The next column of a CSV line: *p moves behind its comma, or to NULL at the
 * end.  A quoted one is copied to scratch without its quotes.  False: a quote
 * is not closed.
 */
static bool
next_column(const char **p, const char *end, CvBuf *scratch, CvText *column)
{
	const char *at = *p;
	const char *comma;

	if (at < end && *at == '"')
	{
		size_t		start = scratch->len;

		for (at++;; at++)
		{
			if (at >= end)
				return false;
			if (*at == '"' && (at + 1 == end || at[1] != '"'))
				break;
			at += *at == '"';
			scratch->data[scratch->len++] = *at;
		}
		column->data = scratch->data + start;
		column->len = scratch->len - start;
		at++;
		if (at < end && *at != ',')
			return false;
		*p = at < end ? at + 1 : NULL;
		return true;
	}
	comma = memchr(at, ',', (size_t) (end - at));
	column->data = at;
	column->len = (size_t) ((comma != NULL ? comma : end) - at);
	*p = comma != NULL ? comma + 1 : NULL;
	return true;
}

static bool
is_name(const CvText *column, const char *name)
{
	CvText		c = *column;

	while (c.len > 0 && (*c.data == ' ' || *c.data == '"'))
	{
		c.data++;
		c.len--;
	}
	while (c.len > 0 && (c.data[c.len - 1] == ' ' || c.data[c.len - 1] == '"'))
		c.len--;
	return c.len == strlen(name) && strncasecmp(c.data, name, c.len) == 0;
}

static bool
read_header(const char *line, size_t len, CvColumns *columns)
{
	const char *p = line;
	const char *end = line + len;
	CvBuf		scratch = {0};

	columns->time = columns->artist = columns->track = columns->album = -1;
	cv_buf_reserve(&scratch, len);
	for (int i = 0; p != NULL; i++)
	{
		CvText		column;

		if (!next_column(&p, end, &scratch, &column))
			break;
		if (is_name(&column, "time"))
			columns->time = i;
		else if (is_name(&column, "artist"))
			columns->artist = i;
		else if (is_name(&column, "track"))
			columns->track = i;
		else if (is_name(&column, "album"))
			columns->album = i;
	}
	cv_buf_free(&scratch);
	return columns->time >= 0 && columns->artist >= 0 && columns->track >= 0;
}

bool
cv_import_is_librefm_header(const char *line, size_t len)
{
	CvColumns	columns;

	trim_line(line, &len);
	return read_header(line, len, &columns);
}

CvImported
cv_import_librefm(const char *line, size_t len, int64_t user_id,
				  CvColumns *columns, CvBuf *scratch, CvReason *reason,
				  CvListen *listen)
{
	const char *p = line;
	CvText		time = {0};

	trim_line(line, &len);
	memset(listen, 0, sizeof(*listen));
	/* Comments may come before the line that names the columns. */
	if (columns->time < 0)
	{
		read_header(line, len, columns);
		return CV_IMPORT_COMMENT;
	}
	if (len == 0)
		return CV_IMPORT_COMMENT;
	scratch->len = 0;
	cv_buf_reserve(scratch, len);
	for (int i = 0; p != NULL; i++)
	{
		CvText		column;

		if (!next_column(&p, line + len, scratch, &column))
		{
			*reason = reject(listen, CV_BAD_JSON, "a quote is not closed");
			return CV_IMPORTED;
		}
		if (i == columns->time)
			time = column;
		else if (i == columns->artist)
			listen->artist_name = column;
		else if (i == columns->track)
			listen->track_name = column;
		else if (i == columns->album)
			listen->release_name = column;
	}
	listen->user_id = user_id;
	*reason = finish(listen, &time);
	return CV_IMPORTED;
}
