/*
 * paired.h
 *		Compares two models on the same listens.
 */
#ifndef LBREC_EVALUATE_PAIRED_H
#define LBREC_EVALUATE_PAIRED_H

#include "pg/evaluate/metrics.h"

/* Ranks of n listens; those of one user are adjacent. */
typedef struct RankedListens
{
	int64		n;
	const int32 *users;			/* (n) above 0 */
	const int64 *times;			/* (n) */
	int32	   *truth;			/* (n) recordings, -1: unknown to both models */
	int64	   *ranks;			/* (n) */
	int64	   *new_ranks;		/* (n) -1: not new to the user */
} RankedListens;

/* The difference of two means over the same users. */
typedef struct PairedMeans
{
	double		first;
	double		second;
	double		error;			/* standard error of second - first */
	int64		users;			/* users compared; 0: none */
} PairedMeans;

extern PairedMeans lbrec_compare_paired(Metric metric,
										const RankedListens *first,
										const RankedListens *second);

#endif							/* LBREC_EVALUATE_PAIRED_H */
