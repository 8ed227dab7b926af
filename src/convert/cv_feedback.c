/*
 * cv_feedback.c
 *		Users' feedback on recordings: loved (1), hated (-1), neither (0).
 *
 * Two sources: feedback.jsonl of a user's export, and recording_feedback of
 * ListenBrainz's public dump, a table in COPY's text format:
 *
 *		id, user_id, recording_msid, recording_mbid, score, created
 *
 * A row with only an MBID applies to every loaded recording with that MBID;
 * loading the file again later finds more of them.  Of several rows for a user
 * and a recording, the newest stays.
 */
#include "cv_member.h"

#include <string.h>

#define EQ "OPERATOR(pg_catalog.=)"
#define SEND_BYTES ((size_t) 128 << 10)
#define DUMP_COLUMNS 6

typedef struct Feedback
{
	int64_t		user_id;
	int64_t		created;
	int			score;
	bool		has_msid;
	bool		has_mbid;
	CvUuid		msid;
	CvUuid		mbid;
} Feedback;

static const char *const table =
	"CREATE TABLE IF NOT EXISTS @.feedback (\n"
	"\tuser_id bigint NOT NULL,\n"
	"\trecording_msid uuid NOT NULL,\n"
	"\tscore smallint NOT NULL,\n"
	"\tcreated timestamp with time zone NOT NULL,\n"
	"\tPRIMARY KEY (user_id, recording_msid)\n"
	")";

static const char *const staging =
	"CREATE TEMPORARY TABLE lbrec_new_feedback (\n"
	"\tuser_id bigint,\n"
	"\trecording_msid uuid,\n"
	"\trecording_mbid uuid,\n"
	"\tscore smallint,\n"
	"\tcreated timestamp with time zone\n"
	")";

/* recordings is a FROM item with recording_msid and recording_mbid. */
#define MERGE(recordings) \
	"INSERT INTO @.feedback AS f (user_id, recording_msid, score, created)\n" \
	"SELECT DISTINCT ON (1, 2) n.user_id,\n" \
	"\tcoalesce(n.recording_msid, r.recording_msid), n.score, n.created\n" \
	"FROM pg_temp.lbrec_new_feedback AS n\n" \
	"LEFT JOIN " recordings " AS r\n" \
	"\tON n.recording_msid IS NULL\n" \
	"\tAND r.recording_mbid " EQ " n.recording_mbid\n" \
	"WHERE coalesce(n.recording_msid, r.recording_msid) IS NOT NULL\n" \
	"ORDER BY 1, 2, n.created DESC\n" \
	"ON CONFLICT (user_id, recording_msid) DO UPDATE\n" \
	"SET score = EXCLUDED.score, created = EXCLUDED.created\n" \
	"WHERE f.created OPERATOR(pg_catalog.<) EXCLUDED.created"

/* During a first load, new recordings are in a table of their own. */
#define BOTH "(SELECT recording_msid, recording_mbid FROM @.recording\n" \
	"\tUNION SELECT recording_msid, recording_mbid\n" \
	"\tFROM @.lbrec_first_recording)"

static bool
detect_export(const CvHead *head)
{
	return cv_head_begins(head, "{") && cv_head_line_holds(head, "\"score\"") &&
		(cv_head_line_holds(head, "\"recording_msid\"") ||
		 cv_head_line_holds(head, "\"recording_mbid\"")) &&
		!cv_head_line_holds(head, "\"listened_at\"");
}

static bool
detect_dump(const CvHead *head)
{
	return head->archive && strcmp(head->base, "recording_feedback") == 0;
}

static bool
begin(Run *run, const CvHead *head)
{
	CvTarget   *target = run->target;

	(void) head;
	run->rows.len = 0;
	if (run->options->table != CV_TABLE_BOTH)
	{
		cv_error("cannot write \"%s\" as rows of listen or recording",
				 run->place.member);
		cv_hint("Leave --table out: it becomes a table of its own.");
		return false;
	}
	/* Only one COPY can be open at a time. */
	return cv_load_flush(run->load) && target->exec(target, table, NULL) &&
		target->exec(target, staging, NULL) &&
		target->copy_begin(target, "COPY pg_temp.lbrec_new_feedback (user_id, "
						   "recording_msid, recording_mbid, score, created) "
						   "FROM STDIN");
}

static bool
send(Run *run)
{
	bool		ok = run->rows.len == 0 ||
		run->target->copy_data(run->target, run->rows.data, run->rows.len);

	run->rows.len = 0;
	return ok;
}

static void
add_uuid_or_null(CvBuf *row, bool present, const CvUuid *uuid)
{
	if (present)
		cv_copy_uuid(row, uuid);
	else
		cv_buf_str(row, "\\N");
	cv_buf_str(row, "\t");
}

static bool
take(Run *run, CvReason reason, const char *detail, const Feedback *feedback,
	 const char *line, size_t len)
{
	CvBuf	   *rows = &run->rows;

	if (reason != CV_LISTEN)
		return cv_reject(run->counts, &run->place, reason, detail, line, len);
	run->counts->feedback++;
	cv_copy_int64(rows, feedback->user_id);
	cv_buf_str(rows, "\t");
	add_uuid_or_null(rows, feedback->has_msid, &feedback->msid);
	add_uuid_or_null(rows, feedback->has_mbid, &feedback->mbid);
	cv_copy_int64(rows, feedback->score);
	cv_buf_str(rows, "\t");
	cv_copy_time(rows, feedback->created);
	cv_buf_str(rows, "\n");
	return rows->len < SEND_BYTES || send(run);
}

static bool
is_score(double score)
{
	return score == -1 || score == 0 || score == 1;
}

static bool
take_export(Run *run, const char *line, size_t len)
{
	static const char *const names[] = {
		"recording_msid", "recording_mbid", "score", "created"
	};
	CvField		field[4];
	Feedback	feedback = {.user_id = run->defaults.user_id};
	const char *detail = NULL;
	CvReason	reason = cv_json_fields(run->json, line, len, names, 4, field,
										&detail);

	if (reason != CV_LISTEN)
		return take(run, reason, detail, &feedback, line, len);
	feedback.has_msid = cv_uuid_parse(field[0].text.data, field[0].text.len,
									  &feedback.msid);
	feedback.has_mbid = cv_uuid_parse(field[1].text.data, field[1].text.len,
									  &feedback.mbid);
	feedback.score = (int) (is_score(field[2].number) ? field[2].number : 0);
	if (field[3].kind != CV_FIELD_NUMBER ||
		!cv_time_from_seconds(field[3].number, &feedback.created))
	{
		reason = CV_BAD_TIME;
		detail = "created is no number of seconds";
	}
	else if (!feedback.has_msid && !feedback.has_mbid)
	{
		reason = CV_BAD_MSID;
		detail = "neither recording_msid nor recording_mbid";
	}
	else if (field[2].kind != CV_FIELD_NUMBER || !is_score(field[2].number))
	{
		reason = CV_BAD_JSON;
		detail = "score is none of -1, 0 and 1";
	}
	return take(run, reason, detail, &feedback, line, len);
}

/*
 * Splits a row of COPY into columns.  The columns read here never have
 * escapes.
 */
static int
split_row(const char *line, size_t len, CvText column[DUMP_COLUMNS])
{
	const char *end = line + len;
	int			n = 0;

	for (;;)
	{
		const char *tab = memchr(line, '\t', (size_t) (end - line));

		if (n < DUMP_COLUMNS)
		{
			column[n].data = line;
			column[n].len = (size_t) ((tab != NULL ? tab : end) - line);
		}
		n++;
		if (tab == NULL)
			return n;
		line = tab + 1;
	}
}

static bool
read_number(CvText text, int64_t *value)
{
	*value = 0;
	if (text.len == 0 || text.len > 18)
		return false;
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		*value = *value * 10 + (text.data[i] - '0');
	}
	return true;
}

static bool
take_dump(Run *run, const char *line, size_t len)
{
	CvText		column[DUMP_COLUMNS];
	Feedback	feedback = {0};
	CvReason	reason = CV_LISTEN;
	const char *detail = NULL;

	if (split_row(line, len, column) != DUMP_COLUMNS)
		return take(run, CV_BAD_JSON, "not 6 columns", &feedback, line, len);
	feedback.has_msid = cv_uuid_parse(column[2].data, column[2].len,
									  &feedback.msid);
	feedback.has_mbid = cv_uuid_parse(column[3].data, column[3].len,
									  &feedback.mbid);
	if (column[4].len > 0)
		feedback.score = column[4].data[0] == '-' ? -1
			: column[4].data[0] - '0';
	if (!read_number(column[1], &feedback.user_id))
	{
		reason = CV_BAD_USER;
		detail = "user_id is not a user's number";
	}
	else if (!cv_time_from_iso(column[5].data, column[5].len,
							   &feedback.created))
	{
		reason = CV_BAD_TIME;
		detail = "created is no time in UTC";
	}
	else if (!feedback.has_msid && !feedback.has_mbid)
	{
		reason = CV_BAD_MSID;
		detail = "neither recording_msid nor recording_mbid";
	}
	else if (!(column[4].len == 1 && feedback.score >= 0 &&
			   feedback.score <= 1) &&
			 !(column[4].len == 2 && memcmp(column[4].data, "-1", 2) == 0))
	{
		reason = CV_BAD_JSON;
		detail = "score is none of -1, 0 and 1";
	}
	return take(run, reason, detail, &feedback, line, len);
}

static bool
end(Run *run)
{
	CvTarget   *target = run->target;

	return send(run) && target->copy_end(target) &&
		target->exec_either(target, CV_BULK_FIRST, MERGE(BOTH),
							MERGE("@.recording"), NULL) &&
		target->exec(target, "DROP TABLE pg_temp.lbrec_new_feedback", NULL);
}

const CvFormat cv_format_feedback = {
	.name = "feedback of a user's export", .role = CV_ROLE_METADATA,
	.cut = CV_CUT_LINES, .needs_user = true, .detect = detect_export,
	.begin = begin, .piece = take_export, .end = end
};

const CvFormat cv_format_dump_feedback = {
	.name = "feedback of the public dump", .role = CV_ROLE_METADATA,
	.cut = CV_CUT_LINES, .detect = detect_dump, .begin = begin,
	.piece = take_dump, .end = end
};
