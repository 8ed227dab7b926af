/*
 * histories.c
 *		Groups listens by user.
 *
 * Listens come in any order.  Users are taken in ranges whose listens fit in
 * lbrec.spool_mem together, one scan of all listens for each range: a scan of
 * a temporary file is cheaper than sorting it.
 */
#include "pg/listens/histories.h"

#include <math.h>

#include "utils/memutils.h"

#include "core/score/lb_mix.h"

#include "pg/listens/dataset.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"

/* Age of plays of which an older model does not tell when they were, days. */
#define UNKNOWN_AGE 30

typedef struct Grouping
{
	const Dataset *data;
	const ListRequest *request;
	UserLists  *lists;
	int32	   *seen;			/* (n_recordings + 1) the last user to have it */
	int64	   *place;			/* where it is in that user's list */
	MemoryContext context;
} Grouping;

/*
 * Breaks ties between listens of one time.  Each user has an order of their
 * own: with one order for all, recordings whose codes are near would seem to
 * be played one after another.
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

	/* a user with millions of listens takes a while to sort */
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
 * Weight, `days` later, of n plays that weighed w: each is given the mean age,
 * because their single times are not kept.
 */
static double
age_plays(double w, double n, double days, double power)
{
	return n * lb_mix_decay(pow(w / n, -1 / power) - 1 + days, power);
}

/* Appends older recordings that the new listens lack. */
static int64
append_older(Grouping *g, int32 user, int64 next)
{
	const UserLists *older = g->request->older;
	double		power = g->request->power;
	UserLists  *l = g->lists;
	double		days = 0;

	if (older == NULL || user > older->n_users)
		return next;
	reserve(g, next + lbrec_list_length(older, user));
	if (older->last)
	{
		l->last[user] = Max(l->last[user], older->last[user]);
		days = (double) (l->last[user] - older->last[user]) / USECS_PER_DAY;
	}
	for (int64 i = older->offsets[user]; i < older->offsets[user + 1]; i++)
	{
		int32		r = older->codes[i];
		double		plays = Max(older->plays[i], 1);
		double		w = 0;

		CHECK_FOR_INTERRUPTS();
		if (l->recency)
			w = age_plays(older->recency ? exp(older->recency[i]) :
						  plays * lb_mix_decay(UNKNOWN_AGE, power), plays,
						  days, power);
		if (g->seen[r] == user)
		{
			l->plays[g->place[r]] += older->plays[i];
			if (l->recency)
				l->recency[g->place[r]] += w;
		}
		else
		{
			l->codes[next] = r;
			l->plays[next] = older->plays[i];
			if (l->recency)
				l->recency[next] = w;
			next++;
		}
	}
	return next;
}

/* Appends one user's listens, in the order of time, to the lists. */
static void
append_user(int32 user, Listen *listens, int64 n, void *arg)
{
	Grouping   *g = arg;
	UserLists  *l = g->lists;
	int64		first = l->offsets[user];
	int64		next = first;

	reserve(g, first + n);
	if (g->request->sequence)
		for (int64 i = 0; i < n; i++)
		{
			l->codes[next] = listens[i].recording;
			l->times[next++] = listens[i].time;
		}
	else
	{
		l->last[user] = n > 0 ? listens[n - 1].time : PG_INT64_MIN;
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
					lb_mix_decay((double) (listens[n - 1].time -
										   listens[i].time) / USECS_PER_DAY,
								 g->request->power);
		}
		if (n > 0 || !g->request->active_only)
			next = append_older(g, user, next);
		if (l->recency)
			for (int64 i = first; i < next; i++)
			{
				CHECK_FOR_INTERRUPTS();
				l->recency[i] = logf(l->recency[i]);
			}
	}
	l->offsets[user + 1] = next;
}

/* Listens of each user, (n_users + 1). */
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

/* Visits the users from first to last, which have n listens together. */
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

/* Visits each user once; code 0 stands for unknown users and is left out. */
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
	Grouping	g = {.data = data, .request = request, .context = context};

	g.lists = MemoryContextAllocZero(context, sizeof(UserLists));
	g.lists->n_users = n_users;
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
