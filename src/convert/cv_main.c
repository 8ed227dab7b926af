/*
 * cv_main.c
 *		The command line of lbrec-convert.
 *
 * Exit status: 0 all read, 1 finished with rejected lines, 2 could not finish.
 */
#include "cv.h"
#include "cv_db.h"
#include "cv_report.h"
#include "cv_run.h"
#include "cv_script.h"

#include <getopt.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"lbrec-convert loads ListenBrainz data into PostgreSQL.\n"
	"\n"
	"Usage: lbrec-convert [OPTION]... FILE...\n"
	"  lbrec-convert dump.tar.zst | psql music      a script for psql\n"
	"  lbrec-convert --dbname music dump.tar.zst    straight in, resumable\n"
	"  lbrec-convert -d music --replace new.tar.zst  what is gone, goes\n"
	"FILE: a listens dump (.tar.zst, .tar), its folder, a user's export, the "
	"API's\n"
	"pages, exports of other services (Last.fm, Spotify, ...), canonical data, "
	"or -.\n"
	"  -d, --dbname DB      database name or connection string\n"
	"      --replace        a full dump takes the place of all listens\n"
	"      --by-month       partition listen by month, for full dumps\n"
	"      --table NAME     only COPY rows of one table: listen, recording\n"
	"      --ddl            only the tables' definitions\n"
	"      --user-id N      the listens' user, where the input names none\n"
	"      --user-names     number users by name, where only that is told\n"
	"      --skip-early     leave out listens before 2002-10-01\n"
	"      --rejects FILE   keep rejected lines, with place and reason\n"
	"      --summary FORM   text (default), json or none, on standard error\n"
	"      --force          read an unknown schema; replace by an older dump\n"
	"      --reload         load again what was loaded before\n"
	"      --trust NAME     write to a table or schema of another role\n"
	"  -q, --quiet          errors only\n"
	"  -h, --help           this text;  -V, --version\n"
	"Exit status: 0 all read, 1 finished with rejects, 2 could not finish.\n";

typedef struct Arguments
{
	CvOptions	run;
	CvSummary	summary;
	const char *rejects;
	const char *dbname;
	const char **trusted;		/* tables and schemas named by --trust */
	int			n_trusted;
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
		OPT_USER_NAMES,
		OPT_REJECTS,
		OPT_SUMMARY,
		OPT_FORCE,
		OPT_DBNAME,
		OPT_REPLACE,
		OPT_BY_MONTH,
		OPT_RELOAD,
		OPT_TRUST
	};
	static const struct option options[] = {
		{"table", required_argument, NULL, OPT_TABLE},
		{"ddl", no_argument, NULL, OPT_DDL},
		{"skip-early", no_argument, NULL, OPT_SKIP_EARLY},
		{"user-names", no_argument, NULL, OPT_USER_NAMES},
		{"user-id", required_argument, NULL, OPT_USER_ID},
		{"rejects", required_argument, NULL, OPT_REJECTS},
		{"summary", required_argument, NULL, OPT_SUMMARY},
		{"force", no_argument, NULL, OPT_FORCE},
		{"dbname", required_argument, NULL, OPT_DBNAME},
		{"replace", no_argument, NULL, OPT_REPLACE},
		{"by-month", no_argument, NULL, OPT_BY_MONTH},
		{"reload", no_argument, NULL, OPT_RELOAD},
		{"trust", required_argument, NULL, OPT_TRUST},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0}
	};
	int			c;

	memset(args, 0, sizeof(*args));
	args->trusted = cv_alloc((size_t) argc * sizeof(*args->trusted));
	while ((c = getopt_long(argc, argv, "d:qhV", options, NULL)) != -1)
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
			case OPT_USER_NAMES:
				args->run.user_names = true;
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
			case 'd':
			case OPT_DBNAME:
				args->dbname = optarg;
				break;
			case OPT_REPLACE:
				args->run.replace = true;
				break;
			case OPT_BY_MONTH:
				args->run.by_month = true;
				break;
			case OPT_RELOAD:
				args->run.reload = true;
				break;
			case OPT_TRUST:
				/* cv_sql_expand() gives these characters a meaning. */
				if (strpbrk(optarg, "@$") != NULL)
				{
					cv_error("invalid value for --trust: \"%s\"", optarg);
					cv_detail("It must be the name of a table or a schema, "
							  "without \"@\" and \"$\".");
					exit(2);
				}
				args->trusted[args->n_trusted++] = optarg;
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
write_ddl(bool by_month)
{
	CvTarget   *target = cv_script_create();
	bool		ok = cv_load_tables(target, by_month);

	return cv_script_close(target) && ok ? 0 : 2;
}

/* Refuses options that exclude each other. */
static void
check_arguments(const Arguments *args, int n_paths)
{
	const char *what = NULL;

	if (args->dbname != NULL &&
		(args->ddl || args->run.table != CV_TABLE_BOTH))
		what = "--dbname loads both tables: it goes neither with --ddl nor "
			"with --table";
	else if (args->run.replace && args->dbname == NULL)
		what = "--replace needs --dbname";
	else if (args->run.reload && args->dbname == NULL)
		what = "--reload needs --dbname";
	else if (args->run.user_names && args->run.has_user_id)
		what = "--user-names and --user-id exclude each other";
	else if (args->run.user_names && args->run.table != CV_TABLE_BOTH)
		what = "--user-names goes not with --table: it fills a table of its "
			"own";
	else if (args->run.user_names && args->run.replace)
		what = "--user-names goes not with --replace: full dumps have "
			"users' numbers";
	else if (args->run.replace && n_paths != 1)
		what = "--replace takes one full dump";
	else if (!args->ddl && n_paths == 0)
		what = "no input given";
	if (what != NULL)
	{
		cv_error("%s", what);
		usage();
	}
}

/* Loads straight into a server. */
static bool
load_database(Arguments *args, char **paths, int n_paths, CvResult *result)
{
	CvDb	   *db = cv_db_connect(args->dbname);

	memset(result, 0, sizeof(*result));
	result->written = result->removed = -1;
	if (db == NULL)
		return false;
	if (cv_db_begin(db, args->trusted, args->n_trusted) &&
		cv_db_by_month(db, &args->run.by_month))
	{
		CvLedger   *ledger = cv_ledger_create(db);

		cv_run(&args->run, paths, n_paths, cv_db_target(db), ledger, result);
		cv_ledger_free(ledger);
	}
	cv_db_free(db);
	return result->finished;
}

/* Writes a script, or rows, to standard output. */
static bool
write_output(const Arguments *args, char **paths, int n_paths,
			 CvResult *result)
{
	CvTarget   *target = cv_script_create();
	bool		script = args->run.table == CV_TABLE_BOTH;
	bool		ok = !script ||
		cv_script_begin(target, args->trusted, args->n_trusted);

	cv_run(&args->run, paths, n_paths, target, NULL, result);
	ok = ok && result->finished && (!script || cv_script_end(target));
	if (!ok && script)
		cv_script_abandon(target);
	return cv_script_close(target) && ok;
}

int
main(int argc, char **argv)
{
	Arguments	args;
	CvResult	result;
	bool		ok;
	int			status;

#ifdef __GLIBC__
	/* Memory of a long line returns to the system, not to a free list. */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
	/* Names of members are UTF-8 in every locale. */
	setlocale(LC_CTYPE, "C.UTF-8");
	/* Makes a closed pipe an error of write(), not a silent end. */
	signal(SIGPIPE, SIG_IGN);

	parse_arguments(&args, argc, argv);
	check_arguments(&args, argc - optind);
	if (args.ddl)
	{
		free(args.trusted);
		return write_ddl(args.run.by_month);
	}
	if (args.rejects != NULL && !cv_rejects_open(args.rejects, argv + optind, argc - optind))
		return 2;
	cv_progress_start();
	if (args.dbname != NULL)
		ok = load_database(&args, argv + optind, argc - optind, &result);
	else
		ok = write_output(&args, argv + optind, argc - optind, &result);
	ok = cv_rejects_close() && ok;

	free(args.trusted);

	status = !ok ? 2
		: cv_counts_rejected(&result.counts) > 0 ||
		result.counts.unread_members > 0 ? 1 : 0;
	if (!cv_quiet || args.summary == CV_SUMMARY_JSON)
		cv_summary(stderr, args.summary, &result.counts, result.written,
				   result.removed, status);
	return status;
}
