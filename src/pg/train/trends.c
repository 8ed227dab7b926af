/*
 * trends.c
 *		Trends: how much more a recording is discovered now than before.
 *
 * The towers learn the audience of a recording and its size, but not its time:
 * they expect a recording that everybody discovered ten years ago as much as
 * one that everybody discovers this month.  A recording's trend is
 *
 *		log(sum over users of decay(age) + K * share) - log(users + K) - log(share)
 *
 * with age the months since the user's first listen of it, decay a power law
 * (lb_mix_decay), and share the mean of the decays over all recordings.  It is
 * 0 if the usual share of its users discovered it recently, and near 0 if it
 * has few users.  "Now" is the time after which at most one user in a hundred
 * has a listen, so that a clock years ahead does not make everything old.
 *
 * A continued model does not store first listens, only the decayed weight of
 * all plays of a recording by a user. The mean age replaces that of the first
 * play; for a single play they are equal.
 *
 * The weight of trends is fitted on the held-out listens (score_fit.c).  A
 * trend is no part of the score.  The towers learn it in their dot products,
 * as they learn popularity, because it is added to the logQ correction
 * (batches.c).
 */
#include "pg/train/trends.h"

#include <math.h>

#include "core/score/lb_mix.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"

/* Number of average users that are added to each recording's. */
#define TREND_SHRINK 10

#define TREND_POWER 1.5
#define MONTH (30.0 * USECS_PER_DAY)

typedef struct Finds
{
	const UserLists *older;		/* lists of the model to continue, or NULL */
	int64		now;
	int32	   *seen;			/* (n_recordings + 1) the last user with it */
	float	   *users;			/* (n_recordings + 1) */
	float	   *recent;			/* (n_recordings + 1) sum of the decays */
	double		n;
	double		sum;
} Finds;

/*
 * Records that the user discovered the recording at that time, unless before.
 */
static void
count_find(Finds *f, int32 user, int32 recording, double time)
{
	double		decay;

	CHECK_FOR_INTERRUPTS();
	if (f->seen[recording] == user)
		return;
	f->seen[recording] = user;
	decay = lb_mix_decay((f->now - time) / MONTH, TREND_POWER);
	f->users[recording]++;
	f->recent[recording] += (float) decay;
	f->n++;
	f->sum += decay;
}

static void
count_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Finds	   *f = arg;
	const UserLists *older = f->older;

	if (older && user <= older->n_users &&
		older->last[user] != PG_INT64_MIN)
		for (int64 i = older->offsets[user]; i < older->offsets[user + 1]; i++)
			count_find(f, user, older->codes[i], older->last[user] -
					   USECS_PER_DAY * lbrec_mean_age(older, i));
	for (int64 i = 0; i < n; i++)
		count_find(f, user, listens[i].recording, (double) listens[i].time);
}

static int
compare_times(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

/* Returns the time after which at most one user in a hundred has a listen. */
static int64
find_now(const UserLists *lists)
{
	int64	   *last = palloc_extended((lists->n_users + 1) * sizeof(int64),
									   MCXT_ALLOC_HUGE);
	int64		n = 0;
	int64		now;

	for (int32 u = 1; u <= lists->n_users; u++)
		if (lbrec_list_length(lists, u) > 0)
			last[n++] = lists->last[u];
	qsort(last, n, sizeof(int64), compare_times);
	now = n > 0 ? last[n - 1 - n / 100] : 0;
	pfree(last);
	return now;
}

/* True if a training with these settings fits the weight of trends. */
bool
lbrec_fits_trends(const TrainOptions *o)
{
	return o->refit && o->repeat_power > 0 && o->batch_by != BATCH_LISTENS &&
		o->logq && !o->streaming_logq;
}

static void *
alloc_zeros(MemoryContext context, Size n, Size size)
{
	return MemoryContextAllocExtended(context, n * size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/*
 * Computes the trends of all recordings (n + 1), from listens not held out and
 * from the older model's lists, if a model is continued; lists come from the
 * same.
 */
float *
lbrec_find_trends(const Dataset *data, const uint8 *held_out,
				  const UserLists *lists, const UserLists *older,
				  MemoryContext context)
{
	Size		n = (Size) lbrec_vocabulary_size(data->recordings) + 1;
	MemoryContext scratch = AllocSetContextCreate(context, "lbrec trends",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Finds		f = {.older = older, .now = find_now(lists)};
	float	   *trends = alloc_zeros(context, n, sizeof(float));
	double		share;

	f.seen = alloc_zeros(scratch, n, sizeof(int32));
	f.users = alloc_zeros(scratch, n, sizeof(float));
	f.recent = alloc_zeros(scratch, n, sizeof(float));
	lbrec_visit_users(data, held_out, count_user, &f);
	share = f.n > 0 ? f.sum / f.n : 1;
	for (Size r = 1; r < n; r++)
		trends[r] = (float) (log((f.recent[r] + TREND_SHRINK * share) /
								 (f.users[r] + TREND_SHRINK)) - log(share));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return trends;
}
