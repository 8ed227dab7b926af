/*
 * cv_listenbrainz.c
 *		ListenBrainz's own formats: lines, arrays and pages of listens, and the
 *		files that describe them.
 *
 * A full or incremental dump is an archive of .listens files, an object a
 * line, with its times in TIMESTAMP, START_TIMESTAMP and END_TIMESTAMP and
 * the version of its layout in SCHEMA_SEQUENCE.  A user's export has the same
 * lines without user_id, which user.json gives once.  Older exports and the
 * backups of players are one array.  The API answers with pages
 * {"payload": {"listens": [...]}}, which scripts append to each other.
 */
#include "cv_member.h"

#include <stdlib.h>
#include <string.h>

/* --- listens ------------------------------------------------------------ */

static bool
has_time(const CvHead *head)
{
	return cv_head_holds(head, "\"listened_at\"") ||
		cv_head_holds(head, "\"timestamp\"") ||
		cv_head_holds(head, "\"ts_since_epoch\"");
}

/* The layout of 2018 to 2020 names files by UUIDs. */
static bool
is_uuid_named(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash != NULL ? slash + 1 : name;
	size_t		len = strlen(base);
	CvUuid		uuid;

	return len > 8 && strcmp(base + len - 8, ".listens") == 0 &&
		cv_uuid_parse(base, len - 8, &uuid);
}

static bool
take_line(Run *run, const char *line, size_t len)
{
	CvListen	listen;
	CvReason	reason = cv_json_listen(run->json, line, len, &run->defaults,
										&listen);

	if (reason == CV_BAD_USER && run->place.line == 1 && run->is_archive &&
		is_uuid_named(run->place.member))
	{
		cv_error("cannot read \"%s\": its listens have no user_id",
				 run->place.input);
		cv_detail("Member \"%s\" has the layout of ListenBrainz's dumps of "
				  "2018 to 2020.",
				  run->place.member);
		cv_hint("Use a dump of 2021 or later, which holds the older listens, "
				"too; or --user-names, which numbers the users by their "
				"names.");
		return false;
	}
	return cv_take_listen(run, reason, &listen, line, len);
}

/* True for white space only: a month without listens. */
static bool
detect_empty(const CvHead *head)
{
	return head->text_len == 0 && (cv_head_named(head, ".listens") ||
								   (!head->archive && head->len > 0));
}

static bool
detect_array(const CvHead *head)
{
	bool		one_a_line = cv_head_begins(head, "{") && head->line_len > 2;

	return (cv_head_begins(head, "[") || cv_head_begins(head, "{")) &&
		!one_a_line && cv_head_holds(head, "\"track_metadata\"") &&
		has_time(head);
}

static bool
detect_named_listens(const CvHead *head)
{
	return cv_head_named(head, ".listens");
}

static bool
detect_listens(const CvHead *head)
{
	CvHead		line = *head;

	line.text_len = head->line_len;
	return cv_head_begins(head, "{") &&
		cv_head_holds(&line, "\"track_metadata\"") && has_time(&line);
}

/* True for a single file whose first line is an object. */
static bool
detect_any_lines(const CvHead *head)
{
	const char *p = head->text;
	const char *end = p + head->text_len;

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

const CvFormat cv_format_empty = {
	.name = "an empty file of listens", .cut = CV_CUT_LINES,
	.detect = detect_empty, .piece = take_line
};

const CvFormat cv_format_array = {
	.name = "an array of listens", .cut = CV_CUT_VALUES,
	.detect = detect_array, .piece = take_line
};

const CvFormat cv_format_named_listens = {
	.name = "listens, one a line", .cut = CV_CUT_LINES,
	.detect = detect_named_listens, .piece = take_line
};

const CvFormat cv_format_listens = {
	.name = "listens, one a line", .cut = CV_CUT_LINES,
	.detect = detect_listens, .piece = take_line
};

const CvFormat cv_format_any_lines = {
	.name = "listens, one a line", .cut = CV_CUT_LINES,
	.detect = detect_any_lines, .piece = take_line
};

/* --- pages of the API --------------------------------------------------- */

/* True for {"payload": ...} or an array of such, with any white space. */
static bool
detect_pages(const CvHead *head)
{
	static const char *const begins[] = {"{", "\"payload\""};
	const char *p = head->text;
	const char *end = p + head->text_len;

	if (p < end && *p == '[')
		p++;
	for (int i = 0; i < 2; i++)
	{
		size_t		len = strlen(begins[i]);

		while (p < end && *p != '\0' && strchr(" \t\r\n", *p) != NULL)
			p++;
		if ((size_t) (end - p) < len || memcmp(p, begins[i], len) != 0)
			return false;
		p += len;
	}
	return true;
}

static bool
take_element(void *arg, CvReason reason, const CvListen *listen)
{
	Run		   *run = arg;

	run->place.line++;
	run->counts->lines++;
	return cv_take_listen(run, reason, listen, "", 0);
}

static bool
take_page(Run *run, const char *page, size_t len)
{
	const char *detail;

	switch (cv_json_payload(run->json, page, len, &run->defaults,
							take_element, run, &detail))
	{
		case CV_DOCUMENT_OK:
			return true;
		case CV_DOCUMENT_BAD:
			cv_error("cannot read \"%s\": it begins like an answer of the "
					 "API, but at offset %lld is none: %s",
					 run->place.member, (long long) run->place.offset, detail);
			cv_hint("Ask the API again: the answer was cut off or is an error "
					"message.");
			return false;
		default:
			return false;
	}
}

const CvFormat cv_format_pages = {
	.name = "answers of ListenBrainz's API", .cut = CV_CUT_VALUES,
	.needs_user = true, .names_users = true, .counts_itself = true,
	.detect = detect_pages, .piece = take_page
};

/* --- facts -------------------------------------------------------------- */

static bool
is_fact(const CvHead *head, const char *name)
{
	return head->archive && strcmp(head->base, name) == 0;
}

static bool
detect_schema(const CvHead *head)
{
	return is_fact(head, "SCHEMA_SEQUENCE");
}

static bool
detect_timestamp(const CvHead *head)
{
	return is_fact(head, "TIMESTAMP");
}

static bool
detect_start(const CvHead *head)
{
	return is_fact(head, "START_TIMESTAMP");
}

static bool
detect_end(const CvHead *head)
{
	return is_fact(head, "END_TIMESTAMP");
}

static bool
detect_user(const CvHead *head)
{
	return is_fact(head, "user.json") && cv_head_begins(head, "{");
}

static bool
take_schema(Run *run, const char *text, size_t len)
{
	char	   *end;
	long		version = strtol(text, &end, 10);

	(void) len;
	if (version == 1 && end != text)
		return true;
	if (run->options->force)
	{
		cv_warning("\"%s\" has schema sequence \"%.20s\", not 1: read all the "
				   "same, as asked",
				   run->place.input, text);
		return true;
	}
	cv_error("cannot read \"%s\": its schema sequence is \"%.20s\", and this "
			 "version knows 1",
			 run->place.input, text);
	cv_hint("Look for a newer lbrec-convert, or try --force.");
	return false;
}

/*
 * Returns the text without white space at its end.  If that is no time, warns
 * and returns false.
 */
static bool
read_moment(Run *run, const char *text, size_t len, int64_t *micros)
{
	while (len > 0 && strchr("\r\n\t ", text[len - 1]) != NULL)
		len--;
	if (!cv_time_from_iso(text, len, micros))
	{
		cv_warning("\"%s\" is no time: \"%.40s\"", run->place.member, text);
		return false;
	}

	/*
	 * Too late: the ledger has the dump's row, or psql has the listens, and
	 * an archive from a pipe cannot be read twice.
	 */
	if (run->found && !run->late_told)
	{
		run->late_told = true;
		cv_warning("\"%s\" comes behind listens in \"%s\"",
				   run->place.member, run->place.input);
		cv_detail("All listens are loaded, but not as those of a full or "
				  "incremental dump: nothing remembers that they are there.");
		cv_hint("Unpack the archive and give the folder: there the order does "
				"not matter.");
	}
	return true;
}

/* Reads TIMESTAMP of a full dump, or END_TIMESTAMP of an incremental one. */
static bool
take_to(Run *run, const char *text, size_t len)
{
	if (read_moment(run, text, len, &run->dump.to))
		run->dump.has_to = true;
	return true;
}

static bool
take_from(Run *run, const char *text, size_t len)
{
	if (read_moment(run, text, len, &run->dump.from))
		run->dump.has_from = true;
	return true;
}

static bool
take_user(Run *run, const char *text, size_t len)
{
	int64_t		user_id;

	if (!run->options->has_user_id &&
		cv_json_integer(run->json, text, len, "user_id", &user_id) &&
		user_id >= 0)
	{
		run->defaults.has_user_id = true;
		run->defaults.user_id = user_id;
	}
	return true;
}

const CvFormat cv_format_schema = {
	.name = "SCHEMA_SEQUENCE", .role = CV_ROLE_FACT, .cut = CV_CUT_WHOLE,
	.detect = detect_schema, .piece = take_schema
};

const CvFormat cv_format_timestamp = {
	.name = "TIMESTAMP", .role = CV_ROLE_FACT, .cut = CV_CUT_WHOLE,
	.detect = detect_timestamp, .piece = take_to
};

const CvFormat cv_format_start = {
	.name = "START_TIMESTAMP", .role = CV_ROLE_FACT, .cut = CV_CUT_WHOLE,
	.detect = detect_start, .piece = take_from
};

const CvFormat cv_format_end_time = {
	.name = "END_TIMESTAMP", .role = CV_ROLE_FACT, .cut = CV_CUT_WHOLE,
	.detect = detect_end, .piece = take_to
};

const CvFormat cv_format_user = {
	.name = "user.json", .role = CV_ROLE_FACT, .cut = CV_CUT_WHOLE,
	.detect = detect_user, .piece = take_user
};
