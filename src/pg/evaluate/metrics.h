/*
 * metrics.h
 *		Sums ranks up to metrics, and holds the figures of an epoch.
 */
#ifndef LBREC_EVALUATE_METRICS_H
#define LBREC_EVALUATE_METRICS_H

#include "pg/server/lbrec.h"

typedef enum Metric
{
	METRIC_NONE,
	METRIC_TEST_LOSS,
	METRIC_TOP_1,
	METRIC_TOP_5,
	METRIC_TOP_10,
	METRIC_TOP_50,
	METRIC_TOP_100,
	METRIC_RECALL,
	METRIC_NDCG,
	METRIC_NDCG_100,
	METRIC_MRR
} Metric;

#define N_TOP_KS 5
extern const int lbrec_top_ks[N_TOP_KS];

/* The K of an epoch's reported recall and NDCG. */
#define REPORT_K 20

/* Metrics of ranks at one K. */
typedef struct Metrics
{
	double		top_k;			/* share of listens whose recording is among
								 * the first K */
	double		ndcg;			/* over listens, each with one target */
	double		mrr;			/* over listens, 0 beyond K */
	double		new_recall;		/* over users, recordings new to them */
	double		new_ndcg;
	int64		users;			/* users with a target that is new to them */
	int64		targets;		/* those targets, each counted once a user */
} Metrics;

/* The K at which a training keeps its measures, REPORT_K among them. */
#define N_KEPT_KS 6
extern const int lbrec_kept_ks[N_KEPT_KS];

typedef struct EpochReport
{
	int			epoch;
	double		loss;			/* mean over the epoch's batches of a batch's
								 * loss */
	bool		evaluated;
	double		test_loss;
	double		top_k[N_TOP_KS];
	int64		new_users;		/* users with new recordings; 0: recall and
								 * ndcg were not measured */
	double		recall;			/* of new recordings, at REPORT_K */
	double		ndcg;
	double		ndcg_100;		/* the same at the largest of lbrec_top_ks */
	double		mrr;			/* of listens, at the largest of lbrec_top_ks */
	Metrics		kept[N_KEPT_KS];
	double		seconds;
	double		listens_per_second;
} EpochReport;

extern void lbrec_metrics(Metrics *m, int k, const int64 *ranks,
						  const int64 *new_ranks, const int32 *users,
						  const int64 *times, const int32 *truth, int64 n);

extern int	lbrec_metric_k(Metric metric);
extern bool lbrec_metric_of_new(Metric metric);
extern double lbrec_metric_of(Metric metric, const Metrics *m);
extern double lbrec_metric_kept(Metric metric, const Metrics *kept);
extern double lbrec_metric(Metric metric, const EpochReport *report);

#endif							/* LBREC_EVALUATE_METRICS_H */
