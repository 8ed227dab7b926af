/*
 * metrics.c
 *		Top-K accuracy, NDCG and MRR of listens; recall and NDCG of users.
 *
 * Measures of listens take every test listen as a query with one relevant
 * recording, repeats included, as the preprint does.  Measures of users take
 * as relevant the user's test recordings that the user had not played in the
 * training time; candidates that the user had played do not count, recall is
 * hits / min(K, relevant), and users are weighted alike (Liang et al., WWW
 * 2018).  If a user has several listens of a recording, the rank of the first
 * counts: with a time input each listen has another rank.
 *
 * A tie counts in favour of the relevant recording.  But relevant recordings
 * of a user may tie with each other, for example in the popular list if nobody
 * else has played them.  Two of them cannot share a place, so the i-th best of
 * them, from 0, has rank i at least.
 */
#include "pg/evaluate/metrics.h"

#include <math.h>

#include "core/lb_core.h"

const int	lbrec_top_ks[N_TOP_KS] = {1, 5, 10, 50, 100};
const int	lbrec_kept_ks[N_KEPT_KS] = {1, 5, 10, REPORT_K, 50, 100};

typedef struct Target
{
	int32		user;
	int32		truth;
	int64		time;
	int64		rank;
} Target;

static int
compare_targets(const void *a, const void *b)
{
	const Target *x = a;
	const Target *y = b;

	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	if (x->truth != y->truth)
		return x->truth < y->truth ? -1 : 1;
	/* only the first listen was new to the user */
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static int
compare_ranks(const void *a, const void *b)
{
	const Target *x = a;
	const Target *y = b;

	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* recall and NDCG at k of one user's n distinct targets, which are sorted */
static void
add_user(Metrics *m, int k, Target *targets, int n)
{
	int			hits = 0;
	double		gain = 0;
	double		ideal = 0;

	qsort(targets, n, sizeof(Target), compare_ranks);
	for (int i = 0; i < n; i++)
	{
		int64		rank = Max(targets[i].rank, i);

		if (rank >= k)
			break;
		hits++;
		gain += 1 / log2(rank + 2.0);
	}
	for (int i = 0; i < Min(k, n); i++)
		ideal += 1 / log2(i + 2.0);
	m->new_recall += (double) hits / Min(k, n);
	m->new_ndcg += gain / ideal;
	m->users++;
	m->targets += n;
}

/*
 * users, times and truth are (n), by listen; truth is -1 for a recording that
 * is no candidate.  ranks and new_ranks come from lbrec_rank_listens().
 */
void
lbrec_metrics(Metrics *m, int k, const int64 *ranks, const int64 *new_ranks,
			  const int32 *users, const int64 *times, const int32 *truth,
			  int64 n)
{
	Target	   *targets = palloc_extended(Max(n, 1) * sizeof(Target),
										  MCXT_ALLOC_HUGE);
	int64		n_targets = 0;

	memset(m, 0, sizeof(Metrics));
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (ranks[i] < k)
		{
			m->top_k++;
			m->ndcg += 1 / log2(ranks[i] + 2.0);
			m->mrr += 1 / (ranks[i] + 1.0);
		}
		/* a user without a known list has no new recordings */
		if (truth[i] >= 0 && new_ranks && new_ranks[i] >= 0 && users[i] > 0)
			targets[n_targets++] = (Target)
		{
			users[i], truth[i], times[i], new_ranks[i]
		};
	}
	m->top_k /= n;
	m->ndcg /= n;
	m->mrr /= n;
	qsort(targets, n_targets, sizeof(Target), compare_targets);
	for (int64 i = 0; i < n_targets;)
	{
		int64		first = i;
		int			distinct = 0;

		CHECK_FOR_INTERRUPTS();
		for (; i < n_targets && targets[i].user == targets[first].user; i++)
			if (distinct == 0 ||
				targets[first + distinct - 1].truth != targets[i].truth)
				targets[first + distinct++] = targets[i];
		add_user(m, k, targets + first, distinct);
	}
	if (m->users > 0)
	{
		m->new_recall /= m->users;
		m->new_ndcg /= m->users;
	}
	pfree(targets);
}

/* True for metrics of recordings that are new to their users. */
bool
lbrec_metric_of_new(Metric metric)
{
	return metric == METRIC_RECALL || metric == METRIC_NDCG ||
		metric == METRIC_NDCG_100;
}

/*
 * The metric that early stopping and tuning compare; larger is better.  If no
 * held-out recording is new to its user, MRR replaces the metrics of new
 * recordings.
 */
double
lbrec_metric(Metric metric, const EpochReport *report)
{
	if (lbrec_metric_of_new(metric) && report->new_users == 0)
		return report->mrr;
	switch (metric)
	{
		case METRIC_NONE:
			break;
		case METRIC_TEST_LOSS:
			return -report->test_loss;
		case METRIC_TOP_1:
			return report->top_k[0];
		case METRIC_TOP_5:
			return report->top_k[1];
		case METRIC_TOP_10:
			return report->top_k[2];
		case METRIC_TOP_50:
			return report->top_k[3];
		case METRIC_TOP_100:
			return report->top_k[4];
		case METRIC_RECALL:
			return report->recall;
		case METRIC_NDCG:
			return report->ndcg;
		case METRIC_NDCG_100:
			return report->ndcg_100;
		case METRIC_MRR:
			return report->mrr;
	}
	return 0;
}

/* The K of a metric that follows from ranks alone. */
int
lbrec_metric_k(Metric metric)
{
	switch (metric)
	{
		case METRIC_TOP_1:
			return 1;
		case METRIC_TOP_5:
			return 5;
		case METRIC_TOP_10:
			return 10;
		case METRIC_TOP_50:
			return 50;
		case METRIC_RECALL:
		case METRIC_NDCG:
			return REPORT_K;
		case METRIC_TOP_100:
		case METRIC_NDCG_100:
		case METRIC_MRR:
		case METRIC_NONE:
		case METRIC_TEST_LOSS:
			break;
	}
	return 100;
}

/*
 * The value of a metric that follows from ranks alone, given the measures at
 * its K.
 */
double
lbrec_metric_of(Metric metric, const Metrics *m)
{
	if (metric == METRIC_RECALL)
		return m->new_recall;
	if (metric == METRIC_NDCG || metric == METRIC_NDCG_100)
		return m->new_ndcg;
	return metric == METRIC_MRR ? m->mrr : m->top_k;
}

/* The same, given the measures at lbrec_kept_ks (N_KEPT_KS). */
double
lbrec_metric_kept(Metric metric, const Metrics *kept)
{
	int			i = 0;

	while (lbrec_kept_ks[i] != lbrec_metric_k(metric))
		i++;
	return lbrec_metric_of(metric, &kept[i]);
}
