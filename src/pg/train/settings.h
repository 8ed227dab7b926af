/*
 * settings.h
 *		The settings of a training run: their values, and a table of them.
 */
#ifndef LBREC_TRAIN_SETTINGS_H
#define LBREC_TRAIN_SETTINGS_H

#include "pg/server/lbrec.h"

#include "utils/array.h"
#include "utils/jsonb.h"

#include "core/model/lb_schedule.h"
#include "core/model/lb_tensor.h"
#include "core/model/lb_tower.h"

typedef enum SplitKind
{
	SPLIT_PAPER,				/* shuffle buffer; 40,000 and 10,000 listens */
	SPLIT_RANDOM,				/* a random share is held out */
	SPLIT_TIME,					/* the latest share, or what is after
								 * test_from */
	SPLIT_LAST,					/* the latest of each user */
	SPLIT_QUERY,				/* what the query test_listens returns */
	SPLIT_NONE					/* train on everything, no metrics */
} SplitKind;

typedef enum BatchBy
{
	BATCH_LISTENS,				/* a row of a batch is a listen */
	BATCH_USERS,				/* a row is a user with several recordings */
	BATCH_SESSIONS,				/* a session of a user, likewise */
	BATCH_AUTO					/* sessions where users are few, else users */
} BatchBy;

/*
 * Enumerations are int here: the table in settings.c, which reads, checks and
 * prints every field, knows their names.
 */
typedef struct TrainOptions
{
	const char *preset;
	int			epochs;
	int			batch_size;
	double		learning_rate;
	int			n_layers;		/* 0: towers are the sums of their inputs */
	int			layers[LB_MAX_LAYERS];
	int			embedding_dim;
	int			ensemble;		/* models trained apart, vectors side by side */
	int64		seed;
	int			split;			/* SplitKind */
	double		test_fraction;
	int			test_last;		/* SPLIT_LAST: listens; 0: test_fraction */
	int			test_limit;		/* held out at most; 0: no limit */
	bool		has_test_from;
	int64		test_from;		/* microseconds since 1970 */
	bool		user_embedding;
	int			time_buckets;	/* 0: no time inputs */
	bool		hour_of_day;
	bool		day_of_week;
	int			history_length; /* 0: no history input */
	double		history_dropout;
	int			history_pooling;	/* HistoryPooling */
	bool		history_shared; /* the table of the candidate tower */
	bool		history_before; /* only what came before the listen */
	int			batch_by;		/* BatchBy */
	int			targets;		/* not BATCH_LISTENS: recordings of a row */
	bool		mean_loss;
	double		temperature;
	bool		logq;
	bool		streaming_logq; /* estimated while training */
	bool		normalize;
	bool		mask_hits;
	int			hard_negatives;
	int			extra_negatives;
	bool		popular_negatives;	/* drawn by popularity, not uniformly */
	int			optimizer;		/* LbOptimizerKind */
	double		initial_accumulator;
	int			schedule;		/* LbScheduleKind */
	double		warmup_epochs;
	double		decay_epochs;
	double		decay_factor;
	double		weight_decay;
	double		clip_norm;
	double		dropout;
	double		id_dropout;		/* of recordings, if items name a catalogue */
	int			evaluate_every; /* epochs */
	int			early_stopping; /* Metric */
	int			patience;		/* evaluations */
	int			min_listens;
	int			hash_buckets;
	ArrayType  *bucketize;		/* text[], or NULL */
	int			number_buckets;
	double		repeat_power;	/* of a play's age; 0: no repeat term */
	int			neighbours;		/* of a recording at most; 0: no such term */
	bool		refit;			/* in the end on all, held out or not */
	bool		find_temperature;	/* by trials, as nobody said it */
	bool		require_better; /* than popular recordings, to be active */
	int			keep_versions;	/* of the name; 0: all */
	bool		activate;
	bool		make_default;
	bool		verbose;
	bool		continued;		/* an older model's, but for what is given */
	uint64		given;			/* settings of the table that were set since
								 * the last preset, by place */
} TrainOptions;

typedef enum SettingKind
{
	SETTING_INT,
	SETTING_INT8,				/* without a range */
	SETTING_ABOVE,				/* a number above low, at most high */
	SETTING_FROM,				/* a number from low to high */
	SETTING_BELOW,				/* a number from low on, below high */
	SETTING_BOOL,
	SETTING_ENUM,				/* an int, one of names */
	SETTING_FLAG,				/* a bool, one of two names */
	SETTING_LAYERS,				/* widths of dense layers */
	SETTING_COLUMNS				/* names of columns, as a text[] is written */
} SettingKind;

typedef struct Setting
{
	const char *name;
	SettingKind kind;
	size_t		offset;			/* of its field in TrainOptions */
	const char *by_default;		/* its value in preset default, as text */
	const char *paper;			/* and in preset paper */
	double		low;
	double		high;
	const char *const *names;	/* NULL-terminated */
	const char *meaning;		/* one line */
} Setting;

extern const Setting *lbrec_settings(int *n);
extern const Setting *lbrec_find_setting(const char *name);
extern void lbrec_refuse_unknown(const char *name);
extern const char *lbrec_setting_type(const Setting *setting);
extern char *lbrec_setting_values(const Setting *setting);
extern char *lbrec_setting_json(const Setting *setting,
								const TrainOptions *options);
extern char *lbrec_options_json(const TrainOptions *options);
extern uint64 lbrec_setting_bit(const Setting *setting);
extern const char *lbrec_split_name(int split);
extern const char *lbrec_metric_name(int metric);
extern bool lbrec_is_given(const TrainOptions *options, const char *name);

#endif							/* LBREC_TRAIN_SETTINGS_H */
