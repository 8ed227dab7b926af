/*
 * cv_member.c
 *		What is done with a member of each kind.
 */
#include "cv_member.h"

#include <stdlib.h>
#include <string.h>

/* A fact of a dump, or a user.json, is small. */
#define MAX_FACT ((size_t) 64 << 10)

static bool
take_listen(Run *run, CvReason reason, const CvListen *listen,
			const char *line, size_t len)
{
	CvCounts   *counts = run->counts;

	if (reason != CV_LISTEN)
	{
		if (reason == CV_BAD_USER && run->place.line == 1 &&
			run->is_archive && cv_kind_is_uuid_named(run->place.member))
		{
			cv_error("cannot read \"%s\": its listens have no user_id",
					 run->place.input);
			cv_detail("Member \"%s\" is of the layout that ListenBrainz's "
					  "dumps had from 2018 to 2020.",
					  run->place.member);
			cv_hint("Use a dump of 2021 or later; it holds the older listens, "
					"too.");
			return false;
		}
		return cv_reject(counts, &run->place, reason, listen->detail, line,
						 len);
	}
	cv_counts_listen(counts, listen);
	if (run->options->leave_out_early &&
		listen->listened_at < CV_EARLY_SECONDS * 1000000)
	{
		counts->left_out++;
		return true;
	}
	return cv_load_listen(run->load, listen);
}

static bool
is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

/* A line of another service's format, or an element of one. */
static bool
take_import(Run *run, const char *line, size_t len)
{
	CvReason	reason = CV_BAD_ENCODING;
	CvListen	listen = {.detail = "not UTF-8, or with a NUL"};
	CvImported	imported = CV_IMPORTED;
	int64_t		user_id = run->defaults.user_id;

	if (run->kind == CV_KIND_SPOTIFY)
		imported =
			cv_json_spotify(run->json, line, len, user_id, &reason, &listen);
	else if (memchr(line, '\0', len) == NULL && cv_json_is_utf8(line, len))
		imported = run->kind == CV_KIND_SCROBBLER
			? cv_import_scrobbler(line, len, user_id, &reason,
								  &listen)
			: cv_import_librefm(line, len, user_id, &run->columns,
								&run->scratch, &reason, &listen);
	switch (imported)
	{
		case CV_IMPORT_COMMENT:
			run->counts->blank++;
			return true;
		case CV_IMPORT_LEFT_OUT:
			run->counts->not_listened++;
			return true;
		default:
			return take_listen(run, reason, &listen, line, len);
	}
}

static bool
take_piece(void *arg, int64_t offset, const char *line, size_t len,
		   bool too_long)
{
	Run		   *run = arg;
	CvListen	listen;
	CvReason	reason;

	run->place.line++;
	run->place.offset = offset;
	run->counts->lines++;
	if (too_long)
		return cv_reject(run->counts, &run->place, CV_BAD_JSON,
						 "the line is longer than 10 MiB", line, len);
	if (offset == 0 && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
	{
		line += 3;
		len -= 3;
	}
	if (is_blank(line, len))
	{
		run->counts->blank++;
		return true;
	}
	if (run->kind != CV_KIND_LISTENS)
		return take_import(run, line, len);
	reason = cv_json_listen(run->json, line, len, &run->defaults, &listen);
	return take_listen(run, reason, &listen, line, len);
}

/* --- members that are read whole ---------------------------------------- */

static bool
take_element(void *arg, CvReason reason, const CvListen *listen)
{
	Run		   *run = arg;

	run->place.line++;
	run->counts->lines++;
	return take_listen(run, reason, listen, "", 0);
}

static bool
take_payload(Run *run)
{
	const char *detail;

	switch (cv_json_payload(run->json, run->document.data, run->document.len,
							&run->defaults, take_element, run, &detail))
	{
		case CV_DOCUMENT_OK:
			return true;
		case CV_DOCUMENT_BAD:
			cv_error("cannot read \"%s\": it begins like an answer of the "
					 "API, but is not: %s",
					 run->place.member, detail);
			return false;
		default:
			return false;
	}
}

static bool
take_schema(Run *run, const char *text)
{
	char	   *end;
	long		version = strtol(text, &end, 10);

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

/* A dump's TIMESTAMP, START_TIMESTAMP or END_TIMESTAMP. */
static bool
take_timestamp(Run *run)
{
	const char *text = run->document.data;
	size_t		len = run->document.len;
	int64_t		micros;

	while (len > 0 && strchr("\r\n\t ", text[len - 1]) != NULL)
		len--;
	if (!cv_time_from_iso(text, len, &micros))
	{
		cv_warning("\"%s\" is no time: \"%.40s\"", run->place.member, text);
		return true;
	}
	if (run->kind == CV_KIND_START)
	{
		run->dump.has_from = true;
		run->dump.from = micros;
	}
	else
	{
		run->dump.has_to = true;
		run->dump.to = micros;
	}
	return true;
}

/* A user's export says once whose it is. */
static bool
take_user(Run *run)
{
	int64_t		user_id;

	if (!run->options->has_user_id &&
		cv_json_integer(run->json, run->document.data, run->document.len,
						"user_id", &user_id) &&
		user_id >= 0)
	{
		run->defaults.has_user_id = true;
		run->defaults.user_id = user_id;
	}
	return true;
}

/* --- a member of any kind ----------------------------------------------- */

static bool
need_user_id(Run *run)
{
	if (run->defaults.has_user_id)
		return true;
	cv_error("cannot load \"%s\": it does not say which user_id its listens "
			 "belong to",
			 run->place.member);
	cv_hint("Give a number with --user-id N, one that no other user of your "
			"tables has.");
	return false;
}

bool
cv_member_begin(Run *run, const char *head, size_t len)
{
	switch (run->kind)
	{
		case CV_KIND_CANONICAL:
		case CV_KIND_REDIRECT:
			if (run->options->table != CV_TABLE_BOTH)
			{
				cv_error("cannot write \"%s\" as rows of listen or recording",
						 run->place.member);
				cv_hint("Leave --table out: it becomes a table of its own.");
				return false;
			}
			/* One COPY at a time. */
			return cv_load_flush(run->load) &&
				cv_canonical_begin(run->target,
								   run->kind == CV_KIND_REDIRECT,
								   run->place.member, head, len, &run->csv);
		case CV_KIND_PAYLOAD:
			return need_user_id(run);
		case CV_KIND_LISTENS:
			cv_split_begin(&run->split, false);
			break;
		default:
			run->columns.time = -1;
			cv_split_begin(&run->split, run->kind == CV_KIND_SPOTIFY);
			if (!need_user_id(run))
				return false;
			break;
	}
	run->split.piece = take_piece;
	run->split.arg = run;
	return true;
}

bool
cv_member_data(Run *run, const char *data, size_t len)
{
	size_t		max = MAX_FACT;

	switch (run->kind)
	{
		case CV_KIND_LISTENS:
		case CV_KIND_SPOTIFY:
		case CV_KIND_SCROBBLER:
		case CV_KIND_LIBREFM:
			return cv_split_data(&run->split, data, len);
		case CV_KIND_CANONICAL:
		case CV_KIND_REDIRECT:
			return cv_canonical_data(run->target, run->place.member, data,
									 len, &run->csv);
		case CV_KIND_PAYLOAD:
			max = CV_MAX_LINE;
			break;
		default:
			break;
	}
	if (run->document.len + len > max)
	{
		cv_error("cannot read \"%s\": it is longer than %zu bytes",
				 run->place.member, max);
		return false;
	}
	cv_buf_add(&run->document, data, len);
	return true;
}

bool
cv_member_end(Run *run)
{
	int64_t		rows = 0;

	cv_buf_reserve(&run->document, CV_PADDING);
	memset(run->document.data + run->document.len, 0, CV_PADDING);
	switch (run->kind)
	{
		case CV_KIND_LISTENS:
		case CV_KIND_SPOTIFY:
		case CV_KIND_SCROBBLER:
		case CV_KIND_LIBREFM:
			return cv_split_end(&run->split);
		case CV_KIND_CANONICAL:
		case CV_KIND_REDIRECT:
			return cv_canonical_end(run->target,
									run->kind == CV_KIND_REDIRECT,
									run->csv, &rows);
		case CV_KIND_PAYLOAD:
			return take_payload(run);
		case CV_KIND_SCHEMA:
			return take_schema(run, run->document.data);
		case CV_KIND_USER:
			return take_user(run);
		default:
			return take_timestamp(run);
	}
}
