/*
 * cv_main.c
 *		The command line of lbrec-convert.
 *
 * Exit status: 0 all read, 1 finished with rejected lines, 2 could not finish.
 */
#include "cv.h"
#include "cv_report.h"
#include "cv_run.h"
#include "cv_script.h"
#include "cv_sql.h"

#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"lbrec-convert reads ListenBrainz data and writes it as tables for "
	"PostgreSQL.\n"
	"\n"
	"Usage: lbrec-convert [OPTION]... FILE...\n"
	"\n"
	"FILE is a listens dump (.tar.zst, .tar.xz, .tar.gz, .tar), a folder of "
	"one,\n"
	"a .listens file, or - for standard input.\n"
	"\n"
	"  lbrec-convert dump.tar.zst | psql music      load it\n"
	"  lbrec-convert --ddl | psql music             only create the tables\n"
	"  zstdcat x.zst | lbrec-convert --table listen -   rows for COPY\n"
	"\n"
	"      --table NAME       only COPY rows of one table: listen, recording\n"
	"      --ddl              only the tables' definitions\n"
	"      --skip-early       leave out listens before 2002-10-01\n"
	"      --user-id N        whose listens, where the input does not say\n"
	"      --rejects FILE     keep rejected lines, with place and reason\n"
	"      --summary FORM     text (default), json or none, on standard error\n"
	"      --force            read a dump of an unknown schema sequence\n"
	"  -q, --quiet            errors only\n"
	"  -h, --help             this text\n"
	"  -V, --version          the version\n"
	"\n"
	"Exit status: 0 all read, 1 finished with rejected lines, 2 could not "
	"finish.\n";

typedef struct Arguments
{
	CvOptions	run;
	CvSummary	summary;
	const char *rejects;
	bool		ddl;
} Arguments;

static void __attribute__((noreturn))
usage(void)
{
	cv_hint("Try lbrec-convert --help.");
	exit(2);
}

static int64_t
parse_user_id(const char *text)
{
	char	   *end;
	long long	value = strtoll(text, &end, 10);

	if (end == text || *end != '\0' || value < 0 || value == INT64_MAX)
	{
		cv_error("invalid value for --user-id: \"%s\"", text);
		cv_detail("It must be a number from 0 to 9223372036854775806.");
		exit(2);
	}
	return value;
}

static void
parse_arguments(Arguments *args, int argc, char **argv)
{
	enum
	{
		OPT_TABLE = 256,
		OPT_DDL,
		OPT_SKIP_EARLY,
		OPT_USER_ID,
		OPT_REJECTS,
		OPT_SUMMARY,
		OPT_FORCE
	};
	static const struct option options[] = {
		{"table", required_argument, NULL, OPT_TABLE},
		{"ddl", no_argument, NULL, OPT_DDL},
		{"skip-early", no_argument, NULL, OPT_SKIP_EARLY},
		{"user-id", required_argument, NULL, OPT_USER_ID},
		{"rejects", required_argument, NULL, OPT_REJECTS},
		{"summary", required_argument, NULL, OPT_SUMMARY},
		{"force", no_argument, NULL, OPT_FORCE},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0}
	};
	int			c;

	memset(args, 0, sizeof(*args));
	while ((c = getopt_long(argc, argv, "qhV", options, NULL)) != -1)
	{
		switch (c)
		{
			case OPT_TABLE:
				if (strcmp(optarg, "listen") == 0)
					args->run.table = CV_TABLE_LISTEN;
				else if (strcmp(optarg, "recording") == 0)
					args->run.table = CV_TABLE_RECORDING;
				else
				{
					cv_error("unknown table \"%s\"", optarg);
					cv_hint("The tables are listen and recording.");
					exit(2);
				}
				break;
			case OPT_DDL:
				args->ddl = true;
				break;
			case OPT_SKIP_EARLY:
				args->run.leave_out_early = true;
				break;
			case OPT_USER_ID:
				args->run.has_user_id = true;
				args->run.user_id = parse_user_id(optarg);
				break;
			case OPT_REJECTS:
				args->rejects = optarg;
				break;
			case OPT_SUMMARY:
				if (strcmp(optarg, "text") == 0)
					args->summary = CV_SUMMARY_TEXT;
				else if (strcmp(optarg, "json") == 0)
					args->summary = CV_SUMMARY_JSON;
				else if (strcmp(optarg, "none") == 0)
					args->summary = CV_SUMMARY_NONE;
				else
				{
					cv_error("unknown form of summary \"%s\"", optarg);
					cv_hint("The forms are text, json and none.");
					exit(2);
				}
				break;
			case OPT_FORCE:
				args->run.force = true;
				break;
			case 'q':
				cv_quiet = true;
				break;
			case 'h':
				fputs(help, stdout);
				exit(0);
			case 'V':
				puts("lbrec-convert " LBREC_VERSION);
				exit(0);
			default:
				usage();
		}
	}
}

static int
write_ddl(void)
{
	CvTarget   *target = cv_script_create();
	bool		ok = true;

	for (int i = 0; ok && cv_sql_tables[i] != NULL; i++)
		ok = target->exec(target, cv_sql_tables[i], NULL);
	return cv_script_close(target) && ok ? 0 : 2;
}

int
main(int argc, char **argv)
{
	Arguments	args;
	CvTarget   *target;
	CvResult	result;
	bool		ok;
	int			status;

	/* Names of members are UTF-8, whatever the user's locale. */
	setlocale(LC_CTYPE, "C.UTF-8");
	/* A reader that went away is an error of write(), not a silent end. */
	signal(SIGPIPE, SIG_IGN);

	parse_arguments(&args, argc, argv);
	if (args.ddl)
		return write_ddl();
	if (optind == argc)
	{
		cv_error("no input given");
		usage();
	}
	if (args.rejects != NULL && !cv_rejects_open(args.rejects))
		return 2;

	target = cv_script_create();
	ok = args.run.table != CV_TABLE_BOTH || cv_script_begin(target);
	cv_run(&args.run, argv + optind, argc - optind, target, &result);
	ok = ok && result.finished;
	if (!ok && args.run.table == CV_TABLE_BOTH)
		cv_script_abandon(target);
	ok = cv_script_close(target) && ok;
	ok = cv_rejects_close() && ok;

	status = !ok ? 2 : cv_counts_rejected(&result.counts) > 0 ? 1 : 0;
	if (!cv_quiet || args.summary == CV_SUMMARY_JSON)
		cv_summary(stderr, args.summary, &result.counts, result.written,
				   result.skipped, status);
	return status;
}
