/*
 * dataset.h
 *		Listens of a query as dense numbers.
 */
#ifndef LBREC_DATASET_H
#define LBREC_DATASET_H

#include "lbrec.h"

#include "utils/array.h"

#include "vocabulary.h"

/* Codes begin at 1; 0 is out-of-vocabulary. */
typedef struct Listen
{
	int32		user;
	int32		recording;
	int64		time;			/* microseconds since 1970, UTC */
} Listen;

typedef enum FeatureKind
{
	FEATURE_CATEGORY,			/* one key */
	FEATURE_BAG,				/* an array of keys: mean of embeddings */
	FEATURE_NUMBER
} FeatureKind;

/* A further column of the query, as a property of recordings or of users. */
typedef struct Feature
{
	char		name[NAMEDATALEN];
	FeatureKind kind;
	bool		of_user;
	int			attno;			/* column of the query, from 0 */
	Oid			type;			/* of the column, or of its elements */
	Vocabulary *keys;			/* CATEGORY and BAG */
	int64		n;				/* entities that have a value slot */
	int64		allocated;
	int32	   *codes;			/* CATEGORY: (n) */
	int64	   *offsets;		/* BAG: (n + 1) into bag_codes */
	int32	   *bag_codes;
	int64		n_bag_codes;
	int64		bag_allocated;
	float	   *numbers;		/* NUMBER: (n), NaN where unknown */
	double		mean;			/* NUMBER: of the known values */
	double		deviation;
} Feature;

#define MAX_FEATURES 24

typedef struct Dataset
{
	MemoryContext context;
	char	   *query;			/* as it was run */
	Listen	   *listens;
	int64		n_listens;
	int64		allocated;
	Vocabulary *users;			/* keys: int64 */
	Vocabulary *recordings;		/* keys: uuid */
	int64	   *recording_listens;	/* (recordings + 1) plays of each code */
	int64		recording_listens_allocated;
	int			n_features;
	Feature		features[MAX_FEATURES];
	int64		first_time;
	int64		last_time;
	double		time_mean;		/* seconds */
	double		time_deviation;
} Dataset;

extern char *lbrec_listens_query(const char *listens);
extern Dataset *lbrec_read_listens(const char *listens,
								   ArrayType *user_features,
								   bool with_features,
								   MemoryContext context);

#endif							/* LBREC_DATASET_H */
