/*
 * dataset.h
 *		Listens of a query as dense numbers.
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

/* A further column of the query, as a property of recordings or of users. */
typedef struct Feature
{
	char		name[NAMEDATALEN];
	FeatureKind kind;
	bool		of_user;
	bool		of_items;		/* a column of items, not of listens */
	bool		bucketed;		/* numbers that become codes in the end */
	int			attno;			/* column of its query, from 0 */
	Oid			type;			/* of the column, or of its elements */
	CategoryForm form;			/* CATEGORY and BAG: how a value is a key */
	Vocabulary *keys;			/* CATEGORY and BAG, but for buckets */
	int32		n_known_keys;	/* that a warm start brought */
	int64		n;				/* entities that have a value slot */
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
	double		mean;			/* NUMBER: of the known values */
	double		deviation;
	bool		scaled;			/* both are an older model's */
	float	   *edges;			/* between buckets */
	int			n_edges;
} Feature;

#define MAX_FEATURES 23

/* The argument whose query has the column, for messages. */
#define LBREC_QUERY_OF(f) ((f)->of_items ? "items" : "listens")

typedef struct Dataset
{
	MemoryContext context;
	char	   *query;			/* as it was run */
	ListenSpool *listens;
	int64		n_listens;
	int64		n_later;		/* passed over, as the source says */
	int64		n_earlier;		/* the same, before the source's since */
	Vocabulary *users;			/* keys: int64 */
	Vocabulary *recordings;		/* keys: uuid */
	int64	   *recording_listens;	/* (recordings + 1) plays of each code */
	int64		recording_listens_allocated;
	int32		n_known_users;	/* codes that a warm start brought */
	int32		n_known_recordings;
	const struct WeekCounts *known_weeks;	/* and their listens, or NULL */
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

/* The listens to read, and how to take their columns. */
typedef struct ListenSource
{
	const char *listens;		/* table or query */
	const char *items;			/* table or query of recordings, or NULL */
	bool		with_features;	/* else further columns are not looked at */
	ArrayType  *user_features;	/* names, or NULL */
	ArrayType  *bucketize;		/* names, or NULL */
	int			number_buckets;
	bool		has_since;		/* listens before since are passed over */
	int64		since;			/* microseconds since 1970 */
	bool		bounded;		/* listens after until are passed over; if all
								 * are, the dataset is empty */
	int64		until;			/* microseconds since 1970 */
	/* called when columns are known, before the first row; or NULL */
	void		(*prepare) (Dataset *data, void *arg);
	void	   *prepare_arg;
} ListenSource;

#endif							/* LBREC_LISTENS_DATASET_H */
