/*
 * played.h
 *		A user's recordings: those of the model, and what was played since.
 */
#ifndef LBREC_SERVE_PLAYED_H
#define LBREC_SERVE_PLAYED_H

#include "pg/image/image.h"
#include "pg/serve/user_listens.h"

/* Distinct recordings, the one played last first. */
typedef struct Played
{
	int			n;
	const int32 *codes;			/* candidates plus one */
	const float *plays;			/* how often */
	const float *recency;		/* log of what the plays count (lb_mix_decay),
								 * or NULL */
} Played;

extern Played lbrec_stored_plays(const TwoTower *model, int32 user);
extern LbPlay *lbrec_known_plays(int64 *n, const ServingModel *serving,
								 const ListenList *listens);
extern Played lbrec_gather_plays(const ServingModel *serving,
								 const LbPlay *plays, int64 n,
								 const Played *older, int64 older_time,
								 int64 time);

#endif							/* LBREC_SERVE_PLAYED_H */
