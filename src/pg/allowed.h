/*
 * allowed.h
 *		Which recordings may be recommended.
 */
#ifndef LBREC_ALLOWED_H
#define LBREC_ALLOWED_H

#include "serving.h"

/* What a call says of them; a list without keys was not given. */
typedef struct Conditions
{
	RecordingList candidates;	/* only these */
	RecordingList filter;		/* only these */
	RecordingList listened;		/* none of these */
	bool		bounded;
	int64		least;			/* listens in the training data */
	int64		most;
} Conditions;

/* All candidates, or those of a bitmap, or those of a list. */
typedef struct Allowed
{
	int64		n;				/* how many */
	const uint64 *bits;
	const int32 *list;			/* ascending and distinct */
} Allowed;

extern Allowed lbrec_allowed(const ServingModel *serving,
							 const Conditions *conditions);
extern bool lbrec_is_allowed(const Allowed *allowed, int64 candidate);

#endif							/* LBREC_ALLOWED_H */
