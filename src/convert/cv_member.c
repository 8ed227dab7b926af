/*
 * cv_member.c
 *		Passes a member's bytes to the functions of its format.
 */
#include "cv_member.h"

#include <string.h>

/* Limit for members read whole, such as TIMESTAMP or user.json. */
#define MAX_WHOLE ((size_t) 64 << 10)

bool
cv_take_listen(Run *run, CvReason reason, const CvListen *listen,
			   const char *line, size_t len)
{
	CvCounts   *counts = run->counts;

	if (reason == CV_NOT_LISTENED)
	{
		counts->not_listened++;
		return true;
	}
	if (reason == CV_COMMENT)
	{
		counts->blank++;
		return true;
	}
	if (reason != CV_LISTEN)
		return cv_reject(counts, &run->place, reason, listen->detail, line,
						 len);
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

static bool
take_piece(void *arg, int64_t offset, const char *piece, size_t len,
		   bool too_long)
{
	Run		   *run = arg;
	bool		counts_itself = run->format->counts_itself && !too_long;

	run->place.offset = offset;
	if (!counts_itself)
	{
		run->place.line++;
		run->counts->lines++;
	}
	if (too_long)
		return cv_reject(run->counts, &run->place, CV_BAD_JSON,
						 "the line is longer than 10 MiB", piece, len);
	/* Joined files have byte order marks in the middle, too. */
	while (len >= 3 && memcmp(piece, "\xef\xbb\xbf", 3) == 0)
	{
		piece += 3;
		len -= 3;
	}
	if (is_blank(piece, len) && !counts_itself)
	{
		run->counts->blank++;
		return true;
	}
	return run->format->piece(run, piece, len);
}

static bool
need_user_id(Run *run)
{
	if (run->defaults.has_user_id ||
		(run->format->names_users && run->defaults.user_names))
		return true;
	cv_error("cannot load \"%s\": it is %s, and does not say which user_id its "
			 "listens belong to",
			 run->place.member, run->format->name);
	cv_hint("Give a number with --user-id N, one that no other user of your "
			"tables has%s.",
			run->format->names_users
			? ", or --user-names, to make numbers of users' names" : "");
	return false;
}

bool
cv_member_begin(Run *run, const CvHead *head)
{
	const CvFormat *format = run->format;

	run->document.len = 0;
	if (format->cut >= CV_CUT_LINES)
	{
		cv_split_begin(&run->split, format->cut, format->key);
		run->split.piece = take_piece;
		run->split.arg = run;
	}
	if (format->needs_user && !need_user_id(run))
		return false;
	return format->begin == NULL || format->begin(run, head);
}

bool
cv_member_data(Run *run, const char *data, size_t len)
{
	switch (run->format->cut)
	{
		case CV_CUT_NONE:
			return true;
		case CV_CUT_BYTES:
			return run->format->piece(run, data, len);
		case CV_CUT_WHOLE:
			if (run->document.len + len > MAX_WHOLE)
			{
				cv_error("cannot read \"%s\": it is longer than %zu bytes",
						 run->place.member, MAX_WHOLE);
				return false;
			}
			cv_buf_add(&run->document, data, len);
			return true;
		default:
			return cv_split_data(&run->split, data, len);
	}
}

bool
cv_member_end(Run *run)
{
	const CvFormat *format = run->format;
	bool		ok = true;

	if (format->cut == CV_CUT_WHOLE)
	{
		cv_buf_reserve(&run->document, CV_PADDING);
		memset(run->document.data + run->document.len, 0, CV_PADDING);
		ok = format->piece(run, run->document.data, run->document.len);
	}
	else if (format->cut >= CV_CUT_LINES)
		ok = cv_split_end(&run->split);
	return ok && (format->end == NULL || format->end(run));
}
