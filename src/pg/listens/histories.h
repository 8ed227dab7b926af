/*
 * histories.h
 *		Each user's recordings, for the history input and for repeats.
 */
#ifndef LBREC_LISTENS_HISTORIES_H
#define LBREC_LISTENS_HISTORIES_H

#include "pg/listens/dataset.h"
#include "pg/listens/spool.h"

/*
 * The recordings of user u are codes[offsets[u]] to codes[offsets[u + 1] - 1].
 * A list has distinct recordings, the last played first; a sequence has every
 * listen in the order of time.
 */
typedef struct UserLists
{
	int64		n_users;
	int64	   *offsets;		/* (n_users + 2) */
	int32	   *codes;
	float	   *plays;			/* lists: number of plays */
	float	   *recency;		/* lists: log of the sum of the plays' decayed
								 * weights (lb_mix_decay), at the user's last
								 * listen; or NULL */
	double		power;			/* exponent of that decay */
	int64	   *last;			/* lists: (n_users + 1) time of that listen */
	bool	   *active;			/* lists: (n_users + 1) true for users with
								 * new listens beside the older lists; NULL:
								 * all */
	int64	   *times;			/* sequences */
	int64		allocated;
} UserLists;

typedef struct ListRequest
{
	const uint8 *held_out;		/* bitmap of listens to leave out, or NULL */
	bool		sequence;
	double		power;			/* exponent of the decay; 0: omit recency */
	const struct UserLists *older;	/* lists to continue, or NULL */
} ListRequest;

/* Gets one user's listens in the order of time, which it may change. */
typedef void (*UserVisitor) (int32 user, Listen *listens, int64 n, void *arg);

extern double lbrec_mean_age(const UserLists *lists, int64 place);
extern int	lbrec_last_plays(int64 *times, const UserLists *lists, int32 user);
extern void lbrec_visit_users(const Dataset *data, const uint8 *held_out,
							  UserVisitor visit, void *arg);
extern UserLists *lbrec_make_lists(const Dataset *data,
								   const ListRequest *request,
								   MemoryContext context);

static inline int
lbrec_list_length(const UserLists *lists, int32 user)
{
	return (int) (lists->offsets[user + 1] - lists->offsets[user]);
}

/* True if the user has listens to train on. */
static inline bool
lbrec_is_active(const UserLists *lists, int32 user)
{
	return lists->active == NULL || lists->active[user];
}

static inline bool
lbrec_bit(const uint8 *bits, int64 i)
{
	return bits != NULL && (bits[i / 8] >> (i % 8) & 1);
}

#endif							/* LBREC_LISTENS_HISTORIES_H */
