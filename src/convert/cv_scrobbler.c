/*
 * cv_scrobbler.c
 *		The Audioscrobbler log, which players write for Last.fm.
 *
 * A line is artist, album, track, number, duration, rating, time and MBID,
 * with tabs between.  Rating L means listened, S skipped.  The MBID may be
 * missing, and some players append the album's artist.  Lines that begin with
 * "#" and have no tabs are the header; an artist's name may begin with "#",
 * too.  Players that know their time zone write UTC; the others write local
 * time, which is taken for UTC.
 */
#include "cv_member.h"

#include <string.h>

#define MIN_COLUMNS 7
#define MAX_COLUMNS 9

/* Returns the number of columns, at most MAX_COLUMNS + 1. */
static int
split_columns(const char *line, size_t len, CvText column[MAX_COLUMNS + 1])
{
	const char *p = line;
	const char *end = line + len;
	int			n = 0;

	while (n <= MAX_COLUMNS)
	{
		const char *tab = memchr(p, '\t', (size_t) (end - p));

		column[n].data = p;
		column[n].len = (size_t) ((tab != NULL ? tab : end) - p);
		n++;
		if (tab == NULL)
			break;
		p = tab + 1;
	}
	return n;
}

/* True for the header line, or for a line with fitting columns. */
static bool
detect_scrobbler(const CvHead *head)
{
	CvText		column[MAX_COLUMNS + 1];
	int64_t		micros;
	int			n;

	if (cv_head_begins(head, "#AUDIOSCROBBLER/"))
		return true;
	n = split_columns(head->text, head->line_len, column);
	return n >= MIN_COLUMNS && n <= MAX_COLUMNS && column[5].len == 1 &&
		(column[5].data[0] == 'L' || column[5].data[0] == 'S') &&
		(column[6] = cv_import_trim(column[6])).len > 0 &&
		cv_time_from_text(column[6].data, column[6].len, &micros);
}

static CvReason
read_line(Run *run, const char *line, size_t len, CvListen *listen)
{
	CvText		column[MAX_COLUMNS + 1];
	CvText		time;
	int			n;

	while (len > 0 && line[len - 1] == '\r')
		len--;
	n = split_columns(line, len, column);
	if (len > 0 && line[0] == '#' && n < MIN_COLUMNS)
		return CV_COMMENT;
	if (!cv_json_is_utf8(line, len) || memchr(line, '\0', len) != NULL)
		return cv_import_reject(listen, CV_BAD_ENCODING,
								"not UTF-8, or with a NUL");
	if (n < MIN_COLUMNS)
		return cv_import_reject(listen, CV_BAD_JSON, "fewer than 7 columns");
	if (n > MAX_COLUMNS)
		return cv_import_reject(listen, CV_BAD_JSON, "more than 9 columns");
	if (column[5].len != 1 || column[5].data[0] != 'L')
		return CV_NOT_LISTENED;
	listen->artist_name = column[0];
	listen->release_name = column[1];
	listen->track_name = column[2];
	/* Rockbox writes this for a file without tags. */
	if (listen->artist_name.len == 10 &&
		memcmp(listen->artist_name.data, "<Untagged>", 10) == 0)
		listen->artist_name.len = 0;
	if (n > 7 && cv_uuid_parse(column[7].data, column[7].len,
							   &listen->recording_mbid))
		listen->has_recording_mbid = true;
	time = cv_import_trim(column[6]);
	if (time.len == 0 || memchr(time.data, '.', time.len) != NULL ||
		!cv_time_from_text(time.data, time.len, &listen->listened_at))
		return cv_import_reject(listen, CV_BAD_TIME,
								"the time is no number of seconds");
	return cv_import_names(&run->names, listen);
}

static bool
take_line(Run *run, const char *line, size_t len)
{
	CvListen	listen = {.user_id = run->defaults.user_id};
	CvReason	reason = read_line(run, line, len, &listen);

	return cv_take_listen(run, reason, &listen, line, len);
}

const CvFormat cv_format_scrobbler = {
	.name = "an Audioscrobbler log", .cut = CV_CUT_LINES, .needs_user = true,
	.detect = detect_scrobbler, .piece = take_line
};
