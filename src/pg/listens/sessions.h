/*
 * sessions.h
 *		Users' sessions: what was played with no long gap between.
 */
#ifndef LBREC_LISTENS_SESSIONS_H
#define LBREC_LISTENS_SESSIONS_H

#include "pg/listens/histories.h"

/* Sessions with several recordings, each distinct, the latest first. */
typedef struct Sessions
{
	UserLists	lists;			/* one for each session, only codes */
	int32	   *users;			/* (lists.n_users + 1) whose each session is */
	int64		allocated;
} Sessions;

extern Sessions *lbrec_find_sessions(const Dataset *data,
									 const uint8 *held_out,
									 MemoryContext context);

#endif							/* LBREC_LISTENS_SESSIONS_H */
