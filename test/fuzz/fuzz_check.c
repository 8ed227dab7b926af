/*
 * fuzz_check.c
 *		Checks the converter's output by rules that hold for any input.
 *
 * Written against COPY's documentation and the tables' columns, not against
 * cv_text.c and cv_load.c: it decodes what they encode and compares with the
 * listens that went in.  No function of theirs is used here.
 */
#include "fuzz.h"

#include <string.h>
#include <time.h>

/* Archives can hold many; the check of recordings is quadratic. */
#define MAX_EXPECTED 2000

/* A listen with texts of its own. */
typedef struct Expected
{
	CvListen	listen;
	CvUuid	   *artists;
	bool		in_recording;
} Expected;

static Expected expected[MAX_EXPECTED];
static int	n_expected;
static bool too_many;

void
fuzz_broken(const char *file, int line, const char *what)
{
	/* Not stderr: the harnesses silence it. */
	printf("%s:%d: not so: %s\n", file, line, what);
	fflush(stdout);
	abort();
}

/* --- the target --------------------------------------------------------- */

static bool
sink_exec(CvTarget *target, const char *sql, int64_t *rows)
{
	FuzzSink   *sink = (FuzzSink *) target;

	FUZZ_REQUIRE(!sink->copying && sink->table == CV_TABLE_BOTH);
	cv_buf_printf(&sink->statements, "%s;\n", sql);
	if (rows != NULL)
		*rows = 0;
	return true;
}

static bool
sink_block(CvTarget *target, const char *sql)
{
	return sink_exec(target, sql, NULL);
}

static bool
sink_check(CvTarget *target)
{
	return sink_exec(target, "check", NULL);
}

static bool
sink_bulk_begin(CvTarget *target)
{
	return sink_exec(target, "bulk begin", NULL);
}

static bool
sink_exec_either(CvTarget *target, CvBulk bulk, const char *first,
				 const char *later, int64_t *rows)
{
	(void) bulk;
	return (first == NULL || sink_exec(target, first, rows)) &&
		(later == NULL || sink_exec(target, later, rows));
}

static bool
sink_bulk_end(CvTarget *target, int64_t *rows)
{
	return sink_exec(target, "bulk end", rows);
}

static bool
sink_copy_begin(CvTarget *target, const char *sql)
{
	FuzzSink   *sink = (FuzzSink *) target;

	sink_exec(target, sql, NULL);
	sink->copying = true;
	if (strstr(sql, "FORMAT csv") != NULL ||
		strstr(sql, "lbrec_new_feedback") != NULL)
		sink->open = &sink->csv;
	else if (strstr(sql, "lbrec_new_recording") != NULL)
		sink->open = &sink->recordings;
	else
		sink->open = &sink->listens;
	return true;
}

static bool
sink_copy_data(CvTarget *target, const char *data, size_t len)
{
	FuzzSink   *sink = (FuzzSink *) target;

	FUZZ_REQUIRE(sink->copying == (sink->table == CV_TABLE_BOTH));
	cv_buf_add(sink->open, data, len);
	return true;
}

static bool
sink_copy_end(CvTarget *target)
{
	FuzzSink   *sink = (FuzzSink *) target;
	CvBuf	   *open = sink->open;

	FUZZ_REQUIRE(sink->copying);
	/* The end mark that a script writes needs a line of its own. */
	FUZZ_REQUIRE(open->len == 0 || open->data[open->len - 1] == '\n');
	sink->copying = false;
	return true;
}

void
fuzz_sink_begin(FuzzSink *sink, CvTable table, bool direct)
{
	memset(sink, 0, sizeof(*sink));
	sink->table = table;
	sink->open = table == CV_TABLE_RECORDING ? &sink->recordings
		: &sink->listens;
	sink->target.direct = direct;
	sink->target.counts_rows = direct;
	sink->target.exec = sink_exec;
	sink->target.block = sink_block;
	sink->target.check = sink_check;
	sink->target.bulk_begin = sink_bulk_begin;
	sink->target.exec_either = sink_exec_either;
	sink->target.bulk_end = sink_bulk_end;
	sink->target.copy_begin = sink_copy_begin;
	sink->target.copy_data = sink_copy_data;
	sink->target.copy_end = sink_copy_end;
}

void
fuzz_sink_free(FuzzSink *sink)
{
	cv_buf_free(&sink->statements);
	cv_buf_free(&sink->listens);
	cv_buf_free(&sink->recordings);
	cv_buf_free(&sink->csv);
}

/*
 * A run that fails has passed on part of its input; how much depends on the
 * portions.
 */
static bool
begins_same(const CvBuf *a, const CvBuf *b)
{
	size_t		len = a->len < b->len ? a->len : b->len;

	return len == 0 || memcmp(a->data, b->data, len) == 0;
}

void
fuzz_check_equal(const FuzzSink *a, const CvResult *a_result,
				 const FuzzSink *b, const CvResult *b_result)
{
	CvCounts	a_counts = a_result->counts;
	CvCounts	b_counts = b_result->counts;

	FUZZ_REQUIRE(a_result->finished == b_result->finished);
	FUZZ_REQUIRE(begins_same(&a->statements, &b->statements));
	FUZZ_REQUIRE(begins_same(&a->listens, &b->listens));
	FUZZ_REQUIRE(begins_same(&a->recordings, &b->recordings));
	FUZZ_REQUIRE(begins_same(&a->csv, &b->csv));
	if (!a_result->finished)
		return;
	FUZZ_REQUIRE(a->statements.len == b->statements.len);
	FUZZ_REQUIRE(a->listens.len == b->listens.len);
	FUZZ_REQUIRE(a->recordings.len == b->recordings.len);
	FUZZ_REQUIRE(a->csv.len == b->csv.len);
	if (memcmp(&a_counts, &b_counts, sizeof(a_counts)) != 0)
	{
		for (int i = 0; i < 2; i++)
			cv_summary(stdout, CV_SUMMARY_JSON, i == 0 ? &a_counts : &b_counts,
					   -1, -1, a_result->finished ? 0 : 2);
		FUZZ_REQUIRE(!"the counts are equal");
	}
}

/* --- what went in ------------------------------------------------------- */

extern bool __real_cv_load_listen(CvLoad *load, const CvListen *listen);
extern bool __wrap_cv_load_listen(CvLoad *load, const CvListen *listen);

static CvText
keep_text(CvText text)
{
	if (text.data != NULL)
	{
		char	   *copy = cv_alloc(text.len);

		memcpy(copy, text.data, text.len);
		text.data = copy;
	}
	return text;
}

void
fuzz_expect_begin(void)
{
	for (int i = 0; i < n_expected; i++)
	{
		free((char *) expected[i].listen.artist_name.data);
		free((char *) expected[i].listen.track_name.data);
		free((char *) expected[i].listen.release_name.data);
		free(expected[i].artists);
	}
	n_expected = 0;
	too_many = false;
}

/* A recording's row is written once, and again when it has an MBID. */
static bool
is_new_recording(const CvListen *listen, bool rich_counts)
{
	bool		rich = listen->has_recording_mbid && rich_counts;

	for (int i = 0; i < n_expected; i++)
		if (memcmp(&expected[i].listen.recording_msid,
				   &listen->recording_msid, sizeof(CvUuid)) == 0 &&
			(!rich || expected[i].listen.has_recording_mbid))
			return false;
	return true;
}

static CvTable expecting;

bool
__wrap_cv_load_listen(CvLoad *load, const CvListen *listen)
{
	Expected   *e = &expected[n_expected];
	size_t		bytes = (size_t) listen->n_artist_mbids * sizeof(CvUuid);

	if (n_expected == MAX_EXPECTED)
	{
		too_many = true;
		return __real_cv_load_listen(load, listen);
	}
	e->listen = *listen;
	e->listen.artist_name = keep_text(listen->artist_name);
	e->listen.track_name = keep_text(listen->track_name);
	e->listen.release_name = keep_text(listen->release_name);
	e->artists = cv_alloc(bytes);
	if (bytes > 0)
		memcpy(e->artists, listen->artist_mbids, bytes);
	e->in_recording = expecting != CV_TABLE_LISTEN &&
		is_new_recording(listen, expecting == CV_TABLE_BOTH);
	n_expected++;
	return __real_cv_load_listen(load, listen);
}

extern CvLoad *__real_cv_load_create(CvTarget *target, CvTable table,
									 bool by_month);
extern CvLoad *__wrap_cv_load_create(CvTarget *target, CvTable table,
									 bool by_month);

CvLoad *
__wrap_cv_load_create(CvTarget *target, CvTable table, bool by_month)
{
	expecting = table;
	return __real_cv_load_create(target, table, by_month);
}

/* --- what came out ------------------------------------------------------ */

/* As RFC 3629 has it: no overlong form, no surrogate, nothing over 10FFFF. */
static bool
is_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + len;

	while (p < end)
	{
		int			more = *p < 0x80 ? 0 : *p < 0xc2 ? -1 : *p < 0xe0 ? 1
			: *p < 0xf0 ? 2 : *p < 0xf5 ? 3 : -1;

		if (more < 0 || end - p <= more)
			return false;
		if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
			(*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
			return false;
		for (int i = 1; i <= more; i++)
			if ((p[i] & 0xc0) != 0x80)
				return false;
		p += 1 + more;
	}
	return true;
}

/* One column of COPY's text format. */
typedef struct Column
{
	bool		is_null;
	CvBuf		text;
} Column;

#define MAX_COLUMNS 8

/*
 * Decode the row at *p, which moves behind its newline.  Returns the number
 * of columns.
 */
static int
decode_row(const char **p, const char *end, Column *columns)
{
	int			n = 0;
	const char *at = *p;

	for (;;)
	{
		Column	   *column = &columns[n];
		const char *start = at;

		FUZZ_REQUIRE(n < MAX_COLUMNS);
		column->text.len = 0;
		for (;; at++)
		{
			char		c;

			FUZZ_REQUIRE(at < end);
			c = *at;
			if (c == '\t' || c == '\n')
				break;
			/* COPY would stop at it, or take it for a line's end. */
			FUZZ_REQUIRE(c != '\r' && c != '\0');
			if (c == '\\')
			{
				static const char from[] = "bfnrtv\\";
				static const char to[] = "\b\f\n\r\t\v\\";
				const char *mark;

				at++;
				FUZZ_REQUIRE(at < end);
				mark = memchr(from, *at, 7);
				if (mark == NULL)
				{
					/* \N, and only alone */
					FUZZ_REQUIRE(*at == 'N' && at - start == 1);
					c = 'N';
				}
				else
					c = to[mark - from];
			}
			cv_buf_add(&column->text, &c, 1);
		}
		column->is_null = at - start == 2 && memcmp(start, "\\N", 2) == 0;
		n++;
		if (*at++ == '\n')
			break;
	}
	*p = at;
	return n;
}

static bool
is_text(const Column *column, CvText text)
{
	if (text.data == NULL)
		return column->is_null;
	return !column->is_null && column->text.len == text.len &&
		(text.len == 0 || memcmp(column->text.data, text.data, text.len) == 0);
}

static CvText
text_of(const char *data, size_t len)
{
	CvText		text = {data, len};

	return text;
}

static bool
is_uuid(const Column *column, const CvUuid *uuid)
{
	char		text[40];
	char	   *p = text;

	for (int i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x",
					 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
					 uuid->byte[i]);
	return is_text(column, text_of(text, 36));
}

/* The C library's calendar, in years that datetime and PostgreSQL have. */
static void
check_time(const Column *column, int64_t micros)
{
	int64_t		seconds = micros / 1000000;
	int64_t		fraction = micros % 1000000;
	time_t		t;
	struct tm	tm;
	char		text[64];
	int			n;

	if (fraction < 0)
	{
		fraction += 1000000;
		seconds--;
	}
	t = (time_t) seconds;
	gmtime_r(&t, &tm);
	FUZZ_REQUIRE(tm.tm_year + 1900 >= 1 && tm.tm_year + 1900 <= 9999);
	n = snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d",
				 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
				 tm.tm_min, tm.tm_sec);
	if (fraction != 0)
		n += snprintf(text + n, sizeof(text) - (size_t) n, ".%06d",
					  (int) fraction);
	n += snprintf(text + n, sizeof(text) - (size_t) n, "+00");
	FUZZ_REQUIRE(is_text(column, text_of(text, (size_t) n)));
}

static void
check_listens(const CvBuf *rows, bool whole, Column *columns)
{
	const char *p = rows->data;
	const char *end = rows->len > 0 ? p + rows->len : p;
	int			n = 0;

	for (; p < end; n++)
	{
		const CvListen *listen = &expected[n].listen;
		char		user[32];

		FUZZ_REQUIRE(decode_row(&p, end, columns) == 3);
		if (n >= n_expected)
		{
			FUZZ_REQUIRE(too_many);
			continue;
		}
		FUZZ_REQUIRE(listen->user_id >= 0);
		snprintf(user, sizeof(user), "%lld", (long long) listen->user_id);
		FUZZ_REQUIRE(is_text(&columns[0], text_of(user, strlen(user))));
		check_time(&columns[1], listen->listened_at);
		FUZZ_REQUIRE(is_uuid(&columns[2], &listen->recording_msid));
	}
	FUZZ_REQUIRE(!whole || n == n_expected || too_many);
}

static void
check_artists(const Column *column, const Expected *e)
{
	CvBuf		text = {0};

	for (int i = 0; i < e->listen.n_artist_mbids; i++)
	{
		cv_buf_str(&text, i == 0 ? "{" : ",");
		for (int j = 0; j < 16; j++)
			cv_buf_printf(&text, "%s%02x",
						  j == 4 || j == 6 || j == 8 || j == 10 ? "-" : "",
						  e->artists[i].byte[j]);
	}
	if (text.len > 0)
		cv_buf_str(&text, "}");
	FUZZ_REQUIRE(is_text(column, text_of(text.data, text.len)));
	cv_buf_free(&text);
}

static void
check_recordings(const CvBuf *rows, bool whole, Column *columns)
{
	const char *p = rows->data;
	const char *end = rows->len > 0 ? p + rows->len : p;
	int			at = 0;

	while (p < end)
	{
		const Expected *e;

		while (at < n_expected && !expected[at].in_recording)
			at++;
		FUZZ_REQUIRE(decode_row(&p, end, columns) == 7);
		if (at == n_expected)
		{
			FUZZ_REQUIRE(too_many);
			continue;
		}
		e = &expected[at++];
		for (int i = 1; i <= 3; i++)
			FUZZ_REQUIRE(is_utf8(columns[i].text.data, columns[i].text.len) &&
						 (columns[i].text.len == 0 ||
						  memchr(columns[i].text.data, '\0',
								 columns[i].text.len) == NULL));
		FUZZ_REQUIRE(is_uuid(&columns[0], &e->listen.recording_msid));
		FUZZ_REQUIRE(e->listen.artist_name.len > 0 &&
					 e->listen.track_name.len > 0);
		FUZZ_REQUIRE(is_text(&columns[1], e->listen.artist_name));
		FUZZ_REQUIRE(is_text(&columns[2], e->listen.track_name));
		FUZZ_REQUIRE(is_text(&columns[3], e->listen.release_name));
		FUZZ_REQUIRE(e->listen.has_recording_mbid
					 ? is_uuid(&columns[4], &e->listen.recording_mbid)
					 : columns[4].is_null);
		FUZZ_REQUIRE(e->listen.has_release_mbid
					 ? is_uuid(&columns[5], &e->listen.release_mbid)
					 : columns[5].is_null);
		check_artists(&columns[6], e);
	}
	while (at < n_expected && !expected[at].in_recording)
		at++;
	FUZZ_REQUIRE(!whole || at == n_expected || too_many);
}

/*
 * psql ends a COPY at a line of only a backslash and a dot, also in CSV and
 * between quotes, and runs the lines after it.  It reads C strings: it sees
 * nothing behind a NUL.
 */
static void
check_end_marks(const CvBuf *rows)
{
	const char *p = rows->data;
	const char *end;

	if (rows->len == 0)
		return;
	end = p + rows->len;
	FUZZ_REQUIRE(memchr(p, '\0', rows->len) == NULL);
	while (p < end)
	{
		const char *newline = memchr(p, '\n', (size_t) (end - p));
		size_t		len = (size_t) ((newline != NULL ? newline : end) - p);

		FUZZ_REQUIRE(!(len == 2 && memcmp(p, "\\.", 2) == 0) &&
					 !(len == 3 && memcmp(p, "\\.\r", 3) == 0));
		p += len + 1;
	}
}

void
fuzz_check_run(const FuzzSink *sink, const CvResult *result)
{
	static Column columns[MAX_COLUMNS];
	const CvCounts *counts = &result->counts;

	FUZZ_REQUIRE(counts->lines ==
				 counts->listens + cv_counts_rejected(counts) +
				 counts->blank + counts->not_listened + counts->feedback ||
				 !result->finished);
	FUZZ_REQUIRE(too_many || !result->finished ||
				 counts->listens - counts->left_out == n_expected);
	FUZZ_REQUIRE(!result->finished || !sink->copying);
	check_end_marks(&sink->listens);
	check_end_marks(&sink->recordings);
	check_end_marks(&sink->csv);
	check_listens(&sink->listens,
				  result->finished && sink->table != CV_TABLE_RECORDING,
				  columns);
	check_recordings(&sink->recordings,
					 result->finished && sink->table != CV_TABLE_LISTEN,
					 columns);
}

void
fuzz_check_rejects(const char *text, size_t len, const CvCounts *counts)
{
	static Column columns[MAX_COLUMNS];
	const char *p = text;
	const char *end = text + len;
	int64_t		rows = 0;

	for (; p < end; rows++)
	{
		FUZZ_REQUIRE(decode_row(&p, end, columns) == 6);
		for (int i = 0; i < 6; i++)
			FUZZ_REQUIRE(!columns[i].is_null &&
						 is_utf8(columns[i].text.data, columns[i].text.len));
	}
	/* One more: the columns' names. */
	FUZZ_REQUIRE(rows == cv_counts_rejected(counts) + 1);
}
