/*
 * sessions.c
 *		Cuts users' listens into sessions.
 *
 * A session ends when nothing is played for half an hour, the usual limit of
 * web sessions.  A session of one recording says nothing about recordings that
 * belong together, so it is left out.
 */
#include "pg/listens/sessions.h"

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/vocabulary.h"

#define SESSION_GAP (30 * USECS_PER_MINUTE)

typedef struct Cutter
{
	Sessions   *sessions;
	int64	   *seen;			/* (n_recordings + 1) number, plus one, of the
								 * last session with it */
	int64		n_sessions;		/* sessions so far, with those left out */
	MemoryContext context;
} Cutter;

static void
reserve(Cutter *c, int64 n_codes)
{
	Sessions   *s = c->sessions;
	UserLists  *l = &s->lists;

	if (n_codes > l->allocated)
	{
		l->allocated = Max(n_codes, 2 * l->allocated);
		l->codes = l->codes ?
			repalloc_huge(l->codes, l->allocated * sizeof(int32)) :
			MemoryContextAllocHuge(c->context,
								   l->allocated * sizeof(int32));
	}
	if (l->n_users + 3 > s->allocated)
	{
		s->allocated = Max(1024, 2 * s->allocated);
		if (l->offsets == NULL)
		{
			l->offsets = MemoryContextAllocHuge(c->context, s->allocated *
												sizeof(int64));
			s->users = MemoryContextAllocHuge(c->context, s->allocated *
											  sizeof(int32));
			l->offsets[0] = l->offsets[1] = 0;
			s->users[0] = 0;
			return;
		}
		l->offsets = repalloc_huge(l->offsets, s->allocated * sizeof(int64));
		s->users = repalloc_huge(s->users, s->allocated * sizeof(int32));
	}
}

/* Adds a session of n listens, unless it has one recording only. */
static void
add_session(Cutter *c, int32 user, const Listen *listens, int64 n)
{
	UserLists  *l = &c->sessions->lists;
	int64		first;
	int64		next;

	reserve(c, (l->offsets ? l->offsets[l->n_users + 1] : 0) + n);
	first = next = l->offsets[l->n_users + 1];
	c->n_sessions++;
	for (int64 i = n - 1; i >= 0; i--)
	{
		int32		r = listens[i].recording;

		CHECK_FOR_INTERRUPTS();
		if (r == 0 || c->seen[r] == c->n_sessions)
			continue;
		c->seen[r] = c->n_sessions;
		l->codes[next++] = r;
	}
	if (next - first < 2)
		return;
	l->n_users++;
	c->sessions->users[l->n_users] = user;
	l->offsets[l->n_users + 1] = next;
}

static void
cut_user(int32 user, Listen *listens, int64 n, void *arg)
{
	for (int64 first = 0, end; first < n; first = end)
	{
		for (end = first + 1; end < n; end++)
			if (listens[end].time - listens[end - 1].time >= SESSION_GAP)
				break;
		add_session(arg, user, listens + first, end - first);
	}
}

/*
 * Makes the sessions of all users, in context; held_out as in a ListRequest.
 */
Sessions *
lbrec_find_sessions(const Dataset *data, const uint8 *held_out,
					MemoryContext context)
{
	Cutter		c = {.context = context};
	int32		n = lbrec_vocabulary_size(data->recordings);

	c.sessions = MemoryContextAllocZero(context, sizeof(Sessions));
	c.seen = palloc_extended(((Size) n + 1) * sizeof(int64),
							 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	reserve(&c, 1);
	lbrec_visit_users(data, held_out, cut_user, &c);
	pfree(c.seen);
	return c.sessions;
}
