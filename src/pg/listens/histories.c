/*
 * histories.c
 *		Groups listens by user.
 *
 * Listens come in any order.  The users are processed in ranges whose listens
 * fit in lbrec.spool_mem, with one scan of all listens for each range:
 * scanning a temporary file is cheaper than sorting it.
 */
#include "pg/listens/histories.h"

#include <float.h>
#include <math.h>

#include "access/xact.h"
#include "utils/memutils.h"

#include "core/lb_math.h"
#include "core/score/lb_mix.h"

#include "pg/listens/dataset.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/server/time.h"

/* Age in days of plays whose times an older model does not have. */
#define UNKNOWN_AGE 30

typedef struct Grouping
{
	const Dataset *data;
	const ListRequest *request;
	UserLists  *lists;
	int32	   *seen;			/* (n_recordings + 1) the last user with it */
	int64	   *place;			/* its place in that user's list */
	int64		now;
	MemoryContext context;
	MemoryContext scratch;		/* memory for one user */
} Grouping;

/*
 * Breaks ties between listens of the same time.  Each user has another order:
 * with one order for all, recordings with near codes would seem to follow each
 * other.
 */
static inline uint32
tie(const Listen *l)
{
	uint64		x = (uint64) l->user << 32 | (uint32) l->recording;

	/* the finaliser of splitmix64 */
	x = (x ^ (x >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return (uint32) (x ^ (x >> 31));
}

static int
compare_times(const void *a, const void *b)
{
	const Listen *x = a;
	const Listen *y = b;
	uint32		tie_x;
	uint32		tie_y;

	/* sorting a user with millions of listens takes a while */
	CHECK_FOR_INTERRUPTS();
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	tie_x = tie(x);
	tie_y = tie(y);
	if (tie_x != tie_y)
		return tie_x < tie_y ? -1 : 1;
	return x->recording < y->recording ? -1 : x->recording > y->recording;
}

static void
reserve(Grouping *g, int64 n)
{
	UserLists  *l = g->lists;

	if (n <= l->allocated)
		return;
	l->allocated = Max(n, l->allocated + l->allocated / 2);
#define GROW(array) \
	(array) = (array) ? \
		repalloc_huge((array), l->allocated * sizeof(*(array))) : \
		MemoryContextAllocHuge(g->context, l->allocated * sizeof(*(array)))
	GROW(l->codes);
	if (g->request->sequence)
		GROW(l->times);
	else
	{
		GROW(l->plays);
		if (g->request->power > 0)
			GROW(l->recency);
	}
#undef GROW
}

/*
 * Days between the plays at that place and the user's last listen.  A list
 * does not keep single times, so all plays of a recording get one age.
 */
double
lbrec_mean_age(const UserLists *lists, int64 place)
{
	double		n = Max(lists->plays[place], 1);

	if (lists->recency == NULL)
		return UNKNOWN_AGE;
	return Max(lb_pow(lb_exp(lists->recency[place]) / n, -1 / lists->power) - 1,
			   0);
}

/*
 * Estimates when the user last played each recording of the list: the first
 * one at the user's last listen, the others at their mean age, but never later
 * than the one before.  Returns their number, 0 for a user without a list.
 */
int
lbrec_last_plays(int64 *times, const UserLists *lists, int32 user)
{
	int			n;
	double		time;

	if (user > lists->n_users || lists->last[user] == PG_INT64_MIN)
		return 0;
	n = lbrec_list_length(lists, user);
	time = lists->last[user];
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			time = fmin(time, lists->last[user] - USECS_PER_DAY *
						lbrec_mean_age(lists, lists->offsets[user] + i));
		times[i] = i == 0 ? lists->last[user] :
			(int64) fmax(time, LBREC_FIRST_TIME);
	}
	return n;
}

/* An entry of a list with the time of its last play. */
typedef struct Entry
{
	int64		time;
	int64		place;
} Entry;

static int
compare_entries(const void *a, const void *b)
{
	const Entry *x = a;
	const Entry *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->time != y->time)
		return x->time > y->time ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

/*
 * Sorts the n entries of a list from first on by their last plays, the latest
 * first.
 */
static void
order_list(UserLists *l, int64 first, Entry *entries, int64 n)
{
	int32	   *codes = palloc_extended(n * sizeof(int32), MCXT_ALLOC_HUGE);
	float	   *values = palloc_extended(n * sizeof(float), MCXT_ALLOC_HUGE);

	qsort(entries, n, sizeof(Entry), compare_entries);
	memcpy(codes, l->codes + first, n * sizeof(int32));
	for (int64 i = 0; i < n; i++)
		l->codes[first + i] = codes[entries[i].place - first];
	memcpy(values, l->plays + first, n * sizeof(float));
	for (int64 i = 0; i < n; i++)
		l->plays[first + i] = values[entries[i].place - first];
	if (l->recency == NULL)
		return;
	memcpy(values, l->recency + first, n * sizeof(float));
	for (int64 i = 0; i < n; i++)
		l->recency[first + i] = values[entries[i].place - first];
}

/* Appends one user's listens, in the order of time, to a sequence. */
static int64
append_sequence(Grouping *g, int32 user, const Listen *listens, int64 n,
				int64 next)
{
	UserLists  *l = g->lists;

	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		l->codes[next] = listens[i].recording;
		l->times[next++] = listens[i].time;
	}
	return next;
}

/* Appends the distinct recordings of one user's listens, the latest first. */
static int64
append_listens(Grouping *g, int32 user, const Listen *listens, int64 n,
			   int64 next)
{
	UserLists  *l = g->lists;

	for (int64 i = n - 1; i >= 0; i--)
	{
		int32		r = listens[i].recording;

		CHECK_FOR_INTERRUPTS();
		if (r == 0)
			continue;
		if (g->seen[r] != user)
		{
			g->seen[r] = user;
			g->place[r] = next;
			l->codes[next] = r;
			l->plays[next] = 0;
			if (l->recency)
				l->recency[next] = 0;
			next++;
		}
		l->plays[g->place[r]]++;
		if (l->recency)
			l->recency[g->place[r]] +=
				lb_mix_decay((double) (l->last[user] - listens[i].time) /
							 USECS_PER_DAY, g->request->power);
	}
	return next;
}

/*
 * Merges an older model's list of one user with the entries that the new
 * listens gave from first on, in the order of last plays: a dump may bring
 * listens late, older than those that the model knows.
 */
static int64
append_older(Grouping *g, int32 user, const Listen *listens, int64 n,
			 int64 first, int64 next)
{
	const UserLists *older = g->request->older;
	UserLists  *l = g->lists;
	int64		n_older = lbrec_list_length(older, user);
	int64	   *times = palloc_extended(Max(n_older, 1) * sizeof(int64),
										MCXT_ALLOC_HUGE);
	Entry	   *entries = palloc_extended((next - first + n_older + 1) *
										  sizeof(Entry), MCXT_ALLOC_HUGE);
	double		days = (double) (l->last[user] - older->last[user]) /
		USECS_PER_DAY;

	/* the list is ordered by last listens, so walk backwards */
	for (int64 i = n - 1, at = first; i >= 0 && at < next; i--)
	{
		CHECK_FOR_INTERRUPTS();
		if (listens[i].recording == l->codes[at])
		{
			entries[at - first] = (Entry)
			{
				listens[i].time, at
			};
			at++;
		}
	}
	(void) lbrec_last_plays(times, older, user);
	for (int64 i = 0; i < n_older; i++)
	{
		int64		from = older->offsets[user] + i;
		int32		r = older->codes[from];
		int64		at = g->seen[r] == user ? g->place[r] : next;

		CHECK_FOR_INTERRUPTS();
		if (at == next)
		{
			l->codes[next] = r;
			l->plays[next] = 0;
			if (l->recency)
				l->recency[next] = 0;
			entries[next - first] = (Entry)
			{
				times[i], next
			};
			next++;
		}
		entries[at - first].time = Max(entries[at - first].time, times[i]);
		l->plays[at] += older->plays[from];
		if (l->recency)
			l->recency[at] += Max(older->plays[from], 1) *
				lb_mix_decay(lbrec_mean_age(older, from) + days,
							 g->request->power);
	}
	order_list(l, first, entries, next - first);
	return next;
}

/* Prepends an older model's list to one user's listens in a sequence. */
static Listen *
prepend_older(Grouping *g, int32 user, const Listen *listens, int64 *n)
{
	const UserLists *older = g->request->older;
	int64		n_older = lbrec_list_length(older, user);
	int64	   *times = palloc_extended(Max(n_older, 1) * sizeof(int64),
										MCXT_ALLOC_HUGE);
	Listen	   *all = palloc_extended((*n + n_older + 1) * sizeof(Listen),
									  MCXT_ALLOC_HUGE);

	(void) lbrec_last_plays(times, older, user);
	for (int64 i = 0; i < n_older; i++)
		all[i] = (Listen)
	{
		.user = user, .time = times[n_older - 1 - i],
			.recording = older->codes[older->offsets[user + 1] - 1 - i]
	};
	memcpy(all + n_older, listens, *n * sizeof(Listen));
	*n += n_older;
	qsort(all, *n, sizeof(Listen), compare_times);
	return all;
}

/*
 * Returns how many of a user's n listens, in the order of time, a list gets:
 * those not in the future, unless all are.  A listen in the future comes from
 * a wrong clock.  As the last listen it would hide all listens after the
 * training, and make recent plays look old.
 */
static int64
count_past(const Grouping *g, const Listen *listens, int64 n, bool known)
{
	int64		past = n;

	while (past > 0 && listens[past - 1].time > g->now)
		past--;
	return past > 0 || known ? past : n;
}

/* Appends one user's list, made from listens in the order of time. */
static void
append_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Grouping   *g = arg;
	const UserLists *older = g->request->older;
	UserLists  *l = g->lists;
	int64		first = l->offsets[user];
	int64		next = first;
	bool		known = older && user <= older->n_users &&
		older->last[user] != PG_INT64_MIN;
	MemoryContext old = MemoryContextSwitchTo(g->scratch);

	reserve(g, first + n + (known ? lbrec_list_length(older, user) : 0));
	if (g->request->sequence)
	{
		if (known)
			listens = prepend_older(g, user, listens, &n);
		next = append_sequence(g, user, listens, n, first);
	}
	else
	{
		n = count_past(g, listens, n, known);
		l->last[user] = n > 0 ? listens[n - 1].time : PG_INT64_MIN;
		if (l->active)
			l->active[user] = n > 0;
		if (known)
			l->last[user] = Max(l->last[user], older->last[user]);
		next = append_listens(g, user, listens, n, first);
		if (known)
			next = append_older(g, user, listens, n, first, next);
		for (int64 i = first; i < next && l->recency; i++)
		{
			CHECK_FOR_INTERRUPTS();
			/* 0 if so old, or the power so high, that a float underflows */
			l->recency[i] = (float) lb_log(Max(l->recency[i], FLT_MIN));
		}
		l->last[user] = Min(l->last[user], g->now);
	}
	l->offsets[user + 1] = next;
	MemoryContextSwitchTo(old);
	MemoryContextReset(g->scratch);
}

/* Counts the listens of each user, (n_users + 1). */
static int64 *
count_listens(const Dataset *data, const uint8 *held_out)
{
	int32		n_users = lbrec_vocabulary_size(data->users);
	int64	   *counts = palloc_extended(((Size) n_users + 1) * sizeof(int64),
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	SpoolScan	scan;

	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
			if (!lbrec_bit(held_out, scan.from + i))
				counts[scan.block[i].user]++;
	return counts;
}

/* Visits the users from first to last, whose listens number n in total. */
static void
visit_range(const Dataset *data, const uint8 *held_out, const int64 *counts,
			int32 first, int32 last, int64 n, UserVisitor visit, void *arg)
{
	Listen	   *sorted = palloc_extended(Max(n, 1) * sizeof(Listen),
										 MCXT_ALLOC_HUGE);
	int64	   *next = palloc_extended((last - first + 1) * sizeof(int64),
									   MCXT_ALLOC_HUGE);
	int64		sum = 0;
	SpoolScan	scan;

	for (int32 u = first; u <= last; u++)
	{
		next[u - first] = sum;
		sum += counts[u];
	}
	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			int32		u = scan.block[i].user;

			if (u >= first && u <= last &&
				!lbrec_bit(held_out, scan.from + i))
				sorted[next[u - first]++] = scan.block[i];
		}
	for (int32 u = first; u <= last; u++)
	{
		Listen	   *mine = sorted + next[u - first] - counts[u];

		CHECK_FOR_INTERRUPTS();
		qsort(mine, counts[u], sizeof(Listen), compare_times);
		visit(u, mine, counts[u], arg);
	}
	pfree(sorted);
	pfree(next);
}

/* Visits each user once, except code 0, the unknown users. */
void
lbrec_visit_users(const Dataset *data, const uint8 *held_out,
				  UserVisitor visit, void *arg)
{
	int32		n_users = lbrec_vocabulary_size(data->users);
	int64		budget = Max(lbrec_spool_rows(), 65536);
	int64	   *counts = count_listens(data, held_out);

	for (int32 first = 1; first <= n_users;)
	{
		int32		last = first;
		int64		n = counts[first];

		while (last < n_users && n + counts[last + 1] <= budget)
			n += counts[++last];
		visit_range(data, held_out, counts, first, last, n, visit, arg);
		first = last + 1;
	}
	pfree(counts);
}

UserLists *
lbrec_make_lists(const Dataset *data, const ListRequest *request,
				 MemoryContext context)
{
	int32		n_users = lbrec_vocabulary_size(data->users);
	int32		n_recordings = lbrec_vocabulary_size(data->recordings);
	MemoryContext scratch = AllocSetContextCreate(context, "lbrec grouping",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Grouping	g = {.data = data, .request = request, .context = context,
		.now = lbrec_unix_time(GetCurrentTransactionStartTimestamp())};

	g.scratch = AllocSetContextCreate(scratch, "lbrec list of a user",
									  ALLOCSET_DEFAULT_SIZES);
	g.lists = MemoryContextAllocZero(context, sizeof(UserLists));
	g.lists->n_users = n_users;
	g.lists->power = request->power;
	if (request->older && !request->sequence)
		g.lists->active = MemoryContextAllocExtended(context,
													 ((Size) n_users + 1) * sizeof(bool),
													 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	g.lists->offsets = MemoryContextAllocExtended(context,
												  ((Size) n_users + 2) * sizeof(int64),
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	if (!request->sequence)
		g.lists->last = MemoryContextAllocExtended(context,
												   ((Size) n_users + 1) * sizeof(int64),
												   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	g.seen = palloc_extended(((Size) n_recordings + 1) * sizeof(int32),
							 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	g.place = palloc_extended(((Size) n_recordings + 1) * sizeof(int64),
							  MCXT_ALLOC_HUGE);
	reserve(&g, 1024);
	lbrec_visit_users(data, request->held_out, append_user, &g);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return g.lists;
}
