/*
 * filter.h
 *		The candidates that a call allows.
 */
#ifndef LBREC_SERVE_FILTER_H
#define LBREC_SERVE_FILTER_H

#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/serve/queries.h"

/* A call's conditions; a list without keys was not given. */
typedef struct Conditions
{
	RecordingList candidates;	/* allow only these */
	RecordingList filter;		/* allow only these */
	RecordingList listened;		/* exclude these */
	RecordingList excluded;		/* exclude these */
	bool		bounded;
	int64		least;			/* bounds of the listens in the training data */
	int64		most;
} Conditions;

extern CandidateSet lbrec_filter_candidates(const ServingModel *serving,
											const Conditions *conditions);

#endif							/* LBREC_SERVE_FILTER_H */
