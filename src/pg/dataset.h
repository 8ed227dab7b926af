/*
 * dataset.h
 *		Listens of a query as dense numbers.
 */
#ifndef LBREC_DATASET_H
#define LBREC_DATASET_H

#include "lbrec.h"

#include "utils/array.h"

#include "spool.h"
#include "vocabulary.h"

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
	bool		bucketed;		/* numbers that become codes in the end */
	int			attno;			/* column of the query, from 0 */
	Oid			type;			/* of the column, or of its elements */
	Vocabulary *keys;			/* CATEGORY and BAG, but for buckets */
	int64		n;				/* entities that have a value slot */
	int64		allocated;
	int32	   *codes;			/* CATEGORY: (n) */
	int64	   *offsets;		/* BAG: (n + 1) into bag_codes */
	int32	   *bag_codes;
	int64		n_bag_codes;
	int64		bag_allocated;
	int32		longest_bag;
	float	   *numbers;		/* NUMBER: (n), NaN where unknown */
	double		mean;			/* NUMBER: of the known values */
	double		deviation;
	float	   *edges;			/* between buckets */
	int			n_edges;
} Feature;

#define MAX_FEATURES 23

typedef struct Dataset
{
	MemoryContext context;
	char	   *query;			/* as it was run */
	ListenSpool *listens;
	int64		n_listens;
	Vocabulary *users;			/* keys: int64 */
	Vocabulary *recordings;		/* keys: uuid */
	int64	   *recording_listens;	/* (recordings + 1) plays of each code */
	int64		recording_listens_allocated;
	int32		n_known_recordings; /* codes that a warm start brought */
	const struct WeekCounts *known_weeks;	/* and their listens, or NULL */
	int			n_features;
	Feature		features[MAX_FEATURES];
	int64		first_time;
	int64		last_time;
	double		time_mean;		/* seconds */
	double		time_deviation;
} Dataset;

/* What to read, and how to take its columns. */
typedef struct ListenSource
{
	const char *listens;		/* table or query */
	bool		with_features;	/* else further columns are not looked at */
	ArrayType  *user_features;	/* names, or NULL */
	ArrayType  *bucketize;		/* names, or NULL */
	int			number_buckets;
	/* called when columns are known, before the first row; or NULL */
	void		(*prepare) (Dataset *data, void *arg);
	void	   *prepare_arg;
} ListenSource;

/* What to do with a key of recordings that is no uuid. */
#define LBREC_UUID_HINT \
	"Cast the column in the query; md5(x)::uuid makes a uuid of any text x."

extern char *lbrec_listens_query(const char *listens);
extern void lbrec_explain_no_listens(void *arg);
extern Dataset *lbrec_read_listens(const ListenSource *source,
								   MemoryContext context);
extern void lbrec_drop_rare(Dataset *data, int min_listens);
extern int32 *lbrec_bucket_rows(int64 *n_rows, const Vocabulary *recordings,
								const int64 *listens, int64 n,
								int min_listens, int buckets,
								MemoryContext context);

/* features.c */
extern void lbrec_find_features(Dataset *data, TupleDesc desc,
								const int *listen_columns,
								const ListenSource *source);
extern void lbrec_append_value(Feature *f, Datum value, bool isnull,
							   MemoryContext context);
extern void lbrec_finish_features(Dataset *data, int buckets);
extern int64 lbrec_feature_rows(const Feature *f);
extern int32 lbrec_bucket_of(const float *edges, int n_edges, float value);
extern void lbrec_renumber_feature(Feature *f, const int32 *map);

#endif							/* LBREC_DATASET_H */
