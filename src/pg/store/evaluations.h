/*
 * evaluations.h
 *		Measures of versions that are kept: rows of lbrec.evaluation.
 */
#ifndef LBREC_STORE_EVALUATIONS_H
#define LBREC_STORE_EVALUATIONS_H

#include "pg/server/lbrec.h"

/* The fields that all rows of one evaluation share. */
typedef struct EvaluationHead
{
	int64		model;			/* id of the version */
	const char *kind;			/* training, evaluation or retraining */
	const char *listens;		/* the query of listens */
	const char *split;			/* that held them out, or NULL */
	int64		first_time;		/* of the listens, microseconds since 1970 */
	int64		last_time;
	int64		n_listens;
	int64		unknown;		/* of recordings that are no candidates */
} EvaluationHead;

/* Measures at one K; those that are NaN are null. */
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
