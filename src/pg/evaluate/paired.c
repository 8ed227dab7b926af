/*
 * paired.c
 *		Compares two models on the same listens: the difference of a measure,
 *		and its standard error.
 *
 * Users differ far more than models do, so the difference is taken user by
 * user.  A measure is a ratio of two sums over users, values by weights.  A
 * user's weight is 1 in measures of new recordings, and the number of the
 * user's listens in measures of listens.  With d the difference of a user's
 * values and w the weight, the standard error of the difference D of the
 * ratios is sqrt(sum (d - w D)^2) / sum w (Cochran, Sampling Techniques,
 * section 2.11, without the correction for a finite population).
 */
#include "pg/evaluate/paired.h"

#include <math.h>

/* A user's weight under a measure; *value is the measure times the weight. */
static double
user_value(double *value, Metric metric, const RankedListens *r, int64 from,
		   int64 n)
{
	Metrics		m;
	int			k = lbrec_metric_k(metric);

	lbrec_metrics(&m, k, r->ranks + from, r->new_ranks + from,
				  r->users + from, r->times + from, r->truth + from, n);
	if (lbrec_metric_of_new(metric))
	{
		*value = m.users > 0 ? lbrec_metric_of(metric, &m) : 0;
		return m.users;
	}
	*value = lbrec_metric_of(metric, &m) * n;
	return n;
}

PairedMeans
lbrec_compare_paired(Metric metric, const RankedListens *first,
					 const RankedListens *second)
{
	PairedMeans means = {0};
	double		weights = 0;
	double		of_first = 0;	/* of values */
	double		of_second = 0;
	double		squares = 0;	/* of squared differences, and of products */
	double		products = 0;
	double		weight_squares = 0;
	double		difference;

	for (int64 i = 0; i < first->n;)
	{
		int64		from = i;
		double		a;
		double		b;
		double		w;

		CHECK_FOR_INTERRUPTS();
		while (i < first->n && first->users[i] == first->users[from])
			i++;
		w = user_value(&a, metric, first, from, i - from);
		if (w == 0)
			continue;
		(void) user_value(&b, metric, second, from, i - from);
		weights += w;
		of_first += a;
		of_second += b;
		squares += (b - a) * (b - a);
		products += (b - a) * w;
		weight_squares += w * w;
		means.users++;
	}
	if (weights == 0)
		return means;
	means.first = of_first / weights;
	means.second = of_second / weights;
	difference = means.second - means.first;
	means.error = sqrt(fmax(squares - 2 * difference * products +
							difference * difference * weight_squares, 0)) /
		weights;
	return means;
}
