/*
 * options.h
 *		The settings of a training run.
 */
#ifndef LBREC_OPTIONS_H
#define LBREC_OPTIONS_H

#include "lbrec.h"

#include "core/lb_tower.h"

typedef enum SplitKind
{
	SPLIT_PAPER,				/* shuffle buffer; 40,000 and 10,000 listens */
	SPLIT_RANDOM,				/* a random share is held out */
	SPLIT_TIME,					/* the latest share is held out */
	SPLIT_NONE					/* train on everything, no metrics */
} SplitKind;

typedef struct TrainOptions
{
	const char *preset;
	int			epochs;
	int			batch_size;
	double		learning_rate;
	int			n_layers;
	int			layers[LB_MAX_LAYERS];
	int			embedding_dim;
	int64		seed;
	SplitKind	split;
	double		test_fraction;
	int			time_buckets;	/* 0: no time inputs */
	bool		mean_loss;
	double		temperature;
	bool		logq;
	bool		normalize;
	bool		mask_hits;
	int			evaluate_every; /* epochs */
	double		initial_accumulator;
	bool		activate;
	bool		verbose;
} TrainOptions;

extern void lbrec_preset(TrainOptions *options, const char *name);
extern const char *lbrec_split_name(SplitKind split);
extern SplitKind lbrec_split_by_name(const char *name);
extern void lbrec_check_options(const TrainOptions *options);
extern char *lbrec_options_json(const TrainOptions *options);

#endif							/* LBREC_OPTIONS_H */
