/*
 * judge.h
 *		Judges a trained model and an older version on the same listens.
 */
#ifndef LBREC_TRAIN_JUDGE_H
#define LBREC_TRAIN_JUDGE_H

#include "pg/evaluate/paired.h"
#include "pg/image/image.h"
#include "pg/serve/baselines.h"
#include "pg/train/request.h"

/* The recommenders judged, in the order of JUDGED_NAMES. */
#define N_JUDGED (2 + N_BASELINES)
#define JUDGED_NAMES {"model", "candidate", "popular", "most_played"}

typedef struct JudgeRequest
{
	const ServingModel *older;	/* the active version, or NULL */
	const Trained *candidate;
	const Dataset *candidate_data;	/* the candidate's training data */
	const Dataset *data;		/* contains the listens to judge by */
	int64		until;			/* only listens after this time */
	Metric		metric;
} JudgeRequest;

typedef struct Judgement
{
	PairedMeans means;			/* of the older version and of the candidate */
	double		popular;		/* the same metric for the list of popular
								 * recordings */
	int64		n;				/* number of listens; 0: none, and nothing
								 * else is set */
	int64		unknown;		/* listens of recordings that neither model
								 * knows */
	int64		first_time;
	int64		last_time;
	Metrics		kept[N_JUDGED][N_KEPT_KS];
} Judgement;

extern void lbrec_judge(Judgement *judgement, const JudgeRequest *request,
						MemoryContext context);

#endif							/* LBREC_TRAIN_JUDGE_H */
