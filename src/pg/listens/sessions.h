/*
 * sessions.h
 *		Users' sessions: listens without a long gap between them.
 */
#ifndef LBREC_LISTENS_SESSIONS_H
#define LBREC_LISTENS_SESSIONS_H

#include "pg/listens/histories.h"

/* Sessions of several distinct recordings, the latest first. */
typedef struct Sessions
{
	UserLists	lists;			/* one list a session, with codes only */
	int32	   *users;			/* (lists.n_users + 1) user of each session */
	int64		allocated;
} Sessions;

extern Sessions *lbrec_find_sessions(const Dataset *data,
									 const uint8 *held_out,
									 MemoryContext context);

#endif							/* LBREC_LISTENS_SESSIONS_H */
