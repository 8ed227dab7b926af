/*
 * cv_csv.c
 *		Listens as a text table: exports of Libre.fm and Last.fm.
 *
 * Last.fm has no export of its own; three programs make one through its API.
 * Columns are found by their names:
 *
 *	Libre.fm             Time,Artist,Track,Album,...        behind comments
 *	ghan's exporter      uts,utc_time,artist,artist_mbid,album,album_mbid,
 *	                     track,track_mbid
 *	dbeley's             Title Artist Album Date Timestamp  with tabs
 *	benjaminbenben's     artist, album, track, time; no names of columns
 *
 * Times are seconds since 1970 or UTC in words, "05 Apr 2010 11:59".
 */
#include "cv_member.h"

#include <string.h>
#include <strings.h>

#define MAX_COLUMNS 32

/* Maximum number of comment lines before the header line. */
#define MAX_COMMENTS 20

static const struct
{
	const char *name;
	CvColumn	column;
}			columns_by_name[] = {
	{"uts", CV_COLUMN_TIME}, {"timestamp", CV_COLUMN_TIME},
	{"time", CV_COLUMN_TIME}, {"artist", CV_COLUMN_ARTIST},
	{"track", CV_COLUMN_TRACK}, {"title", CV_COLUMN_TRACK},
	{"album", CV_COLUMN_ALBUM}, {"track_mbid", CV_COLUMN_MBID}
};

/*
 * The fields of a record; a quoted one is copied to scratch without its
 * quotes.  Returns their number, or 0 if a quote is not closed.
 */
static int
split_fields(const char *record, size_t len, char delimiter, CvBuf *scratch,
			 CvText field[MAX_COLUMNS])
{
	const char *p = record;
	const char *end = record + len;
	int			n = 0;

	scratch->len = 0;
	cv_buf_reserve(scratch, len + 1);
	for (;;)
	{
		CvText		text = {p, 0};

		if (p < end && *p == '"')
		{
			text.data = scratch->data + scratch->len;
			for (p++;; p++)
			{
				if (p == end)
					return 0;
				if (*p == '"' && (p + 1 == end || p[1] != '"'))
					break;
				p += *p == '"';
				scratch->data[scratch->len++] = *p;
				text.len++;
			}
			p++;
			if (p < end && *p != delimiter)
				return 0;
		}
		else
		{
			p = memchr(p, delimiter, (size_t) (end - p));
			if (p == NULL)
				p = end;
			text.len = (size_t) (p - text.data);
		}
		if (n < MAX_COLUMNS)
			field[n++] = text;
		if (p == end)
			return n;
		p++;
	}
}

static bool
is_name(CvText field, const char *name)
{
	if (field.len >= 3 && memcmp(field.data, "\xef\xbb\xbf", 3) == 0)
	{
		field.data += 3;
		field.len -= 3;
	}
	field = cv_import_trim(field);
	while (field.len > 1 && field.data[0] == '"' &&
		   field.data[field.len - 1] == '"')
	{
		field.data++;
		field.len -= 2;
	}
	return field.len == strlen(name) &&
		strncasecmp(field.data, name, field.len) == 0;
}

static bool
read_time(CvText text, int64_t *micros)
{
	text = cv_import_trim(text);
	return text.len > 0 &&
		(cv_time_from_text(text.data, text.len, micros) ||
		 cv_time_from_words(text.data, text.len, micros) ||
		 cv_time_from_iso(text.data, text.len, micros));
}

/* True if this line names the columns; their positions go to *columns. */
static bool
read_names(const char *line, size_t len, CvBuf *scratch, CvColumns *columns)
{
	CvText		field[MAX_COLUMNS];
	int			n;

	memset(columns, 0, sizeof(*columns));
	columns->delimiter = memchr(line, '\t', len) != NULL ? '\t' : ',';
	for (int i = 0; i < CV_COLUMNS; i++)
		columns->at[i] = -1;
	n = split_fields(line, len, columns->delimiter, scratch, field);
	for (int i = 0; i < n; i++)
		for (size_t j = 0; j < sizeof(columns_by_name) / sizeof(columns_by_name[0]); j++)
		{
			int		   *at = &columns->at[columns_by_name[j].column];

			if (*at < 0 && is_name(field[i], columns_by_name[j].name))
				*at = i;
		}
	return columns->at[CV_COLUMN_TIME] >= 0 &&
		columns->at[CV_COLUMN_ARTIST] >= 0 &&
		columns->at[CV_COLUMN_TRACK] >= 0;
}

/* True for four fields of which the last is a time in words. */
static bool
is_nameless(const char *line, size_t len, CvBuf *scratch)
{
	CvText		field[MAX_COLUMNS];
	int64_t		micros;

	return split_fields(line, len, ',', scratch, field) == 4 &&
		(field[3] = cv_import_trim(field[3])).len > 0 &&
		cv_time_from_words(field[3].data, field[3].len, &micros);
}

static size_t
without_cr(const char *line, size_t len)
{
	while (len > 0 && line[len - 1] == '\r')
		len--;
	return len;
}

/* Finds the columns in the first lines. */
static bool
find_columns(const char *text, size_t text_len, CvBuf *scratch,
			 CvColumns *columns)
{
	const char *p = text;
	const char *end = text + text_len;

	for (int i = 0; i < MAX_COMMENTS && p < end; i++)
	{
		const char *newline = memchr(p, '\n', (size_t) (end - p));
		const char *line_end = newline != NULL ? newline : end;
		size_t		len = without_cr(p, (size_t) (line_end - p));

		if (len < 1000 && read_names(p, len, scratch, columns))
		{
			columns->names_line = i;
			return true;
		}
		if (i == 0 && len < 10000 && is_nameless(p, len, scratch))
		{
			columns->delimiter = ',';
			columns->names_line = -1;
			columns->at[CV_COLUMN_ARTIST] = 0;
			columns->at[CV_COLUMN_ALBUM] = 1;
			columns->at[CV_COLUMN_TRACK] = 2;
			columns->at[CV_COLUMN_TIME] = 3;
			columns->at[CV_COLUMN_MBID] = -1;
			return true;
		}
		p = line_end + 1;
	}
	return false;
}

static bool
detect_csv(const CvHead *head)
{
	CvBuf		scratch = {0};
	CvColumns	columns;
	bool		found = !cv_head_begins(head, "{") &&
		!cv_head_begins(head, "[") &&
		find_columns(head->text, head->text_len, &scratch, &columns);

	cv_buf_free(&scratch);
	return found;
}

static bool
begin_csv(Run *run, const CvHead *head)
{
	run->names_seen = false;
	return find_columns(head->text, head->text_len, &run->scratch,
						&run->columns);
}

static CvReason
read_record(Run *run, const char *record, size_t len, CvListen *listen)
{
	const CvColumns *columns = &run->columns;
	CvText		field[MAX_COLUMNS];
	CvText		given[CV_COLUMNS] = {{0}};
	int			n;

	if (!cv_json_is_utf8(record, len) || memchr(record, '\0', len) != NULL)
		return cv_import_reject(listen, CV_BAD_ENCODING,
								"not UTF-8, or with a NUL");
	n = split_fields(record, len, columns->delimiter, &run->scratch, field);
	if (n == 0)
		return cv_import_reject(listen, CV_BAD_JSON, "a quote is not closed");
	for (int i = 0; i < CV_COLUMNS; i++)
		if (columns->at[i] >= 0 && columns->at[i] < n)
			given[i] = field[columns->at[i]];
	listen->artist_name = given[CV_COLUMN_ARTIST];
	listen->track_name = given[CV_COLUMN_TRACK];
	listen->release_name = given[CV_COLUMN_ALBUM];
	listen->has_recording_mbid =
		cv_uuid_parse(given[CV_COLUMN_MBID].data, given[CV_COLUMN_MBID].len,
					  &listen->recording_mbid);
	if (!read_time(given[CV_COLUMN_TIME], &listen->listened_at))
		return cv_import_reject(listen, CV_BAD_TIME,
								"the time is neither seconds nor UTC");
	return cv_import_names(&run->names, listen);
}

static bool
take_one(Run *run, const char *record, size_t len)
{
	CvListen	listen = {.user_id = run->defaults.user_id};
	CvReason	reason;
	CvColumns	ignored;

	len = without_cr(record, len);
	if (!run->names_seen && run->columns.names_line >= 0)
	{
		/* The header line may follow comment lines. */
		run->names_seen = read_names(record, len, &run->scratch, &ignored);
		reason = CV_COMMENT;
	}
	else if (len == 0)
		reason = CV_COMMENT;
	else
		reason = read_record(run, record, len, &listen);
	return cv_take_listen(run, reason, &listen, record, len);
}

/*
 * In a record with an unclosed quote, reads the lines one by one, so that only
 * the first one is lost.
 */
static bool
take_record(Run *run, const char *record, size_t len)
{
	const char *end = record + len;
	const char *newline = memchr(record, '\n', len);
	CvText		field[MAX_COLUMNS];

	if (newline == NULL ||
		split_fields(record, without_cr(record, len), run->columns.delimiter,
					 &run->scratch, field) > 0)
		return take_one(run, record, len);
	for (;;)
	{
		if (!take_one(run, record, (size_t) ((newline != NULL ? newline : end) -
											 record)))
			return false;
		if (newline == NULL || newline + 1 == end)
			return true;
		run->place.line++;
		run->place.offset += newline + 1 - record;
		run->counts->lines++;
		record = newline + 1;
		newline = memchr(record, '\n', (size_t) (end - record));
	}
}

const CvFormat cv_format_csv = {
	.name = "a table of listens", .cut = CV_CUT_RECORDS, .needs_user = true,
	.detect = detect_csv, .begin = begin_csv, .piece = take_record
};
