/*
 * played.h
 *		A user's recordings: those in the model, and those played since.
 */
#ifndef LBREC_SERVE_PLAYED_H
#define LBREC_SERVE_PLAYED_H

#include "pg/image/image.h"
#include "pg/serve/user_listens.h"

/* Distinct recordings, the last played first. */
typedef struct Played
{
	int			n;
	const int32 *codes;			/* candidates plus one */
	const float *plays;			/* number of plays */
	const float *recency;		/* log of the plays' decayed weight
								 * (lb_mix_decay), or NULL */
} Played;

extern Played lbrec_stored_plays(const TwoTower *model, int32 user);
extern LbPlay *lbrec_known_plays(int64 *n, const ServingModel *serving,
								 const ListenList *listens);
extern Played lbrec_gather_plays(const ServingModel *serving,
								 const LbPlay *plays, int64 n,
								 const Played *older, int64 older_time,
								 int64 time);

#endif							/* LBREC_SERVE_PLAYED_H */
