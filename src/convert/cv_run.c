/*
 * cv_run.c
 *		From inputs to a target: the whole run.
 *
 * Takes the reader's blocks, finds what each member is, splits lines, parses
 * them and hands listens to the load.  A line is parsed where it lies in its
 * block; only one that crosses blocks is copied.
 *
 * Every function that returns false has told the user why; the run then ends
 * without finishing.
 */
#include "cv_run.h"
#include "cv_json.h"
#include "cv_kind.h"
#include "cv_reader.h"
#include "cv_text.h"

#include <stdlib.h>
#include <string.h>

/* Of a line that is too long, this much is kept for the rejects. */
#define KEPT_OF_LONG_LINE ((size_t) 64 << 10)

/* A fact of a dump, or a user.json, is small. */
#define MAX_FACT ((size_t) 64 << 10)

typedef struct Run
{
	const CvOptions *options;
	CvReader   *reader;
	CvJson	   *json;
	CvLoad	   *load;
	CvCounts   *counts;
	CvDefaults	defaults;

	/* the input */
	CvPlace		place;
	bool		found;			/* it has a member of ours */
	bool		is_archive;

	/* the member */
	CvKind		kind;
	bool		kind_known;
	int64_t		at;				/* offset of the block in the member */
	CvBuf		carry;			/* the beginning of a line, or a document */
	int64_t		carry_at;		/* its offset */
	bool		too_long;
} Run;

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
					  "dumps had from 2018 to 2020.", run->place.member);
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

/* One line without its newline; CV_PADDING readable bytes follow. */
static bool
take_line(Run *run, int64_t offset, const char *line, size_t len)
{
	CvListen	listen;
	CvReason	reason;

	run->place.line++;
	run->place.offset = offset;
	run->counts->lines++;
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
	reason = cv_json_listen(run->json, line, len, &run->defaults, &listen);
	return take_listen(run, reason, &listen, line, len);
}

/* Collect a line's part; of one that is too long, the beginning. */
static void
carry_part(Run *run, int64_t offset, const char *part, size_t len)
{
	if (run->carry.len == 0)
		run->carry_at = offset;
	if (run->too_long)
		return;
	if (run->carry.len + len <= CV_MAX_LINE)
	{
		cv_buf_add(&run->carry, part, len);
		return;
	}
	run->too_long = true;
	if (run->carry.len < KEPT_OF_LONG_LINE)
		cv_buf_add(&run->carry, part, KEPT_OF_LONG_LINE - run->carry.len);
	run->carry.len = KEPT_OF_LONG_LINE;
}

static bool
end_carried_line(Run *run)
{
	bool		ok;

	if (run->too_long)
	{
		run->place.line++;
		run->place.offset = run->carry_at;
		run->counts->lines++;
		ok = cv_reject(run->counts, &run->place, CV_BAD_JSON,
					   "the line is longer than 11 MiB", run->carry.data,
					   run->carry.len);
	}
	else
	{
		cv_buf_reserve(&run->carry, CV_PADDING);
		memset(run->carry.data + run->carry.len, 0, CV_PADDING);
		ok = take_line(run, run->carry_at, run->carry.data, run->carry.len);
	}
	run->carry.len = 0;
	run->too_long = false;
	return ok;
}

static bool
take_lines(Run *run, const char *data, size_t len)
{
	const char *p = data;
	const char *end = data + len;

	while (p < end)
	{
		const char *newline = memchr(p, '\n', (size_t) (end - p));
		const char *line_end = newline != NULL ? newline : end;
		int64_t		offset = run->at + (p - data);
		bool		ok = true;

		if (newline == NULL || run->carry.len > 0 ||
			(size_t) (line_end - p) > CV_MAX_LINE)
		{
			carry_part(run, offset, p, (size_t) (line_end - p));
			if (newline != NULL)
				ok = end_carried_line(run);
		}
		else
			ok = take_line(run, offset, p, (size_t) (line_end - p));
		if (!ok)
			return false;
		p = line_end + 1;
	}
	return true;
}

/* --- members that are no lines ------------------------------------------ */

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

	if (!run->defaults.has_user_id)
	{
		cv_error("cannot load \"%s\": it does not say which user_id its "
				 "listens belong to",
				 run->place.member);
		cv_detail("The API names a user by name only.");
		cv_hint("Give the number with --user-id N, one that no other user "
				"of your tables has.");
		return false;
	}
	cv_buf_reserve(&run->carry, CV_PADDING);
	memset(run->carry.data + run->carry.len, 0, CV_PADDING);
	switch (cv_json_payload(run->json, run->carry.data, run->carry.len,
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

static bool
take_document(Run *run)
{
	cv_buf_add(&run->carry, "", 1);
	run->carry.len--;
	switch (run->kind)
	{
		case CV_KIND_PAYLOAD:
			return take_payload(run);
		case CV_KIND_SCHEMA:
			return take_schema(run, run->carry.data);
		default:
			return true;
	}
}

/* --- blocks ------------------------------------------------------------- */

static bool
refuse_parquet(Run *run)
{
	cv_error("cannot read \"%s\": it is Parquet", run->place.member);
	cv_detail("Parquet files make up ListenBrainz's spark dump.");
	cv_hint("Download listenbrainz-listens-dump-...-full.tar.zst from the same "
			"place: it has the same listens, one JSON line each.");
	return false;
}

static bool
begin_content(Run *run, const char *head, size_t len)
{
	run->kind = cv_kind(run->place.member, run->is_archive, head, len);
	run->kind_known = true;
	switch (run->kind)
	{
		case CV_KIND_PARQUET:
			return refuse_parquet(run);
		case CV_KIND_UNKNOWN:
			cv_error("cannot read \"%s\": it is neither an archive nor "
					 "listens",
					 run->place.member);
			cv_hint("lbrec-convert reads ListenBrainz's listens dumps, a "
					"user's export and answers of its API; lbrec-convert "
					"--help tells more.");
			return false;
		case CV_KIND_OTHER:
			run->counts->other_members++;
			return true;
		case CV_KIND_LISTENS:
		case CV_KIND_PAYLOAD:
			run->counts->members++;
			run->found = true;
			return true;
		default:
			return true;
	}
}

static bool
take_data(Run *run, const CvBlock *block)
{
	bool		ok = true;

	if (!run->kind_known && !begin_content(run, block->data, block->len))
		return false;
	if (run->kind == CV_KIND_LISTENS)
	{
		run->counts->bytes += (int64_t) block->len;
		ok = take_lines(run, block->data, block->len);
	}
	else if (run->kind != CV_KIND_OTHER)
	{
		size_t		max = run->kind == CV_KIND_PAYLOAD ? CV_MAX_LINE : MAX_FACT;

		if (run->carry.len + block->len > max)
		{
			cv_error("cannot read \"%s\": it is longer than %zu bytes",
					 run->place.member, max);
			return false;
		}
		run->counts->bytes += (int64_t) block->len;
		cv_buf_add(&run->carry, block->data, block->len);
	}
	run->at += (int64_t) block->len;
	return ok;
}

static void
begin_member(Run *run, const CvBlock *block, CvBuf *name)
{
	name->len = 0;
	cv_buf_printf(name, "%s", block->name);
	run->place.member = name->data;
	run->place.line = 0;
	run->place.offset = 0;
	run->is_archive = block->archive;
	run->kind_known = false;
	run->at = 0;
	run->carry.len = 0;
	run->too_long = false;
}

static bool
end_member(Run *run)
{
	if (!run->kind_known && !begin_content(run, "", 0))
		return false;
	if (run->kind != CV_KIND_LISTENS)
		return run->kind == CV_KIND_OTHER || take_document(run);
	return run->carry.len == 0 || end_carried_line(run);
}

static bool
end_input(Run *run)
{
	if (run->found)
		return true;
	cv_error("\"%s\" holds no listens", run->place.input);
	cv_hint("ListenBrainz publishes several archives: the listens are in "
			"listenbrainz-listens-dump-...-full.tar.zst (or -incremental), "
			"not in the sample, public or spark dumps.");
	return false;
}

static bool
take_blocks(Run *run, CvBuf *input, CvBuf *member)
{
	for (;;)
	{
		const CvBlock *block = cv_reader_next(run->reader);
		int64_t		done,
					total;
		bool		ok = true;

		switch (block->type)
		{
			case CV_BLOCK_INPUT:
				input->len = 0;
				cv_buf_printf(input, "%s", block->name);
				run->place.input = input->data;
				run->found = false;
				run->defaults.has_user_id = run->options->has_user_id;
				run->defaults.user_id = run->options->user_id;
				break;
			case CV_BLOCK_MEMBER:
				begin_member(run, block, member);
				break;
			case CV_BLOCK_DATA:
				ok = take_data(run, block);
				cv_reader_position(run->reader, &done, &total);
				cv_progress(run->counts, run->place.member, done, total);
				break;
			case CV_BLOCK_MEMBER_END:
				ok = end_member(run);
				break;
			case CV_BLOCK_INPUT_END:
				ok = end_input(run);
				break;
			case CV_BLOCK_FAILED:
				cv_progress_end();
				cv_error("%s", block->name);
				if (block->hint != NULL)
					cv_hint("%s", block->hint);
				ok = false;
				break;
			case CV_BLOCK_END:
				return true;
		}
		if (!ok)
			return false;
	}
}

void
cv_run(const CvOptions *options, char *const *paths, int n_paths,
	   CvTarget *target, CvResult *result)
{
	Run			run = {.options = options, .counts = &result->counts};
	CvBuf		input = {0};
	CvBuf		member = {0};

	memset(result, 0, sizeof(*result));
	run.json = cv_json_create();
	run.load = cv_load_create(target, options->table);
	run.reader = cv_reader_start(paths, n_paths);
	cv_progress_start();
	result->finished = cv_load_begin(run.load) &&
					   take_blocks(&run, &input, &member) &&
					   cv_load_flush(run.load);
	cv_progress_end();
	result->written = cv_load_written(run.load);
	result->skipped = cv_reader_skipped(run.reader);
	if (options->table == CV_TABLE_RECORDING && cv_load_forgot(run.load))
	{
		cv_warning("some recordings were written more than once");
		cv_detail("Memory is constant, so only some millions of recordings "
				  "are remembered.");
		cv_hint("COPY into a table without a key, then INSERT ... ON CONFLICT "
				"DO NOTHING; without --table the script does that.");
	}
	cv_reader_stop(run.reader);
	cv_load_free(run.load);
	cv_json_free(run.json);
	cv_buf_free(&run.carry);
	cv_buf_free(&input);
	cv_buf_free(&member);
}
