/*
 * lists.c
 *		Groups listens by user.
 *
 * Listens come in any order.  Users are taken in ranges whose listens fit in
 * lbrec.spool_mem together, one scan of all listens for each range: a scan of
 * a temporary file is cheaper than sorting it.
 */
#include "lists.h"

#include <math.h>

#include "utils/memutils.h"

typedef struct Grouping
{
	const Dataset *data;
	const ListRequest *request;
	UserLists  *lists;
	int64	   *counts;			/* (n_users + 1) listens of each user */
	int32	   *seen;			/* (n_recordings + 1) the last user to have it */
	int64	   *place;			/* where it is in that user's list */
	MemoryContext context;
} Grouping;

static int
compare_times(const void *a, const void *b)
{
	const Listen *x = a;
	const Listen *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	/* listens of one second: any fixed order */
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
		if (g->request->half_life > 0)
			GROW(l->recency);
	}
#undef GROW
}

/* Appends what the user played before these listens, as far as not among them. */
static int64
append_older(Grouping *g, int32 user, int64 first, int64 next)
{
	const UserLists *older = g->request->older;
	UserLists  *l = g->lists;

	if (older == NULL || user > older->n_users)
		return next;
	reserve(g, next + lbrec_list_length(older, user));
	for (int64 i = older->offsets[user]; i < older->offsets[user + 1]; i++)
	{
		int32		r = older->codes[i];

		if (g->seen[r] == user)
			l->plays[g->place[r]] += older->plays[i];
		else if (next - first < g->request->max_length)
		{
			l->codes[next] = r;
			l->plays[next] = older->plays[i];
			if (l->recency)
				l->recency[next] = 0;
			next++;
		}
	}
	return next;
}

/* Appends one user's listens, in the order of time, to the lists. */
static void
append_user(Grouping *g, int32 user, const Listen *listens, int64 n)
{
	UserLists  *l = g->lists;
	int64		first = l->offsets[user];
	int64		next = first;
	double		per_day = g->request->half_life > 0 ?
		M_LN2 / g->request->half_life : 0;

	reserve(g, first + n);
	if (g->request->sequence)
		for (int64 i = 0; i < n; i++)
		{
			l->codes[next] = listens[i].recording;
			l->times[next++] = listens[i].time;
		}
	else
		for (int64 i = n - 1; i >= 0; i--)
		{
			int32		r = listens[i].recording;

			if (r == 0)
				continue;
			if (g->seen[r] != user)
			{
				if (next - first == g->request->max_length)
					continue;
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
					exp(-per_day * (listens[n - 1].time - listens[i].time) /
						USECS_PER_DAY);
		}
	if (!g->request->sequence && (n > 0 || !g->request->active_only))
		next = append_older(g, user, first, next);
	l->offsets[user + 1] = next;
}

static void
count_listens(Grouping *g)
{
	SpoolScan	scan;

	lbrec_scan_begin(&scan, g->data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
			if (!lbrec_bit(g->request->held_out, scan.from + i))
				g->counts[scan.block[i].user]++;
}

/* The listens of the users from first to last, grouped and sorted. */
static void
take_range(Grouping *g, int32 first, int32 last, int64 n)
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
		sum += g->counts[u];
	}
	lbrec_scan_begin(&scan, g->data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			int32		u = scan.block[i].user;

			if (u >= first && u <= last &&
				!lbrec_bit(g->request->held_out, scan.from + i))
				sorted[next[u - first]++] = scan.block[i];
		}
	for (int32 u = first; u <= last; u++)
	{
		Listen	   *mine = sorted + next[u - first] - g->counts[u];

		if (u % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		qsort(mine, g->counts[u], sizeof(Listen), compare_times);
		append_user(g, u, mine, g->counts[u]);
	}
	pfree(sorted);
	pfree(next);
}

UserLists *
lbrec_make_lists(const Dataset *data, const ListRequest *request,
				 MemoryContext context)
{
	int32		n_users = lbrec_vocabulary_size(data->users);
	int32		n_recordings = lbrec_vocabulary_size(data->recordings);
	int64		budget = Max(lbrec_spool_rows(), 65536);
	MemoryContext scratch = AllocSetContextCreate(context, "lbrec grouping",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Grouping	g = {.data = data, .request = request, .context = context};

	g.lists = MemoryContextAllocZero(context, sizeof(UserLists));
	g.lists->n_users = n_users;
	g.lists->offsets = MemoryContextAllocExtended(context,
												  ((Size) n_users + 2) * sizeof(int64),
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	g.counts = palloc_extended(((Size) n_users + 1) * sizeof(int64),
							   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	g.seen = palloc_extended(((Size) n_recordings + 1) * sizeof(int32),
							 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	g.place = palloc_extended(((Size) n_recordings + 1) * sizeof(int64),
							  MCXT_ALLOC_HUGE);
	reserve(&g, 1024);
	count_listens(&g);

	/* user code 0 stands for unknown users and has no list */
	for (int32 first = 1; first <= n_users;)
	{
		int32		last = first;
		int64		n = g.counts[first];

		while (last < n_users && n + g.counts[last + 1] <= budget)
			n += g.counts[++last];
		take_range(&g, first, last, n);
		first = last + 1;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return g.lists;
}
