/*
 * search.h
 *		The settings that lbrec_tune() tries, and their values.
 */
#ifndef LBREC_TRAIN_SEARCH_H
#define LBREC_TRAIN_SEARCH_H

#include "pg/train/settings.h"

#define MAX_KNOBS 64

/* A setting, and the values to try. */
typedef struct Knob
{
	char	   *name;
	int			n_values;
	JsonbValue **values;
} Knob;

typedef struct Search
{
	const char *preset;
	Jsonb	   *settings;		/* shared by all trials, or NULL */
	int			n_knobs;
	Knob		knobs[MAX_KNOBS];
	bool		tunes_ensemble;
} Search;

extern void lbrec_read_search(Search *search, Jsonb *json);
extern void lbrec_search_options(TrainOptions *options, const Search *search,
								 const int *choice);
extern int *lbrec_search_choices(int *n, const Search *search, int wanted);
extern Jsonb *lbrec_search_json(const Search *search, const int *choice);

#endif							/* LBREC_TRAIN_SEARCH_H */
