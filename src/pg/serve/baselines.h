/*
 * baselines.h
 *		Baselines for a model: the most popular recordings, and each user's
 *		own most played.
 */
#ifndef LBREC_SERVE_BASELINES_H
#define LBREC_SERVE_BASELINES_H

#include "pg/model/twotower.h"

typedef enum Baseline
{
	BASELINE_POPULAR,
	BASELINE_OWN_PLAYS
} Baseline;
#define N_BASELINES 2
extern const char *const lbrec_baseline_names[N_BASELINES];

typedef struct Baselines
{
	const TwoTower *tower;		/* read for counts and lists only */
	int64	   *above;			/* (n_recordings) number of candidates with
								 * more listens */
	int64	   *tied;			/* (n_recordings) number of others with as
								 * many */
	int32	   *by_listens;		/* (n_recordings) candidates, most listens
								 * first */

	/* The current user: */
	int			n;				/* length of the list */
	const int32 *codes;
	const float *plays;
	int32	   *place;			/* (n_recordings) place in the list plus one */
	int64	   *own_listens;	/* listens by all users of the list's entries,
								 * sorted */
	float	   *own_plays;		/* plays by the user of the list's entries,
								 * sorted */
	int			allocated;
} Baselines;

extern void lbrec_baselines_init(Baselines *b, const TwoTower *tower);
extern void lbrec_baseline_user(Baselines *b, int32 user);
extern void lbrec_baseline_rank(int64 *rank, int64 *new_rank,
								const Baselines *b, bool own, int32 truth);
extern int64 lbrec_baseline_top(int64 *ids, const Baselines *b, bool own,
								int64 k);

#endif							/* LBREC_SERVE_BASELINES_H */
