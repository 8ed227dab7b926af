/*
 * progress.c
 *		Tells other sessions how far a long command is.
 *
 * The line is what pg_stat_activity shows as the session's query; the view
 * lbrec_progress takes it apart.  It says how long the rest will take and when
 * that was reckoned, so that the view moves between two lines, too.
 */
#include "pg/server/progress.h"

#include "mb/pg_wchar.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define NAME_BYTES 100			/* of a model, shown */
#define INTERVAL_MS 500			/* between two lines of one phase */

/* The command under way, until its memory context goes. */
static struct
{
	const char *command;		/* NULL: none */
	char		model[NAME_BYTES + 1];
	char		stage[32];		/* before each phase */
	double		left;			/* seconds, below 0: unknown */
	double		rate;			/* listens a second */
	TimestampTz told;
} progress;

static void
forget(void *arg)
{
	progress.	command = NULL;
}

/* Until context is reset or deleted, lines are of this command and model. */
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

/* True if a command is under way whose latest line is old. */
bool
lbrec_progress_due(void)
{
	return progress.command != NULL &&
				TimestampDifferenceExceeds(progress.told, GetCurrentTimestamp(),
										   INTERVAL_MS);
}

/* What comes before each phase from here on: a part of a longer work. */
void
lbrec_progress_stage(const char *stage)
{
	strlcpy(progress.stage, stage, sizeof(progress.stage));
}

/* A line, if a command is under way; seconds_left below 0 are unknown. */
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

/* Another phase begins; the time left is as before, less the time since. */
void
lbrec_progress_phase(const char *phase)
{
	double		since = (double) (GetCurrentTimestamp() - progress.told) /
		USECS_PER_SEC;

	lbrec_progress(phase, progress.left < 0 ? -1 :
				   Max(progress.left - since, 0), progress.rate);
}
