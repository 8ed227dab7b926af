/*
 * progress.c
 *		Shows other sessions the progress of a long command.
 *
 * pg_stat_activity shows the line as the session's query; the view
 * lbrec_progress parses it.  It has the estimated remaining time and the time
 * of the estimate, so that the view advances between two lines, too.
 */
#include "pg/server/progress.h"

#include "mb/pg_wchar.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define NAME_BYTES 100			/* limit for a model's name in the line */
#define INTERVAL_MS 500			/* between two lines of one phase */

/* The current command, until its memory context is reset. */
static struct
{
	const char *command;		/* NULL: no command */
	char		model[NAME_BYTES + 1];
	char		stage[32];		/* remaining seconds, negative if unknown */
	double		left;			/* listens per second */
	double		rate;			/* listens a second */
	TimestampTz told;
} progress;

static void
forget(void *arg)
{
	progress.	command = NULL;
}

/* Begins a command on a model, until context is reset or deleted. */
void
lbrec_progress_start(const char *command, const char *model,
					 MemoryContext context)
{
	MemoryContextCallback *callback =
		MemoryContextAllocZero(context, sizeof(MemoryContextCallback));
	int			shown = pg_mbcliplen(model, strlen(model), NAME_BYTES);

	memset(&progress, 0, sizeof(progress));
	progress.	command = command;

	memcpy(progress.model, model, shown);
	progress.	left = -1;

	callback->func = forget;
	MemoryContextRegisterResetCallback(context, callback);
}

/* True if a command is running and its latest line is old. */
bool
lbrec_progress_due(void)
{
	return progress.command != NULL &&
				TimestampDifferenceExceeds(progress.told, GetCurrentTimestamp(),
										   INTERVAL_MS);
}

/* Sets the prefix of later phases: a part of a longer work. */
void
lbrec_progress_stage(const char *stage)
{
	strlcpy(progress.stage, stage, sizeof(progress.stage));
}

/* Shows a line if a command is running; negative seconds_left are unknown. */
void
lbrec_progress(const char *phase, double seconds_left,
			   double listens_per_second)
{
	char		text[512];
	char		left[32] = "?";

	if (progress.command == NULL)
		return;
	progress.	told = GetCurrentTimestamp();
	progress.	left = seconds_left;
	progress.	rate = listens_per_second;

	if (seconds_left >= 0)
		snprintf(left, sizeof(left), "%.0f", Min(seconds_left, 999999999));
	snprintf(text, sizeof(text),
			 "%s \"%s\": %s%s; %s s left at %.0f; %.0f listens/s; " UINT64_FORMAT " MB",
			 progress.command, progress.model, progress.stage, phase, left,
			 (double) (progress.told - SetEpochTimestamp()) /USECS_PER_SEC,
			 Min(listens_per_second, 1e12),
			 (uint64) MemoryContextMemAllocated(TopMemoryContext, true) >> 20);
	pgstat_report_activity(STATE_RUNNING, text);
}

/* Begins another phase; the remaining time only runs down. */
void
lbrec_progress_phase(const char *phase)
{
	double		since = (double) (GetCurrentTimestamp() - progress.told) /
		USECS_PER_SEC;

	lbrec_progress(phase, progress.left < 0 ? -1 :
				   Max(progress.left - since, 0), progress.rate);
}
