/*
 * fuzz_lines.c
 *		Fuzzer's entry: a member's bytes, of every kind, to rows.
 *
 * The whole of cv_run() but for files and archives: the blocks come from
 * here, where other runs have the reading thread.  So one input is some tens
 * of microseconds.  An input is
 *
 *	flags portion name content [0x1e name content]...
 *
 * one byte each but for content, which is a member's.  flags: see below;
 * portion: the block size of the second run; name: of the member, an index.
 * All are letters in a readable corpus: only their low bits count.
 *
 * Each JSON line is also read by jansson, a parser that shares nothing with
 * simdjson: the two must agree on what is JSON, and on the listen in it.
 */
#include "fuzz.h"
#include "cv_format.h"
#include "cv_json.h"
#include "cv_reader.h"

#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FLAG_ARCHIVE 1
#define FLAG_USER 2
#define FLAG_TABLE 12			/* two bits */
#define FLAG_EARLY 16
#define FLAG_FORCE 32
#define FLAG_FAILED 128			/* the archive ends in the last member */
#define PORTION_DIRECT 128		/* a target as the server is */

#define SEPARATOR 0x1e

static const char *const names[] = {
	"1.listens", "dump-1-full/listens/2005/1.listens", "SCHEMA_SEQUENCE",
	"TIMESTAMP", "START_TIMESTAMP", "END_TIMESTAMP", "user.json",
	"endsong_0.json", "canonical_musicbrainz_data.csv", "-",
	"0/03/03a1f3b2-3e6c-4d0b-8d3a-6d3e4d7f9a10.listens",
	"\x1b[31m\t\\.\n\xff.listens", "recording_feedback", "/", "a", "b"
};

/* --- the reader: blocks from memory ------------------------------------- */

typedef struct Member
{
	const char *name;
	const char *data;
	size_t		len;
} Member;

#define MAX_MEMBERS 8

struct CvReader
{
	CvBlock		block;
	bool		archive;
	bool		failed;
	size_t		portion;
	Member		members[MAX_MEMBERS];
	int			n_members;
	int			at;				/* member */
	bool		begun;
	const Member *now;			/* also while its end is dealt with */
	size_t		done;
};

static CvReader fuzz_reader;

CvReader *
cv_reader_start(char *const *paths, int n_paths)
{
	(void) paths;
	(void) n_paths;
	fuzz_reader.at = -1;
	return &fuzz_reader;
}

static CvBlock *
give(CvReader *reader, CvBlockType type, const char *name)
{
	CvBlock    *block = &reader->block;

	free(block->name);
	free(block->data);
	memset(block, 0, sizeof(*block));
	block->type = type;
	block->archive = reader->archive;
	block->size = -1;
	if (name != NULL)
		block->name = cv_strdup(name);
	return block;
}

/* A block of its exact size, so that a sanitizer sees reads behind it. */
static CvBlock *
give_data(CvReader *reader, const Member *member)
{
	CvBlock    *block = give(reader, CV_BLOCK_DATA, NULL);
	size_t		len = member->len - reader->done;

	/* A member's first block is full, so three bytes if there are any. */
	if (len > reader->portion)
		len = reader->done == 0 && reader->portion < 3 ? 3 : reader->portion;
	if (len > member->len - reader->done)
		len = member->len - reader->done;
	block->data = cv_alloc(len + CV_PADDING);
	memcpy(block->data, member->data + reader->done, len);
	memset(block->data + len, 0, CV_PADDING);
	block->len = len;
	reader->done += len;
	return block;
}

CvBlock *
cv_reader_next(CvReader *reader)
{
	const Member *member;

	if (reader->at < 0)
	{
		reader->at = 0;
		reader->begun = false;
		return give(reader, CV_BLOCK_INPUT, "dir/input");
	}
	if (reader->at > reader->n_members)
		return give(reader, CV_BLOCK_END, NULL);
	if (reader->at == reader->n_members)
	{
		reader->at++;
		return give(reader, CV_BLOCK_INPUT_END, NULL);
	}
	member = &reader->members[reader->at];
	if (!reader->begun)
	{
		reader->begun = true;
		reader->now = member;
		reader->done = 0;
		return give(reader, CV_BLOCK_MEMBER, member->name);
	}
	if (reader->done < member->len)
		return give_data(reader, member);
	if (reader->failed && reader->at == reader->n_members - 1)
		return give(reader, CV_BLOCK_FAILED, "cut off");
	reader->at++;
	reader->begun = false;
	return give(reader, CV_BLOCK_MEMBER_END, NULL);
}

void
cv_reader_stop(CvReader *reader)
{
	give(reader, CV_BLOCK_END, NULL);
}

void
cv_reader_position(CvReader *reader, int64_t *done, int64_t *total)
{
	*done = (int64_t) reader->done;
	*total = 0;
}

int64_t
cv_reader_skipped(CvReader *reader)
{
	(void) reader;
	return 0;
}

/*
 * The format of a member depends on its first half megabyte, which is all of
 * it here, however small the portions are.  The head lives on in the run.
 */
extern const CvFormat *__real_cv_format_of(const char *name, bool archive,
										   const char *data, size_t len,
										   CvHead *head);
extern const CvFormat *__wrap_cv_format_of(const char *name, bool archive,
										   const char *data, size_t len,
										   CvHead *head);

const CvFormat *
__wrap_cv_format_of(const char *name, bool archive, const char *data,
					size_t len, CvHead *head)
{
	static char *all;
	const Member *member = fuzz_reader.now;

	(void) data;
	(void) len;
	free(all);
	all = cv_alloc(member->len);
	if (member->len > 0)
		memcpy(all, member->data, member->len);
	return __real_cv_format_of(name, archive, all, member->len, head);
}

/* --- the second opinion -------------------------------------------------- */

extern CvReason __real_cv_json_listen(CvJson *json, const char *line,
									  size_t len, const CvDefaults *defaults,
									  CvListen *listen);
extern CvReason __wrap_cv_json_listen(CvJson *json, const char *line,
									  size_t len, const CvDefaults *defaults,
									  CvListen *listen);

/* Both parsers have a limit, and not the same one. */
static bool
is_deep(const char *line, size_t len)
{
	int			opened = 0;

	for (size_t i = 0; i < len; i++)
		opened += line[i] == '{' || line[i] == '[';
	return opened > 1000;
}

/* A name without its NULs. */
static bool
is_name(json_t *value, CvText name)
{
	const char *text = json_string_value(value);
	size_t		len = json_string_length(value);
	size_t		at = 0;

	if (text == NULL)
		return name.data == NULL;
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\0' && (at >= name.len || name.data[at++] != text[i]))
			return false;
	return at == name.len;
}

static void
compare_listen(json_t *root, const CvDefaults *defaults,
			   const CvListen *listen)
{
	json_t	   *user = json_object_get(root, "user_id");
	json_t	   *metadata = json_object_get(root, "track_metadata");
	json_t	   *time = json_object_get(root, "listened_at");

	if (json_is_integer(user))
		FUZZ_REQUIRE(listen->user_id == json_integer_value(user));
	else if (user == NULL || json_is_null(user))
		FUZZ_REQUIRE(defaults->has_user_id &&
					 listen->user_id == defaults->user_id);
	if (time == NULL || json_is_null(time))
		time = json_object_get(root, "timestamp");
	if (time == NULL || json_is_null(time))
		time = json_object_get(root, "ts_since_epoch");
	FUZZ_REQUIRE(json_is_number(time) || json_is_string(time));
	if (json_is_integer(time))
		FUZZ_REQUIRE(listen->listened_at ==
					 json_integer_value(time) * 1000000);
	FUZZ_REQUIRE(json_is_object(metadata));
	FUZZ_REQUIRE(is_name(json_object_get(metadata, "artist_name"),
						 listen->artist_name));
	FUZZ_REQUIRE(is_name(json_object_get(metadata, "track_name"),
						 listen->track_name));
	FUZZ_REQUIRE(listen->release_name.data == NULL ||
				 is_name(json_object_get(metadata, "release_name"),
						 listen->release_name));
}

CvReason
__wrap_cv_json_listen(CvJson *json, const char *line, size_t len,
					  const CvDefaults *defaults, CvListen *listen)
{
	CvReason	reason = __real_cv_json_listen(json, line, len, defaults,
											   listen);
	json_error_t error;
	json_t	   *root;

	if (is_deep(line, len) || reason == CV_NOT_LISTENED)
		return reason;
	root = json_loadb(line, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (root == NULL)
	{
		enum json_error_code code = json_error_code(&error);

		/* A limit of jansson alone is no fault of the line. */
		FUZZ_REQUIRE(code == json_error_numeric_overflow ||
					 code == json_error_null_byte_in_key ||
					 reason == CV_BAD_JSON || reason == CV_BAD_ENCODING);
		return reason;
	}
	FUZZ_REQUIRE(json_is_object(root) ==
				 (reason != CV_BAD_JSON && reason != CV_BAD_ENCODING));
	if (reason == CV_LISTEN)
		compare_listen(root, defaults, listen);
	json_decref(root);
	return reason;
}

/* --- one input ----------------------------------------------------------- */

static void
read_members(CvReader *reader, const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;

	reader->n_members = 0;
	while (data < end && reader->n_members < MAX_MEMBERS)
	{
		Member	   *member = &reader->members[reader->n_members++];
		const uint8_t *next = NULL;

		member->name = names[*data++ % (sizeof(names) / sizeof(names[0]))];
		if (reader->archive && reader->n_members < MAX_MEMBERS)
			next = memchr(data, SEPARATOR, (size_t) (end - data));
		member->data = (const char *) data;
		member->len = (size_t) ((next != NULL ? next : end) - data);
		data = next != NULL ? next + 1 : end;
	}
}

static void
run(FuzzSink *sink, CvOptions *options, bool direct, CvResult *result)
{
	static char *const paths[] = {"dir/input"};

	fuzz_sink_begin(sink, options->table, direct);
	fuzz_expect_begin();
	cv_run(options, paths, 1, &sink->target, NULL, result);
	fuzz_check_run(sink, result);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int	rejects = -1;
	static const CvTable tables[] = {CV_TABLE_BOTH, CV_TABLE_LISTEN,
		CV_TABLE_RECORDING, CV_TABLE_BOTH};
	CvOptions	options = {0};
	CvResult	whole,
				parts;
	FuzzSink	a,
				b;
	char		path[64];
	off_t		len;
	char	   *text;
	bool		direct;

	if (size < 3)
		return 0;
	if (rejects < 0)
	{
		stderr = fopen("/dev/null", "w");
		rejects = memfd_create("rejects", 0);
		FUZZ_REQUIRE(stderr != NULL && rejects >= 0);
	}
	options.table = tables[(data[0] & FLAG_TABLE) / 4];
	options.by_month = (data[0] & FLAG_TABLE) == FLAG_TABLE;
	options.leave_out_early = (data[0] & FLAG_EARLY) != 0;
	options.force = (data[0] & FLAG_FORCE) != 0;
	options.has_user_id = (data[0] & FLAG_USER) != 0;
	options.user_id = options.has_user_id ? 7 : 0;
	direct = (data[1] & PORTION_DIRECT) != 0;
	fuzz_reader.archive = (data[0] & FLAG_ARCHIVE) != 0;
	fuzz_reader.failed = (data[0] & FLAG_FAILED) != 0;
	read_members(&fuzz_reader, data + 2, size - 2);

	fuzz_reader.portion = size;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", rejects);
	FUZZ_REQUIRE(cv_rejects_open(path, NULL, 0));
	run(&a, &options, direct, &whole);
	FUZZ_REQUIRE(cv_rejects_close());
	len = lseek(rejects, 0, SEEK_END);
	text = cv_alloc((size_t) len);
	FUZZ_REQUIRE(pread(rejects, text, (size_t) len, 0) == len);
	fuzz_check_rejects(text, (size_t) len, &whole.counts);
	free(text);

	fuzz_reader.portion = (data[1] & 127) + 1;
	run(&b, &options, direct, &parts);
	fuzz_check_equal(&a, &whole, &b, &parts);
	fuzz_sink_free(&a);
	fuzz_sink_free(&b);
	return 0;
}
