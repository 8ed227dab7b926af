/*
 * test_cv.c
 *		Unit tests of the converter's own pieces, against naive twins.
 *
 * No server, no files: make convert-unit builds it with sanitizers and runs
 * it in a second.
 */
#include "cv_import.h"
#include "cv_repair.h"
#include "cv_seen.h"
#include "cv_split.h"
#include "cv_sql.h"
#include "cv_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int	checks;
static int	failures;

#define CHECK(condition) \
	do \
	{ \
		checks++; \
		if (!(condition)) \
		{ \
			failures++; \
			printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
		} \
	} while (0)

static uint64_t state = 88172645463325252u;

static uint64_t
random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Times and months against the C library's calendar. */
static void
test_times(void)
{
	for (int i = 0; i < 100000; i++)
	{
		int64_t		span = INT64_C(253402300799) + INT64_C(62135596800);
		int64_t		seconds =
			(int64_t) (random64() % (uint64_t) span) - INT64_C(62135596800);
		time_t		t = (time_t) seconds;
		struct tm	tm;
		char		expected[64];
		char		got[CV_TIME_LEN];
		int64_t		micros,
					back;
		int			month;

		gmtime_r(&t, &tm);
		snprintf(expected, sizeof(expected), "%04d-%02d-%02d %02d:%02d:%02d+00",
				 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
				 tm.tm_min, tm.tm_sec);
		CHECK(cv_time_from_integer(seconds, &micros));
		CHECK(cv_time_format(got, micros) == strlen(expected));
		CHECK(strcmp(got, expected) == 0);
		CHECK(cv_time_from_iso(got, strlen(got), &back) && back == micros);

		month = (tm.tm_year + 1900 - 2002) * 12 + tm.tm_mon - 9 + 1;
		if (seconds < CV_EARLY_SECONDS)
			month = 0;
		else if (tm.tm_year + 1900 >= 2100)
			month = CV_SQL_MONTHS - 1;
		CHECK(cv_sql_month(micros) == month);
	}
}

static void
test_bad_times(void)
{
	static const char *const iso[] = {
		"2024-02-30 00:00:00", "2023-02-29T00:00:00Z", "2024-13-01 00:00:00",
		"2024-00-01 00:00:00", "2024-01-01 24:00:00", "2024-01-01",
		"2024-01-01 00:00:00+02:00", "x", "",
		/* a leap second outside the supported years */
	"9999-12-31T23:59:60Z"};
	static const char *const text[] = {"", " ", "1e", "0x1", "nan",
		"inf", "1 2", "--1", "1e999"};
	int64_t		micros;

	for (size_t i = 0; i < sizeof(iso) / sizeof(iso[0]); i++)
		CHECK(!cv_time_from_iso(iso[i], strlen(iso[i]), &micros));
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		CHECK(!cv_time_from_text(text[i], strlen(text[i]), &micros));
	CHECK(cv_time_from_iso("2024-02-29T12:30Z", 17, &micros) &&
		  micros == INT64_C(1709209800000000));
	CHECK(cv_time_from_iso("2026-09-01T00:00:03.123456+00:00", 32, &micros) &&
		  micros % 1000000 == 123456);
	CHECK(cv_time_from_text(" 1.5e9 ", 7, &micros) &&
		  micros == INT64_C(1500000000000000));
}

static void
test_uuids(void)
{
	CvUuid		uuid;

	for (int i = 0; i < 20000; i++)
	{
		char		text[37];
		CvUuid		random;
		int			at = (int) (random64() % 36);

		for (int j = 0; j < 16; j++)
			random.byte[j] = (uint8_t) random64();
		cv_uuid_format(text, &random);
		text[36] = '\0';
		CHECK(cv_uuid_parse(text, 36, &uuid) &&
			  memcmp(&uuid, &random, 16) == 0);
		CHECK(!cv_uuid_parse(text, 35, &uuid));
		text[at] = 'g';
		CHECK(!cv_uuid_parse(text, 36, &uuid));
	}
	CHECK(cv_uuid_parse("{4269DDBC92414-6da-935d-4fa9e0f7f371}", 36, &uuid) ==
		  false);
	CHECK(cv_uuid_parse("4269ddbc9241-46da-935d-4fa9e0f7f371", 35, &uuid));
	CHECK(!cv_uuid_parse("-4269ddbc924146da935d4fa9e0f7f371", 33, &uuid));
	CHECK(!cv_uuid_parse("4269ddbc924146da935d4fa9e0f7f371-", 33, &uuid));
}

/* --- splitting: any cut of the input into blocks gives the same pieces --- */

static CvBuf pieces;

static bool
note_piece(void *arg, int64_t offset, const char *piece, size_t len,
		   bool too_long)
{
	(void) arg;
	cv_buf_printf(&pieces, "%lld:%d:%.*s|", (long long) offset, too_long,
				  (int) len, piece);
	return true;
}

static void
split_randomly(const char *text, size_t len, CvCut cut, const char *key,
			   bool whole)
{
	CvSplit		split = {.piece = note_piece};
	char	   *block = malloc(len + CV_PADDING);

	pieces.len = 0;
	cv_buf_printf(&pieces, "%s", "");
	cv_split_begin(&split, cut, key);
	for (size_t at = 0; at < len;)
	{
		size_t		part = whole ? len : 1 + random64() % 7;

		if (part > len - at)
			part = len - at;
		memcpy(block, text + at, part);
		memset(block + part, 0, CV_PADDING);
		CHECK(cv_split_data(&split, block, part));
		at += part;
	}
	CHECK(cv_split_end(&split));
	cv_buf_free(&split.carry);
	free(block);
}

static void
test_split(void)
{
	static const struct
	{
		CvCut		cut;
		const char *key;
		const char *alphabet;
		const char *begin;
	}			kinds[] = {
		{CV_CUT_LINES, NULL, "ab\n\r ", ""},
		{CV_CUT_RECORDS, NULL, "a\"\",\n\t", ""},
		{CV_CUT_VALUES, NULL, "{}[],\"\\a 1", "["},
		{CV_CUT_VALUES, NULL, "{}[],\"\\a 1", ""},
		{CV_CUT_VALUES, "a", "{}[],\"\\a:", "{\"a\":["}
	};

	for (int i = 0; i < 50000; i++)
	{
		CvCut		cut = kinds[i % 5].cut;
		const char *key = kinds[i % 5].key;
		const char *alphabet = kinds[i % 5].alphabet;
		char		text[80];
		size_t		begin = strlen(kinds[i % 5].begin);
		size_t		len = begin + random64() % 64;
		char	   *whole;

		memcpy(text, kinds[i % 5].begin, begin);
		for (size_t j = begin; j < len; j++)
			text[j] = alphabet[random64() % strlen(alphabet)];
		split_randomly(text, len, cut, key, true);
		whole = strdup(pieces.data);
		for (int k = 0; k < 3; k++)
		{
			split_randomly(text, len, cut, key, false);
			CHECK(strcmp(whole, pieces.data) == 0);
		}
		free(whole);
	}
	split_randomly("[{\"a\":[1,{}],\"b\":\"]},\\\"\"} , {},x,\n{", 35,
				   CV_CUT_VALUES, NULL, true);
	CHECK(strcmp(pieces.data, "1:0:{\"a\":[1,{}],\"b\":\"]},\\\"\"}|28:0:{}|"
				 "31:0:x|34:0:{|") == 0);
	split_randomly("{\"a\":1}{}\n[{},{}][3]{", 22, CV_CUT_VALUES, NULL, true);
	CHECK(strcmp(pieces.data, "0:0:{\"a\":1}|7:0:{}|11:0:{}|14:0:{}|"
				 "18:0:3|20:0:{|") == 0);
	split_randomly("{\"b\":[9],\"c\":{\"a\":[8]},\"a\": [{},[7]],\"d\":[6]}", 45,
				   CV_CUT_VALUES, "a", true);
	CHECK(strcmp(pieces.data, "29:0:{}|32:0:[7]|") == 0);
	split_randomly("a\n\nb", 4, CV_CUT_LINES, NULL, true);
	CHECK(strcmp(pieces.data, "0:0:a|2:0:|3:0:b|") == 0);
	split_randomly("a,\"b\n\"\"c\"\nd\"\n\"e", 15, CV_CUT_RECORDS, NULL, true);
	CHECK(strcmp(pieces.data, "0:0:a,\"b\n\"\"c\"|10:0:d\"|13:0:\"e|") == 0);
	cv_buf_free(&pieces);
}

static void
test_seen(void)
{
	CvSeen	   *seen = cv_seen_create();
	int			again = 0;

	for (int pass = 0; pass < 2; pass++)
	{
		for (uint32_t i = 0; i < 900000; i++)
		{
			CvUuid		uuid = {{0}};

			/* Sequential UUIDs, as some client invents them. */
			memcpy(uuid.byte + 12, &i, sizeof(i));
			if (pass == 0)
				CHECK(!cv_seen_add(seen, &uuid, false));
			else
				again += cv_seen_add(seen, &uuid, false);
		}
	}
	/* It may forget, but not before it is half full. */
	CHECK(again == 900000 && !cv_seen_forgot(seen));
	{
		CvUuid		uuid = {{1}};

		CHECK(!cv_seen_add(seen, &uuid, false));
		CHECK(!cv_seen_add(seen, &uuid, true));
		CHECK(cv_seen_add(seen, &uuid, true));
		CHECK(cv_seen_add(seen, &uuid, false));
	}
	for (int i = 0; i < 4000000; i++)
	{
		CvUuid		uuid;

		for (int j = 0; j < 16; j += 8)
		{
			uint64_t	r = random64();

			memcpy(uuid.byte + j, &r, 8);
		}
		cv_seen_add(seen, &uuid, false);
	}
	CHECK(cv_seen_forgot(seen));
	cv_seen_free(seen);
}

/* Lines of random bytes: nothing may be read or written outside. */
static void
test_repair(void)
{
	static const char alphabet[] = "0123456789eE+-.\"\\ud8dc{}:, ";
	CvBuf		out = {0};

	for (int i = 0; i < 50000; i++)
	{
		size_t		len = random64() % 60;
		char	   *line = malloc(len + 1);

		for (size_t j = 0; j < len; j++)
			line[j] = alphabet[random64() % strlen(alphabet)];
		cv_repair_has_lone_surrogate(line, len);
		if (cv_repair_numbers(&out, line, len))
			CHECK(out.len == len);
		free(line);
	}
	CHECK(cv_repair_numbers(&out, "{\"a\":-1e400,\"1e400\":2}", 22));
	CHECK(memcmp(out.data, "{\"a\":9e99  ,\"1e400\":2}", 22) == 0);
	CHECK(!cv_repair_numbers(&out, "{\"a\":\"1e400\"}", 13));
	cv_buf_free(&out);
}

/* Text stays as it is, the rest becomes \xHH, its backslash escaped. */
static void
test_bytes(void)
{
	static const struct
	{
		const char *bytes;
		size_t		len;
		const char *copied;
	}			cases[] = {
		{"", 0, ""}, {"a\tb\\", 4, "a\\tb\\\\"}, {"a\0", 2, "a\\\\x00"},
		{"\xc3\xa9", 2, "\xc3\xa9"}, {"\xc3", 1, "\\\\xc3"},
		{"\xc0\x80", 2, "\\\\xc0\\\\x80"},
		{"\xe0\x9f\xbf", 3, "\\\\xe0\\\\x9f\\\\xbf"},
		{"\xed\xa0\x80", 3, "\\\\xed\\\\xa0\\\\x80"},
		{"\xee\x80\x80", 3, "\xee\x80\x80"},
		{"\xf0\x90\x80\x80", 4, "\xf0\x90\x80\x80"},
		{"\xf4\x90\x80\x80", 4, "\\\\xf4\\\\x90\\\\x80\\\\x80"},
		{"\xf4\x8f\xbf\xbfz", 5, "\xf4\x8f\xbf\xbfz"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		CvBuf		buf = {0};

		cv_copy_bytes(&buf, cases[i].bytes, cases[i].len);
		CHECK(buf.len == strlen(cases[i].copied) &&
			  (buf.len == 0 || memcmp(buf.data, cases[i].copied, buf.len) == 0));
		cv_buf_free(&buf);
	}
}

static void
test_msid(void)
{
	CvListen	a = {.artist_name = {"Ab", 2}, .track_name = {"c", 1}};
	CvListen	b = {.artist_name = {"aB", 2}, .track_name = {"C", 1}};
	CvListen	c = {.artist_name = {"a", 1}, .track_name = {"bc", 2}};

	cv_import_msid(&a);
	cv_import_msid(&b);
	cv_import_msid(&c);
	CHECK(memcmp(&a.recording_msid, &b.recording_msid, 16) == 0);
	CHECK(memcmp(&a.recording_msid, &c.recording_msid, 16) != 0);
	CHECK((a.recording_msid.byte[6] & 0xf0) == 0x50);
}

static void
test_printable(void)
{
	static const char *const cases[][2] = {
		{"plain \xc3\xa9 \xe9\x9f\xb3", "plain \xc3\xa9 \xe9\x9f\xb3"},
		{"a\x1b[2J\tb\n", "a?[2J b "},
		{"\xc2\x9b" "31m\xc2\xa0", "?31m\xc2\xa0"},
		{"\xe2\x80\xae" "exe\xe2\x81\xa9\xd8\x9c\xe2\x80\x8f", "?exe???"},
		{"\xef\xbb\xbf\xe2\x80\x8b\xe2\x80\xa8\xf3\xa0\x81\x81", "????"},
		{"\xff\x80\xe9\x9f", "????"}
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char		text[64];

		strcpy(text, cases[i][0]);
		cv_make_printable(text);
		CHECK(strcmp(text, cases[i][1]) == 0);
	}
}

static void
test_words(void)
{
	int64_t		a,
				b;

	CHECK(cv_time_from_words("05 Apr 2010 11:59", 17, &a) &&
		  cv_time_from_iso("2010-04-05 11:59", 16, &b) && a == b);
	CHECK(cv_time_from_words("5 Dec 2010, 11:59", 17, &a) &&
		  cv_time_from_iso("2010-12-05 11:59", 16, &b) && a == b);
	CHECK(!cv_time_from_words("05 Foo 2010 11:59", 17, &a));
	CHECK(!cv_time_from_words("05 anF 2010 11:59", 17, &a));
	CHECK(!cv_time_from_words("32 Jan 2010 11:59", 17, &a));
	CHECK(!cv_time_from_words("05 Apr 2010 11:5", 16, &a));
	CHECK(!cv_time_from_words("05 Apr 2010", 11, &a));
	CHECK(!cv_time_from_words("5", 1, &a));
}

int
main(void)
{
	test_printable();
	test_words();
	test_times();
	test_bad_times();
	test_uuids();
	test_split();
	test_seen();
	test_repair();
	test_bytes();
	test_msid();
	printf("%d checks, %d failed\n", checks, failures);
	return failures > 0;
}
