/*
 * cv_report.c
 *		Counts, rejects, progress and the summary.
 *
 * Everything goes to standard error: standard output may be a script.
 */
#include "cv_report.h"
#include "cv_text.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Bounds the messages for a dump with a fault in each line. */
#define TOLD_REJECTS 10

#define TERMINAL_SECONDS 0.5
#define PLAIN_SECONDS 30.0

static FILE *rejects_file;
static const char *rejects_path;
static bool terminal;
static bool progress_shown;
static double started;
static double last_shown;

int64_t
cv_counts_rejected(const CvCounts *counts)
{
	int64_t		sum = 0;

	for (int i = CV_BAD_JSON; i < CV_REASONS; i++)
		sum += counts->rejected[i];
	return sum;
}

void
cv_counts_listen(CvCounts *counts, const CvListen *listen)
{
	if (counts->listens == 0 || listen->listened_at < counts->first)
		counts->first = listen->listened_at;
	if (counts->listens == 0 || listen->listened_at > counts->last)
		counts->last = listen->listened_at;
	counts->listens++;
	counts->early += listen->listened_at < CV_EARLY_SECONDS * 1000000;
	counts->repaired += listen->repaired;
}

/* True if path is the file of st, or lies in its folder. */
static bool
is_input(const char *path, const struct stat *rejects, const char *input)
{
	struct stat st;
	char	   *folder;
	char	   *file;
	bool		within;

	if (strcmp(input, "-") == 0 ? fstat(STDIN_FILENO, &st) != 0
		: stat(input, &st) != 0)
		return false;
	if (!S_ISDIR(st.st_mode))
		return S_ISREG(st.st_mode) && rejects != NULL &&
			st.st_dev == rejects->st_dev && st.st_ino == rejects->st_ino;
	/* A later run would read a rejects file inside the input folder. */
	folder = realpath(input, NULL);
	if (rejects != NULL)
		file = realpath(path, NULL);
	else
	{
		char	   *copy = cv_strdup(path);

		file = realpath(dirname(copy), NULL);
		free(copy);
	}
	within = folder != NULL && file != NULL &&
		strncmp(file, folder, strlen(folder)) == 0 &&
		(file[strlen(folder)] == '/' || file[strlen(folder)] == '\0' ||
		 strcmp(folder, "/") == 0);
	free(folder);
	free(file);
	return within;
}

bool
cv_rejects_open(const char *path, char *const *inputs, int n)
{
	struct stat st;
	bool		exists = stat(path, &st) == 0;
	struct stat out;

	for (int i = 0; i < n; i++)
		if (is_input(path, exists ? &st : NULL, inputs[i]))
		{
			cv_error("will not write rejected lines to \"%s\": it is read",
					 path);
			cv_hint("Name another file for --rejects, outside of the input.");
			return false;
		}
	if (exists && S_ISREG(st.st_mode) && fstat(STDOUT_FILENO, &out) == 0 &&
		out.st_dev == st.st_dev && out.st_ino == st.st_ino)
	{
		cv_error("will not write rejected lines to \"%s\": it is standard "
				 "output",
				 path);
		return false;
	}
	rejects_path = path;
	rejects_file = fopen(path, "w");
	if (rejects_file == NULL)
	{
		cv_error("could not open \"%s\" for rejected lines: %s", path,
				 strerror(errno));
		return false;
	}
	fputs("member\tline\toffset\treason\tdetail\ttext\n", rejects_file);
	return true;
}

static bool
rejects_failed(void)
{
	cv_error("could not write rejected lines to \"%s\": %s", rejects_path,
			 strerror(errno));
	return false;
}

/*
 * Writes one row in COPY's text format, so that you can load the file and
 * query it.  The line's bytes are kept, except for COPY's marks and bytes that
 * text cannot hold.
 */
static bool
keep_reject(const CvPlace *place, CvReason reason, const char *detail,
			const char *line, size_t len)
{
	CvBuf		row = {0};
	bool		ok;

	cv_copy_bytes(&row, place->member, strlen(place->member));
	cv_buf_printf(&row, "\t%lld\t%lld\t%s\t", (long long) place->line,
				  (long long) place->offset, cv_reason_name(reason));
	cv_copy_text(&row, detail, strlen(detail));
	cv_buf_str(&row, "\t");
	cv_copy_bytes(&row, line, len);
	cv_buf_str(&row, "\n");
	ok = fwrite(row.data, 1, row.len, rejects_file) == row.len;
	cv_buf_free(&row);
	return ok || rejects_failed();
}

bool
cv_reject(CvCounts *counts, const CvPlace *place, CvReason reason,
		  const char *detail, const char *line, size_t len)
{
	int64_t		before = cv_counts_rejected(counts);

	counts->rejected[reason]++;
	if (!cv_quiet && before < TOLD_REJECTS)
	{
		cv_progress_end();
		cv_warning("%s: line %lld, offset %lld: rejected (%s): %s",
				   place->member, (long long) place->line,
				   (long long) place->offset, cv_reason_name(reason), detail);
		if (before + 1 == TOLD_REJECTS)
			cv_hint("Further rejected lines are only counted%s.",
					rejects_file != NULL
					? " and kept"
					: "; --rejects FILE keeps them");
	}
	if (rejects_file != NULL)
		return keep_reject(place, reason, detail, line, len);
	return true;
}

bool
cv_rejects_close(void)
{
	FILE	   *file = rejects_file;

	rejects_file = NULL;
	if (file != NULL && (ferror(file) | fclose(file)) != 0)
		return rejects_failed();
	return true;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

void
cv_progress_start(void)
{
	terminal = isatty(STDERR_FILENO);
	started = last_shown = now();
}

static void
format_bytes(char *out, size_t size, double bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	int			unit = 0;

	while (bytes >= 1000 && unit < 4)
	{
		bytes /= 1000;
		unit++;
	}
	snprintf(out, size, bytes < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", bytes,
			 units[unit]);
}

static void
format_seconds(char *out, size_t size, double seconds)
{
	long		s = (long) seconds;

	if (s >= 3600)
		snprintf(out, size, "%ld h %02ld min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(out, size, "%ld min %02ld s", s / 60, s % 60);
	else
		snprintf(out, size, "%ld s", s);
}

void
cv_progress(const CvCounts *counts, const char *member, int64_t done,
			int64_t total)
{
	double		t;
	char		bytes[32];
	char		left[48] = "";
	char		line[512];

	if (cv_quiet)
		return;
	t = now();
	if (t - last_shown < (terminal ? TERMINAL_SECONDS : PLAIN_SECONDS))
		return;
	last_shown = t;
	format_bytes(bytes, sizeof(bytes), (double) counts->bytes);
	if (total > 0 && done > 0 && done <= total)
	{
		char		time[32];

		format_seconds(time, sizeof(time),
					   (t - started) * (double) (total - done) /
					   (double) done);
		snprintf(left, sizeof(left), ", %d%%, %s left",
				 (int) (100 * done / total), time);
	}
	snprintf(line, sizeof(line),
			 "%lld members, %s, %lld listens (%.0f/s), %lld rejected%s: %.80s",
			 (long long) counts->members, bytes, (long long) counts->listens,
			 (double) counts->listens / (t - started),
			 (long long) cv_counts_rejected(counts), left, member);
	cv_make_printable(line);
	if (terminal)
		fprintf(stderr, "\r%s\033[K", line);
	else
		fprintf(stderr, "lbrec-convert: %s\n", line);
	progress_shown = terminal;
}

void
cv_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

static void
json_number(FILE *to, const char *name, int64_t value)
{
	if (value < 0)
		fprintf(to, "\"%s\":null,", name);
	else
		fprintf(to, "\"%s\":%lld,", name, (long long) value);
}

static void
json_time(FILE *to, const char *name, const CvCounts *counts, int64_t micros)
{
	char		time[CV_TIME_LEN];

	if (counts->listens == 0)
	{
		fprintf(to, "\"%s\":null,", name);
		return;
	}
	cv_time_format(time, micros);
	fprintf(to, "\"%s\":\"%s\",", name, time);
}

/*
 * Number of listens that were there already.  Unknown for a replacement, whose
 * unchanged listens stay, and for a run that could not finish, whose last
 * listens were not merged.
 */
static int64_t
duplicates(const CvCounts *counts, int64_t written, int64_t removed,
		   int status)
{
	if (written < 0 || removed >= 0 || status == 2)
		return -1;
	return counts->listens - counts->left_out - written;
}

/*
 * The largest resident size: the tests for constant memory need it.
 * getrusage() does not serve: its figure begins with that of the program that
 * forked us.
 */
static int64_t
peak_kilobytes(void)
{
	FILE	   *file = fopen("/proc/self/status", "r");
	char		line[256];
	long long	value = -1;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmHWM: %lld", &value) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return value;
}

static void
summary_json(FILE *to, const CvCounts *counts, int64_t written,
			 int64_t removed, int status)
{
	fputs("{", to);
	json_number(to, "members", counts->members);
	json_number(to, "known_members", counts->known_members);
	json_number(to, "other_members", counts->other_members);
	json_number(to, "unread_members", counts->unread_members);
	json_number(to, "bytes", counts->bytes);
	json_number(to, "lines", counts->lines);
	json_number(to, "blank", counts->blank);
	json_number(to, "listens", counts->listens);
	fputs("\"rejected\":{", to);
	for (int i = CV_BAD_JSON; i < CV_REASONS; i++)
		fprintf(to, "%s\"%s\":%lld", i > CV_BAD_JSON ? "," : "",
				cv_reason_name(i), (long long) counts->rejected[i]);
	fputs("},", to);
	json_number(to, "not_listened", counts->not_listened);
	json_number(to, "feedback", counts->feedback);
	json_number(to, "left_out", counts->left_out);
	json_number(to, "before_2002_10_01", counts->early);
	json_number(to, "repaired", counts->repaired);
	json_number(to, "written", written);
	json_number(to, "duplicates", duplicates(counts, written, removed, status));
	json_number(to, "removed", removed);
	json_time(to, "first", counts, counts->first);
	json_time(to, "last", counts, counts->last);
	json_number(to, "peak_kilobytes", peak_kilobytes());
	fprintf(to, "\"seconds\":%.3f,\"exit_code\":%d}\n", now() - started,
			status);
}

static void
text_number(FILE *to, const char *name, int64_t value, const char *what)
{
	fprintf(to, "  %-9s %13lld%s%s\n", name, (long long) value,
			what[0] != '\0' ? "  " : "", what);
}

void
cv_summary(FILE *to, CvSummary form, const CvCounts *counts, int64_t written,
		   int64_t removed, int status)
{
	int64_t		rejected = cv_counts_rejected(counts);
	int64_t		known = duplicates(counts, written, removed, status);
	char		bytes[32];
	char		reasons[256] = "";
	size_t		n = 0;
	char		time[CV_TIME_LEN];

	if (form == CV_SUMMARY_NONE)
		return;
	if (form == CV_SUMMARY_JSON)
	{
		summary_json(to, counts, written, removed, status);
		return;
	}
	for (int i = CV_BAD_JSON; i < CV_REASONS; i++)
		if (counts->rejected[i] > 0)
			n += (size_t) snprintf(reasons + n, sizeof(reasons) - n,
								   "%s%s %lld", n > 0 ? ", " : "",
								   cv_reason_name(i),
								   (long long) counts->rejected[i]);
	format_bytes(bytes, sizeof(bytes), (double) counts->bytes);
	fprintf(to, "lbrec-convert: %s after %.1f s\n",
			status == 2 ? "could not finish, gave up" : "finished",
			now() - started);
	text_number(to, "members", counts->members, bytes);
	if (counts->known_members > 0)
		text_number(to, "skipped", counts->known_members,
					"members were loaded before");
	if (counts->other_members > 0)
		text_number(to, "other", counts->other_members,
					"members hold no listens");
	if (counts->unread_members > 0)
		text_number(to, "unread", counts->unread_members,
					"members could not be read");
	text_number(to, "lines", counts->lines, "");
	text_number(to, "listens", counts->listens, "");
	text_number(to, "rejected", rejected, reasons);
	text_number(to, "blank", counts->blank, "");
	if (counts->not_listened > 0)
		text_number(to, "skipped", counts->not_listened,
					"plays broken off, private or no music");
	if (counts->feedback > 0)
		text_number(to, "feedback", counts->feedback, "likes and dislikes");
	if (counts->early > 0)
		text_number(to, "early", counts->early, "listens before 2002-10-01");
	if (counts->left_out > 0)
		text_number(to, "left out", counts->left_out, "listens, as asked");
	if (counts->repaired > 0)
		text_number(to, "repaired", counts->repaired,
					"listens with a NUL in a name");
	if (written >= 0)
		text_number(to, "written", written, "new listens");
	if (known >= 0)
		text_number(to, "known", known, "duplicates, already there");
	if (removed >= 0)
		text_number(to, "removed", removed, "listens the dump no longer has");
	if (counts->listens > 0)
	{
		cv_time_format(time, counts->first);
		fprintf(to, "  first     %s\n", time);
		cv_time_format(time, counts->last);
		fprintf(to, "  last      %s\n", time);
	}
}
