/*
 * evaluations.h
 *		Stores measures of versions in lbrec.evaluation.
 */
#ifndef LBREC_STORE_EVALUATIONS_H
#define LBREC_STORE_EVALUATIONS_H

#include "pg/server/lbrec.h"

/* The columns that all rows of one evaluation share. */
typedef struct EvaluationHead
{
	int64		model;			/* id of the version */
	const char *kind;			/* training, evaluation or retraining */
	const char *listens;		/* the query of listens */
	const char *split;			/* how a training held the listens out, or
								 * NULL */
	int64		first_time;		/* first and last time of the listens,
								 * microseconds since 1970 */
	int64		last_time;
	int64		n_listens;
	int64		unknown;		/* listens of recordings that are no
								 * candidates */
} EvaluationHead;

/* Measures at one K; NaN is stored as null. */
typedef struct EvaluationRow
{
	const char *recommender;
	int			k;
	double		top_k;
	double		ndcg;
	double		mrr;
	double		new_recall;
	double		new_ndcg;
	double		coverage;
	double		mean_popularity;
	int64		users;
} EvaluationRow;

extern void lbrec_keep_evaluation(const EvaluationHead *head,
								  const EvaluationRow *rows, int n);
extern void lbrec_drop_evaluations(const char *name);

#endif							/* LBREC_STORE_EVALUATIONS_H */
