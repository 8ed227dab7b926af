/*
 * dataset.h
 *		The listens of a query, with users and recordings as dense codes.
 */
#ifndef LBREC_LISTENS_DATASET_H
#define LBREC_LISTENS_DATASET_H

#include "pg/listens/categories.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"

#include "utils/array.h"

typedef enum FeatureKind
{
	FEATURE_CATEGORY,			/* one key */
	FEATURE_BAG,				/* an array of keys: mean of embeddings */
	FEATURE_NUMBER
} FeatureKind;

/* A further column of the query: a property of recordings or of users. */
typedef struct Feature
{
	char		name[NAMEDATALEN];
	FeatureKind kind;
	bool		of_user;
	bool		of_items;		/* a column of items, not of listens */
	bool		bucketed;		/* numbers that become codes when all rows are
								 * read */
	int			attno;			/* column of its query, from 0 */
	Oid			type;			/* type of the column, or of its elements */
	CategoryForm form;			/* CATEGORY and BAG: how a value becomes a key */
	Vocabulary *keys;			/* CATEGORY and BAG, except buckets */
	int32		n_known_keys;	/* keys from a warm start */
	int64		n;				/* entities with room for a value */
	int64		allocated;
	int32	   *codes;			/* CATEGORY: (n) */
	int64	   *offsets;		/* BAG: (n + 1) into bag_codes */
	int64	   *starts;			/* BAG, while rows are read: (n) ... */
	int32	   *lengths;		/* ... and (n) in the place of offsets */
	int32	   *bag_codes;
	int64		n_bag_codes;
	int64		bag_allocated;
	int32		longest_bag;
	float	   *numbers;		/* NUMBER: (n), NaN where unknown */
	double		mean;			/* NUMBER: mean of the known values */
	double		deviation;
	bool		scaled;			/* limits of buckets */
	float	   *edges;			/* between buckets */
	int			n_edges;
} Feature;

#define MAX_FEATURES 23

/* The argument whose query has the column, for messages. */
#define LBREC_QUERY_OF(f) ((f)->of_items ? "items" : "listens")

typedef struct Dataset
{
	MemoryContext context;
	char	   *query;			/* the text that was run */
	ListenSpool *listens;
	int64		n_listens;
	int64		n_later;		/* listens skipped because they are later than
								 * the source's bound */
	int64		n_earlier;		/* the same, before the source's since */
	Vocabulary *users;			/* keys: int64 */
	Vocabulary *recordings;		/* keys: uuid */
	int64	   *recording_listens;	/* (recordings + 1) plays by code */
	int64		recording_listens_allocated;
	int32		n_known_users;	/* users from a warm start */
	int32		n_known_recordings;
	const struct WeekCounts *known_weeks;	/* and weeks of their listens, or
											 * NULL */
	bool	   *listed;			/* (recordings + 1) true of those in items;
								 * NULL if all recordings are played ones */
	int64		listed_allocated;
	int			n_features;
	Feature		features[MAX_FEATURES];
	int64		first_time;
	int64		last_time;
	double		time_mean;		/* seconds */
	double		time_deviation;
} Dataset;

/* The listens to read, and how to read their columns. */
typedef struct ListenSource
{
	const char *listens;		/* table or query */
	const char *items;			/* table or query of recordings, or NULL */
	bool		with_features;	/* if false, further columns are ignored */
	ArrayType  *user_features;	/* names, or NULL */
	ArrayType  *bucketize;		/* names, or NULL */
	int			number_buckets;
	bool		has_since;		/* listens before since are passed over */
	int64		since;			/* microseconds since 1970 */
	bool		bounded;		/* skip listens after until; if none is left,
								 * the dataset is empty */
	int64		until;			/* microseconds since 1970 */
	/* Called when the columns are known, before the first row; or NULL. */
	void		(*prepare) (Dataset *data, void *arg);
	void	   *prepare_arg;
} ListenSource;

#endif							/* LBREC_LISTENS_DATASET_H */
