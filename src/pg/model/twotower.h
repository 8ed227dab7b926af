/*
 * twotower.h
 *		The meaning of the inputs of a model's towers.
 *
 * src/core knows embeddings, bags and numbers; here they are users, times and
 * columns of the query.  Training and serving build their batches through the
 * same functions, so a query vector is computed in one way only.
 */
#ifndef LBREC_MODEL_TWOTOWER_H
#define LBREC_MODEL_TWOTOWER_H

#include "pg/listens/dataset.h"
#include "pg/model/counted.h"

#include "core/score/lb_mix.h"
#include "core/model/lb_model.h"
#include "core/score/lb_moment.h"

#define MAX_TIME_BUCKETS 100000

typedef enum InputSource
{
	SOURCE_USER,				/* the user's own embedding */
	SOURCE_TIME_BUCKET,			/* embedding of the time's bucket */
	SOURCE_TIME,				/* normalised time */
	SOURCE_RECORDING,			/* the recording's own embedding */
	SOURCE_FEATURE,				/* a column of the query */
	SOURCE_HISTORY,				/* the user's own recordings, a bag */
	SOURCE_HOUR_SIN,			/* hour of day and day of week, UTC, on
								 * circles */
	SOURCE_HOUR_COS,
	SOURCE_WEEK_SIN,
	SOURCE_WEEK_COS
} InputSource;

typedef struct ModelInput
{
	InputSource source;
	LbInputKind kind;
	int			table;			/* index of the tensor, -1 for numbers */
	int			feature;		/* SOURCE_FEATURE: its index */
} ModelInput;

/* A feature's values by entity code, as training and serving need them. */
typedef struct FeatureValues
{
	char		name[NAMEDATALEN];
	FeatureKind kind;
	bool		of_user;
	bool		bucketed;		/* codes are ranges of numbers */
	int64		n;				/* entities with a value, including entity 0 */
	const int32 *codes;
	const int64 *offsets;
	const int32 *bag_codes;
	const float *numbers;
	const int64 *key_offsets;	/* the stored vocabulary */
	const char *keys;
	const float *edges;			/* limits of the ranges */
	double		mean;
	double		deviation;
} FeatureValues;

typedef struct TimeScale
{
	double		mean;			/* seconds since 1970 */
	double		deviation;
	double		first_edge;
	double		last_edge;
	double		last;			/* time of the training's last listen */
	int			buckets;
} TimeScale;

/*
 * Makes vectors of recordings without plays comparable with the others': c
 * becomes scale * c + shift (src/pg/train/lift.c).
 */
typedef struct Lift
{
	const bool *is_new;			/* (n_recordings + 1), or NULL: no lift */
	float		scale;
	const float *shift;			/* (D) */
} Lift;

typedef struct TwoTower
{
	LbModel		core;
	ModelInput	query_inputs[LB_MAX_INPUTS];
	ModelInput	candidate_inputs[LB_MAX_INPUTS];
	TimeScale	time;
	int64		n_users;
	int64		n_recordings;
	int			n_features;
	FeatureValues features[MAX_FEATURES];
	bool		summed;			/* towers have no layers */
	bool		history_mean;	/* scale of a bag: 1 / n if true, else 1 /
								 * sqrt(n) */
	int			history_length; /* limit of recordings in a history */
	Counted		counted;
	const int64 *user_keys;		/* (n_users) */
	const pg_uuid_t *recording_keys;	/* (n_recordings) */
	const int64 *recording_listens; /* (n_recordings) */
	const int64 *week_offsets;	/* (n_recordings + 1) */
	const int32 *week_counts;	/* (..., 2) week, listens */
	const float *candidates;	/* (n_recordings, D) */
	bool		mixed;			/* scores have parts, with weights mix */
	LbMix		mix;
	LbMomentWeights moment;		/* weights of next recordings, if mixed */
	Lift		lift;			/* while training */
	const int32 *recording_rows;	/* (n_recordings + 1) row of each code in
									 * the table of recordings, or NULL: the
									 * code itself */
} TwoTower;

/* Buffers for the inputs of up to capacity examples of one tower. */
typedef struct InputBuffers
{
	int			capacity;
	LbInputValues values[LB_MAX_INPUTS];
	void	   *arrays[LB_MAX_INPUTS];
} InputBuffers;

/* The rows of a pass: n users at times, or recordings from first on. */
typedef struct TowerRows
{
	int64		n;
	const int32 *users;			/* (n); NULL: the candidate tower */
	const int64 *times;			/* (n) */
	const LbSpan *histories;	/* (n), or NULL: the stored ones */
	int64		first;
	const int32 *recordings;	/* (n) recordings instead of those from first
								 * on, treated as if nobody had played them;
								 * or NULL */
} TowerRows;

extern bool lbrec_source_is_number(InputSource source);
extern const char *lbrec_source_name(InputSource source);
extern int	lbrec_source_by_name(const char *name);
extern int	lbrec_add_input(TwoTower *model, bool query, InputSource source,
							int feature, const char *table, int64 rows,
							int cols, int64 max_shares);
extern LbSpan lbrec_history(const TwoTower *model, const int32 *codes, int n);
extern bool lbrec_has_history(const TwoTower *model);
extern bool lbrec_knows_tastes(const TwoTower *model);
extern void lbrec_feature_values(FeatureValues *values, const Feature *f);
extern int	lbrec_time_bucket(const TimeScale *scale, int64 time);
extern void lbrec_make_buffers(InputBuffers *buffers, const LbTower *tower,
							   int capacity, MemoryContext context);
extern void lbrec_query_inputs(InputBuffers *buffers, const TwoTower *model,
							   const int32 *users, const int64 *times,
							   const LbSpan *histories, int n);
extern void lbrec_candidate_inputs(InputBuffers *buffers,
								   const TwoTower *model,
								   const int32 *recordings, int n);
extern void lbrec_forget_ids(InputBuffers *buffers, const TwoTower *model,
							 int n);
extern void lbrec_candidate_vectors(float *out, const TwoTower *model,
									LbThreads *pool, MemoryContext context);
extern void lbrec_candidate_rows(float *out, const TwoTower *model, int64 row,
								 int64 n, LbThreads *pool,
								 MemoryContext context);
extern void lbrec_tower_vectors(float *out, const TwoTower *model,
								const TowerRows *rows, LbThreads *pool,
								MemoryContext context);
extern void lbrec_query_vectors(float *out, const TwoTower *model,
								const int32 *users, const int64 *times,
								int64 n, LbThreads *pool,
								MemoryContext context);

extern void lbrec_query_vector_after(float *out, const TwoTower *model,
									 int32 user, int64 time,
									 const LbSpan *history,
									 MemoryContext context);

#endif							/* LBREC_MODEL_TWOTOWER_H */
