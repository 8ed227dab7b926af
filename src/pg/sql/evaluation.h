/*
 * evaluation.h
 *		Reads the listens of an evaluation, and ranks them.
 */
#ifndef LBREC_SQL_EVALUATION_H
#define LBREC_SQL_EVALUATION_H

#include "pg/image/image.h"
#include "pg/listens/dataset.h"
#include "pg/serve/baselines.h"
#include "pg/serve/queries.h"

typedef enum Recommender
{
	BY_MODEL,
	BY_POPULARITY,
	BY_OWN_PLAYS,
	BY_RANKINGS					/* lists made elsewhere */
} Recommender;

/* Positions of the arguments in a call's declaration; NO_ARGUMENT: none. */
typedef struct EvaluationPlaces
{
	int			model;
	int			version;
	int			listens;
	int			ks;
	int			rankings;
	int			since;
	int			as_of;
} EvaluationPlaces;

typedef struct Evaluation
{
	const ServingModel *serving;
	const Dataset *data;		/* the data set, without its listens */
	Baselines	baselines;
	int64		n;				/* number of listens */
	int32	   *people;			/* (n) code in the data set's vocabulary */
	int32	   *users;			/* (n) code in the model, 0: unknown */
	int64	   *times;			/* (n) */
	int32	   *truth;			/* (n) candidates, -1: unknown to the model */
	int64	   *ranks;			/* (n) result of lbrec_find_ranks() */
	int64	   *new_ranks;		/* (n) */
	int64		unknown;		/* listens of recordings that are no
								 * candidates */
	int32		n_people;
	int64	   *person_ids;		/* (n_people + 1) by code */
	int64	   *person_starts;	/* (n_people + 2) where each person's listens
								 * begin in by_person */
	int64	   *by_person;		/* (n) indices of the listens, by person */
	int32	   *person_users;	/* (n_people + 1) code in the model */
	RankingRows rankings;		/* spool is NULL if the call gives no rankings */
	int32	   *ranking_truth;	/* candidate of each recording of the rankings */
	int		   *ks;
	int			n_ks;
	int64		most;			/* the largest of ks, or the number of
								 * candidates */
	LbThreads  *pool;
	MemoryContext context;
} Evaluation;

/* Variety of lists of k recordings: coverage and popularity. */
typedef struct Spread
{
	uint64	   *shown;			/* bitmap of candidates in any list */
	int64		n_shown;
	double		listens;		/* sum over all entries of all lists */
	int64		entries;
} Spread;

extern const char *lbrec_recommender_name(Recommender recommender);
extern void lbrec_begin_evaluation(Evaluation *e, FunctionCallInfo fcinfo,
								   const EvaluationPlaces *places,
								   MemoryContext context);
extern void lbrec_find_ranks(Evaluation *e, Recommender recommender);
extern Spread *lbrec_make_spreads(const Evaluation *e);
extern void lbrec_add_list(Spread *spreads, const Evaluation *e,
						   const int64 *ids, int64 n);
extern void lbrec_rank_in_rankings(Evaluation *e, Spread *spreads);

#endif							/* LBREC_SQL_EVALUATION_H */
