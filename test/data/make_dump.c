/*
 * make_dump.c
 *		Writes a ListenBrainz listens dump of invented listens.
 *
 * For tests, demonstrations and measurements: the listens are invented, but
 * have the structure that matters in real ones (md_world.c).  By default it
 * has the shape of the data behind the preprint that lbrec follows: 2,534,176
 * listens of 518,540 recordings in listens/1970/1.listens, where bad clocks
 * put them, and listens/2005/2.listens to 9.listens.
 *
 * A tar header holds the size of its member, so each member's lines are
 * written twice: first only to count their bytes.
 */
#include "md.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEED_LISTENS 2534176
#define SEED_RECORDINGS 518540
#define SEED_BAD_CLOCKS 1250000

/* Lines are collected up to this before they go to libarchive. */
#define CHUNK ((size_t) 1 << 20)

/* 2022-03-15 04:00:02 UTC, the time of the preprint's dump. */
#define SEED_TIME INT64_C(1647316802)

static const char help[] =
	"make_dump writes a ListenBrainz listens dump of invented listens.\n"
	"\n"
	"Usage: make_dump [OPTION]... -o FILE\n"
	"\n"
	"  -o FILE             .tar.zst, .tar.xz, .tar.gz or .tar\n"
	"      --listens N     default 2534176\n"
	"      --recordings N  each is listened to; default: 1 to 4.887 listens\n"
	"      --artists N     default: 1 to 12 recordings\n"
	"      --users N       default: 1 to 700 listens\n"
	"      --seed N        the same seed, the same bytes; default 42\n"
	"      --start YYYY-MM first month; default 2005-02\n"
	"      --months N      default 8\n"
	"      --bad-clocks N  listens in January 1970; default: 49% of the\n"
	"                      listens, or none if --start is given\n"
	"      --format NAME   2022 or current; default: 2022, or current if\n"
	"                      --start is 2023 or later\n"
	"      --malformed P   lines that are no listens, in percent of the usual\n"
	"                      number; default 100, or 0 in the current format\n"
	"      --level N       of compression\n"
	"\n"
	"The report on standard output has a name and a number a line: what\n"
	"lbrec-convert should count.\n";

/* A damaged line: before which listen it stands. */
typedef struct Insert
{
	int64_t		before;
	MdDamage	damage;
} Insert;

typedef struct Output
{
	struct archive *archive;
	const char *path;
	char	   *top;			/* the folder that all is in */
	char	   *chunk;
	int64_t		bytes;
	time_t		time;			/* when the dump was made, so it says */
} Output;

void
md_fail(const char *format,...)
{
	va_list		args;

	fputs("make_dump: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

void *
md_alloc(size_t n, size_t size)
{
	void	   *p = calloc(n > 0 ? n : 1, size);

	if (p == NULL)
		md_fail("out of memory");
	return p;
}

static int64_t
number(const char *option, const char *text, int64_t least, int64_t most)
{
	char	   *end;
	long long	value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 ||
		value < least || value > most)
		md_fail("--%s must be a number from %" PRId64 " to %" PRId64
				", not \"%s\"", option, least, most, text);
	return value;
}

static int
month(const char *text)
{
	int			y,
				m;
	char		rest;

	if (sscanf(text, "%4d-%2d%c", &y, &m, &rest) != 2 ||
		y < 1971 || y > 2999 || m < 1 || m > 12)
		md_fail("--start must be a month such as 2005-02, not \"%s\"", text);
	return y * 12 + m - 1;
}

/* Options and the defaults that depend on others. */
static const char *
parse(int argc, char **argv, MdOptions *options, int *level)
{
	enum
	{
		LISTENS = 256, RECORDINGS, ARTISTS, USERS, SEED, START, MONTHS,
		BAD_CLOCKS, FORMAT, MALFORMED, LEVEL
	};
	static const struct option names[] = {
		{"listens", required_argument, NULL, LISTENS},
		{"recordings", required_argument, NULL, RECORDINGS},
		{"artists", required_argument, NULL, ARTISTS},
		{"users", required_argument, NULL, USERS},
		{"seed", required_argument, NULL, SEED},
		{"start", required_argument, NULL, START},
		{"months", required_argument, NULL, MONTHS},
		{"bad-clocks", required_argument, NULL, BAD_CLOCKS},
		{"format", required_argument, NULL, FORMAT},
		{"malformed", required_argument, NULL, MALFORMED},
		{"level", required_argument, NULL, LEVEL},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}
	};
	const char *path = NULL;
	const char *format = NULL;
	bool		started = false;
	int			c;
	int			i = 0;

	*level = -1;
	options->seed = 42;
	options->listens = SEED_LISTENS;
	options->recordings = -1;
	options->artists = -1;
	options->users = -1;
	options->bad_clocks = -1;
	options->start = 2005 * 12 + 1;
	options->months = 8;
	options->malformed = -1;
	while ((c = getopt_long(argc, argv, "ho:", names, &i)) != -1)
	{
		const char *name = c >= 256 ? names[c - 256].name : "";

		switch (c)
		{
			case LISTENS:
				options->listens = number(name, optarg, 16, INT32_MAX);
				break;
			case RECORDINGS:
				options->recordings = number(name, optarg, 1, INT32_MAX);
				break;
			case ARTISTS:
				options->artists = number(name, optarg, 1, INT32_MAX);
				break;
			case USERS:
				options->users = number(name, optarg, 1, INT32_MAX);
				break;
			case SEED:
				options->seed = (uint64_t) number(name, optarg, 0, INT64_MAX);
				break;
			case START:
				options->start = month(optarg);
				started = true;
				break;
			case MONTHS:
				options->months = (int) number(name, optarg, 1, 1200);
				break;
			case BAD_CLOCKS:
				options->bad_clocks = number(name, optarg, 0, INT32_MAX);
				break;
			case FORMAT:
				format = optarg;
				break;
			case MALFORMED:
				options->malformed = number(name, optarg, 0, 1000000);
				break;
			case LEVEL:
				*level = (int) number(name, optarg, 0, 22);
				break;
			case 'o':
				path = optarg;
				break;
			case 'h':
				fputs(help, stdout);
				exit(0);
			default:
				exit(2);
		}
	}
	if (path == NULL || optind < argc)
		md_fail("the archive's name is needed, and nothing else: -o FILE");

	if (format == NULL)
		format = options->start >= 2023 * 12 ? "current" : "2022";
	if (strcmp(format, "current") == 0)
		options->format = MD_CURRENT;
	else if (strcmp(format, "2022") == 0)
		options->format = MD_2022;
	else
		md_fail("--format is 2022 or current, not \"%s\"", format);
	if (options->malformed < 0)
		options->malformed = options->format == MD_2022 ? 100 : 0;
	if (options->recordings < 0)
		options->recordings = options->listens == SEED_LISTENS
			? SEED_RECORDINGS : (int64_t) ((double) options->listens / 4.887);
	if (options->artists < 0)
		options->artists = (options->recordings + 11) / 12;
	if (options->users < 0)
		options->users = 2 + options->listens / 700;
	if (options->bad_clocks < 0)
		options->bad_clocks = started ? 0 : (int64_t)
			((double) options->listens * SEED_BAD_CLOCKS / SEED_LISTENS + 0.5);
	if (options->bad_clocks > options->listens)
		md_fail("--bad-clocks cannot be more than --listens");
	if (options->recordings > options->listens)
		md_fail("--recordings cannot be more than --listens");
	if (options->artists > options->recordings)
		md_fail("--artists cannot be more than --recordings");
	if (options->users > options->listens / 4)
		md_fail("--users cannot be more than a quarter of --listens");
	return path;
}

static void
check(struct archive *archive, int status)
{
	if (status < ARCHIVE_WARN)
		md_fail("could not write the archive: %s",
				archive_error_string(archive));
}

static bool
ends_with(const char *text, const char *end)
{
	size_t		n = strlen(text);
	size_t		m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static void
output_open(Output *out, const char *path, int level)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	const char *end = strstr(name, ".tar");
	const char *filter = NULL;
	char		text[32];

	if (end == NULL || end == name)
		md_fail("\"%s\" should be named like an archive: NAME.tar.zst", path);
	out->path = path;
	out->bytes = 0;
	out->top = md_alloc((size_t) (end - name) + 1, 1);
	memcpy(out->top, name, (size_t) (end - name));
	out->chunk = md_alloc(CHUNK + MD_LINE_MAX, 1);
	out->archive = archive_write_new();
	if (out->archive == NULL)
		md_fail("out of memory");
	check(out->archive, archive_write_set_format_pax_restricted(out->archive));
	if (ends_with(end, ".zst"))
	{
		filter = "zstd";
		check(out->archive, archive_write_add_filter_zstd(out->archive));
		/* Always two: their number must not change the bytes. */
		check(out->archive, archive_write_set_filter_option(out->archive,
															filter, "threads",
															"2"));
	}
	else if (ends_with(end, ".xz"))
	{
		filter = "xz";
		check(out->archive, archive_write_add_filter_xz(out->archive));
		check(out->archive, archive_write_set_filter_option(out->archive,
															filter, "threads",
															"2"));
	}
	else if (ends_with(end, ".gz"))
	{
		filter = "gzip";
		check(out->archive, archive_write_add_filter_gzip(out->archive));
		check(out->archive, archive_write_set_filter_option(out->archive,
															filter,
															"timestamp",
															NULL));
	}
	else if (!ends_with(end, ".tar"))
		md_fail("\"%s\": the compressions are .zst, .xz, .gz or none", path);
	if (filter != NULL)
	{
		if (level < 0)
			level = 1;
		snprintf(text, sizeof(text), "%d", level);
		check(out->archive, archive_write_set_filter_option(out->archive,
															filter,
															"compression-level",
															text));
	}
	check(out->archive, archive_write_open_filename(out->archive, path));
}

/* Begins a member; of no size: a folder. */
static void
output_member(Output *out, const char *name, int64_t size)
{
	struct archive_entry *entry = archive_entry_new();
	char		path[1024];

	snprintf(path, sizeof(path), "%s/%s", out->top, name);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, size < 0 ? AE_IFDIR : AE_IFREG);
	archive_entry_set_perm(entry, size < 0 ? 0755 : 0644);
	archive_entry_set_size(entry, size < 0 ? 0 : size);
	archive_entry_set_mtime(entry, out->time, 0);
	check(out->archive, archive_write_header(out->archive, entry));
	archive_entry_free(entry);
}

static void
output_data(Output *out, const char *data, size_t len)
{
	if (len > 0 &&
		archive_write_data(out->archive, data, len) != (la_ssize_t) len)
		md_fail("could not write \"%s\": %s", out->path,
				archive_error_string(out->archive));
}

static void
output_text(Output *out, const char *name, const char *text)
{
	output_member(out, name, (int64_t) strlen(text));
	output_data(out, text, strlen(text));
}

/* Writes a month's lines, or only counts their bytes. */
static int64_t
write_lines(Output *out, bool count_only, const MdWorld *world,
			const MdOptions *options, int64_t from, int64_t until,
			const Insert **insert)
{
	const Insert *next = *insert;
	char	   *p = out->chunk;
	int64_t		bytes = 0;
	int64_t		i = from;

	while (i < until)
	{
		if (next->before == i)
			p = md_line(p, world, options, &world->listens[i],
						next++->damage);
		else
			p = md_line(p, world, options, &world->listens[i++], MD_WHOLE);
		if (p > out->chunk + CHUNK || i == until)
		{
			if (!count_only)
				output_data(out, out->chunk, (size_t) (p - out->chunk));
			bytes += p - out->chunk;
			p = out->chunk;
		}
	}
	if (!count_only)
	{
		*insert = next;
		out->bytes += bytes;
	}
	return bytes;
}

static int
compare_inserts(const void *a, const void *b)
{
	const Insert *x = a;
	const Insert *y = b;

	if (x->before != y->before)
		return x->before < y->before ? -1 : 1;
	return (int) x->damage - (int) y->damage;
}

static int64_t
damaged(const MdOptions *options, int damage)
{
	return md_damage_kinds[damage].count * options->malformed / 100;
}

/* Spread over the whole dump; the last marks the end. */
static Insert *
make_inserts(const MdOptions *options)
{
	MdRng		rng = md_rng(options->seed, 0);
	int64_t		n = 0;
	int64_t		i = 0;
	Insert	   *inserts;

	for (int d = 1; d < MD_DAMAGES; d++)
		n += damaged(options, d);
	inserts = md_alloc((size_t) n + 1, sizeof(Insert));
	for (int d = 1; d < MD_DAMAGES; d++)
		for (int64_t k = 0; k < damaged(options, d); k++, i++)
		{
			inserts[i].before = md_below(&rng, options->listens);
			inserts[i].damage = (MdDamage) d;
		}
	qsort(inserts, (size_t) n, sizeof(Insert), compare_inserts);
	inserts[n].before = -1;
	return inserts;
}

static void
write_listens(Output *out, const MdWorld *world, const MdOptions *options)
{
	Insert	   *inserts = make_inserts(options);
	const Insert *insert = inserts;
	const MdListen *listens = world->listens;
	int64_t		n = options->listens;
	int			year = -1;

	output_member(out, "listens", -1);
	for (int64_t from = 0, until = 0; from < n; from = until)
	{
		int			of = md_month_of(listens[from].time);
		int64_t		end = md_month_start(of + 1);
		char		name[64];

		for (until = from; until < n && listens[until].time < end;)
			until++;
		if (of / 12 != year)
		{
			year = of / 12;
			snprintf(name, sizeof(name), "listens/%d", year);
			output_member(out, name, -1);
		}
		snprintf(name, sizeof(name), "listens/%d/%d.listens", year,
				 of % 12 + 1);
		output_member(out, name, write_lines(out, true, world, options, from,
											 until, &insert));
		write_lines(out, false, world, options, from, until, &insert);
		printf("%s\t%" PRId64 "\n", name, until - from);
	}
	free(inserts);
}

/* Reports the counts that a reader of the dump must find. */
static void
report(const Output *out, const MdWorld *world, const MdOptions *options)
{
	static const char *const reasons[] = {
		"json", "encoding", "user", "time", "msid", "artist", "track"
	};
	int64_t		lines = options->listens;
	int64_t		early = 0;
	int64_t		repaired = 0;
	int64_t		twice = damaged(options, MD_TWICE);

	for (int64_t i = 0; i < options->listens; i++)
	{
		early += world->listens[i].time < INT64_C(1033430400);
		repaired += md_has_nul(world, &world->listens[i]);
	}
	for (int d = 1; d < MD_DAMAGES; d++)
	{
		printf("malformed: %s\t%" PRId64 "\n", md_damage_kinds[d].name,
			   damaged(options, d));
		lines += damaged(options, d);
	}
	for (size_t r = 0; r < sizeof(reasons) / sizeof(reasons[0]); r++)
	{
		int64_t		sum = 0;

		for (int d = 1; d < MD_DAMAGES; d++)
			if (md_damage_kinds[d].reason != NULL &&
				strcmp(md_damage_kinds[d].reason, reasons[r]) == 0)
				sum += damaged(options, d);
		printf("rejected: %s\t%" PRId64 "\n", reasons[r], sum);
	}
	printf("bytes\t%" PRId64 "\nlines\t%" PRId64 "\nblank\t%" PRId64
		   "\nlistens read\t%" PRId64 "\nlistens\t%" PRId64
		   "\nrecordings\t%" PRId64 "\nartists\t%" PRId64 "\nusers\t%" PRId64
		   "\nearly\t%" PRId64 "\nwith NUL\t%" PRId64 "\n",
		   out->bytes, lines, damaged(options, MD_BLANK),
		   options->listens + twice, options->listens, options->recordings,
		   options->artists, options->users, early, repaired);
}

int
main(int argc, char **argv)
{
	MdOptions	options;
	MdWorld		world = {0};
	Output		out;
	int			level;
	const char *path = parse(argc, argv, &options, &level);
	int64_t		end = md_month_start(options.start + options.months);
	char		timestamp[64];

	out.time = (time_t) (end > SEED_TIME ? end : SEED_TIME);
	strftime(timestamp, sizeof(timestamp), "%Y-%m-%dT%H:%M:%S.000000+00:00\n",
			 gmtime(&out.time));
	output_open(&out, path, level);
	md_world_make(&world, &options);
	output_member(&out, "", -1);
	output_text(&out, "SCHEMA_SEQUENCE", "1\n");
	output_text(&out, "TIMESTAMP", timestamp);
	output_text(&out, "COPYING",
				"These listens are invented: make_dump of lbrec wrote them.\n"
				"No person, artist or recording in them is real.  Public "
				"domain.\n");
	write_listens(&out, &world, &options);
	check(out.archive, archive_write_close(out.archive));
	archive_write_free(out.archive);
	report(&out, &world, &options);
	if (fflush(stdout) != 0)
		md_fail("could not write the report: %s", strerror(errno));
	return 0;
}
