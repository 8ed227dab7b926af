/*
 * cv_run.c
 *		Carries out a whole run, from the inputs to the target.
 *
 * It takes the reader's blocks, finds the format of each member, opens and
 * closes its transaction, and passes its bytes to cv_member.c.
 *
 * Every function that returns false has reported the reason; the run then ends
 * unfinished.
 */
#include "cv_member.h"

#include <stdlib.h>
#include <string.h>

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

/*
 * Makes the dump's name for the ledger: the folder that all its members are
 * in, which has its number and time.  If it has not, as in an archive that is
 * always called listenbrainz-listens-dump, kind and time are added, so that a
 * full dump and its incremental dumps differ.
 */
static void
name_dump(Run *run)
{
	static const char *const kinds[] = {"", "full", "incremental"};
	const char *slash = strchr(run->place.member, '/');

	run->dump_name.len = 0;
	if (run->is_archive && slash != NULL && run->dump.has_to &&
		strncmp(run->place.member, "listens/", 8) != 0)
		cv_buf_printf(&run->dump_name, "%.*s",
					  (int) (slash - run->place.member), run->place.member);
	else
		cv_buf_printf(&run->dump_name, "%s", base_name(run->place.input));
	/* Metadata has a TIMESTAMP, too, but says nothing about listens. */
	if (run->format->role == CV_ROLE_METADATA)
		run->dump.has_to = false;
	run->dump.kind = !run->dump.has_to ? CV_DUMP_OTHER
		: run->dump.has_from ? CV_DUMP_INCREMENTAL
		: CV_DUMP_FULL;
	if (run->dump.kind != CV_DUMP_OTHER &&
		strpbrk(run->dump_name.data, "0123456789") == NULL)
	{
		char		time[CV_TIME_LEN];

		cv_time_format(time, run->dump.to);
		cv_buf_printf(&run->dump_name, " %s %s", kinds[run->dump.kind], time);
	}
	run->dump.name = run->dump_name.data;
}

/* Warns of a gap: each incremental dump begins where the one before ends. */
static void
check_chain(Run *run)
{
	char		from[CV_TIME_LEN];
	char		reach[CV_TIME_LEN];

	if (run->dump.kind != CV_DUMP_INCREMENTAL)
		return;
	cv_time_format(from, run->dump.from);
	if (run->reach_known && run->dump.from > run->reach)
	{
		cv_time_format(reach, run->reach);
		cv_warning("dumps are missing before \"%s\"", run->dump.name);
		cv_detail("What is loaded reaches to %s; this dump begins at %s.",
				  reach, from);
		cv_hint("Load the incremental dumps between, in order.");
	}
	else if (!run->reach_known && run->ledger != NULL)
	{
		cv_warning("no full dump is loaded before \"%s\"", run->dump.name);
		cv_detail("It only has what was added after %s.", from);
	}
}

/* Runs at the first member of an input that goes into the tables. */
static bool
begin_dump(Run *run)
{
	const CvOptions *options = run->options;
	const CvDumpUse use = {
		.options = run->listen_options.data,
		.replace = options->replace,
		.by_month = options->by_month,
		.force = options->force,
		.reload = options->reload
	};

	run->found = true;
	name_dump(run);
	if (run->ledger == NULL)
	{
		check_chain(run);
		return true;
	}
	if (!cv_ledger_dump_begin(run->ledger, &run->dump, &use, &run->done))
		return false;
	if (!options->replace)
		check_chain(run);
	else
		cv_load_into(run->load, CV_SQL_NEXT);
	if (run->done)
		cv_warning("\"%s\" is the content of listen already: nothing to do",
				   run->dump.name);
	return true;
}

static bool
end_input(Run *run)
{
	if (!run->found)
	{
		cv_error("\"%s\" holds no listens", run->place.input);
		cv_hint("ListenBrainz publishes several archives: the listens are in "
				"listenbrainz-listens-dump-...-full.tar.zst (or -incremental),"
				" not in the sample or spark dumps.");
		return false;
	}
	if (run->dump.has_to && (!run->reach_known || run->dump.to > run->reach))
	{
		run->reach_known = true;
		run->reach = run->dump.to;
	}
	return run->ledger == NULL || run->done || cv_ledger_dump_end(run->ledger);
}

/*
 * Begins a member that goes into the tables: skips it if the ledger has it,
 * else opens its transaction.
 */
static bool
begin_rows(Run *run)
{
	bool		known = run->done;

	if (!run->found && !begin_dump(run))
		return false;
	if (run->ledger != NULL && !run->done &&
		!cv_ledger_knows(run->ledger, run->place.member, run->size, &known))
		return false;
	if (known || run->done)
	{
		run->counts->known_members++;
		run->format = NULL;
		return true;
	}
	run->counts->members++;
	run->before = *run->counts;
	run->written_before = cv_load_written(run->load);
	run->in_rows = true;
	cv_load_sample_begin(run->load);
	return run->ledger == NULL || cv_ledger_member_begin(run->ledger);
}

/* Ends a member: merges its rows, writes its row of the ledger, commits. */
static bool
end_rows(Run *run)
{
	CvMemberCounts counts;

	run->in_rows = false;
	if (run->ledger == NULL)
		return true;
	if (!cv_load_flush(run->load))
		return false;
	counts.bytes = run->counts->bytes - run->before.bytes;
	counts.lines = run->counts->lines - run->before.lines;
	counts.listens = run->counts->listens - run->before.listens;
	counts.written = cv_load_written(run->load) - run->written_before;
	counts.rejected =
		cv_counts_rejected(run->counts) - cv_counts_rejected(&run->before);
	return cv_ledger_member_end(run->ledger, run->place.member, &counts,
								cv_load_sample(run->load));
}

/* Handles a member of a format that is known but not read. */
static bool
refuse(Run *run, const CvFormat *format)
{
	/* A folder of downloads may hold the spark dump as well. */
	if (run->is_archive && (format->role != CV_ROLE_FATAL || run->found))
	{
		if (format->role == CV_ROLE_LEFT || format->role == CV_ROLE_FATAL)
		{
			run->counts->other_members++;
			return true;
		}
		run->counts->unread_members++;
		cv_warning("member \"%s\" is not read: it is %s", run->place.member,
				   format->name);
		cv_hint("%s", format->hint);
		return true;
	}
	cv_error("cannot read \"%s\": it is %s", run->place.member, format->name);
	cv_hint("%s", format->hint);
	return false;
}

static bool
begin_content(Run *run, const char *data, size_t len)
{
	const CvFormat *format;
	CvHead		head;

	format = cv_format_of(run->place.member, run->is_archive, data, len,
						  &head);
	run->format_known = true;
	run->format = NULL;
	if (format->role >= CV_ROLE_LEFT)
		return refuse(run, format);
	if (format->role == CV_ROLE_METADATA && run->is_archive &&
		run->options->table != CV_TABLE_BOTH)
	{
		/* --table takes the rows of one table only. */
		run->counts->other_members++;
		return true;
	}
	run->format = format;
	if (format->role <= CV_ROLE_METADATA && !begin_rows(run))
		return false;
	return run->format == NULL || cv_member_begin(run, &head);
}

static bool
take_data(Run *run, const CvBlock *block)
{
	if (!run->format_known && !begin_content(run, block->data, block->len))
		return false;
	if (run->format == NULL)
		return true;
	if (run->in_rows)
		run->counts->bytes += (int64_t) block->len;
	return cv_member_data(run, block->data, block->len);
}

static void
begin_input(Run *run, const CvBlock *block)
{
	run->input.len = 0;
	cv_buf_printf(&run->input, "%s", block->name);
	run->place.input = run->input.data;
	run->found = false;
	run->done = false;
	run->late_told = false;
	memset(&run->dump, 0, sizeof(run->dump));
	run->defaults.has_user_id = run->options->has_user_id;
	run->defaults.user_id = run->options->user_id;
	run->defaults.user_names = run->options->user_names;
}

static void
begin_member(Run *run, const CvBlock *block)
{
	run->member.len = 0;
	cv_buf_printf(&run->member, "%s", block->name);
	run->place.member = run->member.data;
	run->place.line = 0;
	run->place.offset = 0;
	run->is_archive = block->archive;
	run->size = block->size;
	run->format_known = false;
	run->in_rows = false;
}

static bool
end_member(Run *run)
{
	if (!run->format_known && !begin_content(run, "", 0))
		return false;
	return run->format == NULL ||
		(cv_member_end(run) && (!run->in_rows || end_rows(run)));
}

static bool
take_blocks(Run *run)
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
				begin_input(run, block);
				break;
			case CV_BLOCK_MEMBER:
				begin_member(run, block);
				break;
			case CV_BLOCK_DATA:
				ok = take_data(run, block);
				cv_reader_position(run->reader, &done, &total);
				cv_progress(run->counts, run->place.member, done, total);
				break;
			case CV_BLOCK_MEMBER_END:
				ok = end_member(run);
				break;
			case CV_BLOCK_UNREAD:
				run->counts->unread_members++;
				cv_progress_end();
				cv_warning("member \"%s\" is not read: it is %s", block->name,
						   block->hint);
				cv_hint("Unpack the archive, and give the folder or the "
						"member.");
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

/*
 * Lists the options in the ledger: the same dump with others is another load.
 */
static void
add_listen_options(Run *run)
{
	const CvOptions *options = run->options;

	cv_buf_printf(&run->listen_options, "%s",
				  options->leave_out_early ? "skip-early" : "");
	if (options->user_names)
		cv_buf_printf(&run->listen_options, "%suser-names",
					  options->leave_out_early ? " " : "");
	if (options->has_user_id)
		cv_buf_printf(&run->listen_options, "%suser-id=%lld",
					  options->leave_out_early ? " " : "",
					  (long long) options->user_id);
}

static bool
begin_tables(Run *run)
{
	return cv_load_begin(run->load) &&
		(run->ledger == NULL ||
		 (cv_ledger_verify(run->ledger) &&
		  cv_ledger_reach(run->ledger, &run->reach_known, &run->reach)));
}

static void
tell_afterwards(Run *run)
{
	const CvCounts *counts = run->counts;

	if (run->options->table == CV_TABLE_RECORDING && cv_load_forgot(run->load))
	{
		cv_warning("some recordings were written more than once");
		cv_detail("Memory is constant, so only some millions of recordings "
				  "are remembered.");
		cv_hint("COPY into a table without a key, then INSERT ... ON CONFLICT "
				"DO NOTHING; without --table the script does that.");
	}
	if (counts->listens == 0 && counts->rejected[CV_BAD_USER] > 0 &&
		!cv_quiet)
		cv_hint("No line says which user it belongs to: dumps of 2018 to 2020 "
				"do not, nor do exports; give --user-names, or for your own "
				"listens --user-id N.");
}

void
cv_run(const CvOptions *options, char *const *paths, int n_paths,
	   CvTarget *target, CvLedger *ledger, CvResult *result)
{
	Run			run = {
		.options = options, .ledger = ledger, .target = target,
	.counts = &result->counts};

	memset(result, 0, sizeof(*result));
	run.json = cv_json_create();
	run.load = cv_load_create(target, options->table, options->by_month);
	if (options->user_names)
		cv_load_user_names(run.load);
	add_listen_options(&run);
	/* Create the tables first: waiting for another converter may take long. */
	result->finished = begin_tables(&run);
	if (result->finished)
	{
		run.reader = cv_reader_start(paths, n_paths);
		result->finished = take_blocks(&run) && cv_load_end(run.load);
		result->counts.other_members += cv_reader_skipped(run.reader);
		cv_progress_end();
		tell_afterwards(&run);
		cv_reader_stop(run.reader);
	}
	result->written = cv_load_written(run.load);
	result->removed = -1;
	if (ledger != NULL && options->replace)
	{
		result->written = cv_ledger_added(ledger);
		result->removed = cv_ledger_removed(ledger);
	}
	cv_load_free(run.load);
	cv_json_free(run.json);
	cv_buf_free(&run.split.carry);
	cv_buf_free(&run.document);
	cv_buf_free(&run.scratch);
	cv_buf_free(&run.names);
	cv_buf_free(&run.rows);
	cv_buf_free(&run.input);
	cv_buf_free(&run.member);
	cv_buf_free(&run.dump_name);
	cv_buf_free(&run.listen_options);
}
