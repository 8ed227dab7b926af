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
	SPLIT_RANDOM,				/* hold out a random share */
	SPLIT_TIME,					/* hold out the latest share, or listens after
								 * test_from */
	SPLIT_LAST,					/* hold out each user's latest */
	SPLIT_QUERY,				/* hold out the listens of the query
								 * test_listens */
	SPLIT_NONE					/* train on everything, without metrics */
} SplitKind;

typedef enum BatchBy
{
	BATCH_LISTENS,				/* a row of a batch is a listen */
	BATCH_USERS,				/* a row is a user with several recordings */
	BATCH_SESSIONS,				/* a row is a session, otherwise the same */
	BATCH_AUTO					/* sessions if users are few, else users */
} BatchBy;

/*
 * Enumerations are stored as int: the table in settings.c, which reads, checks
 * and prints every field, has their names.
 */
typedef struct TrainOptions
{
	const char *preset;
	int			epochs;
	int			batch_size;
	double		learning_rate;
	int			n_layers;		/* 0: towers sum their inputs */
	int			layers[LB_MAX_LAYERS];
	int			embedding_dim;
	int			ensemble;		/* models trained separately, vectors
								 * concatenated */
	int64		seed;
	int			split;			/* SplitKind */
	double		test_fraction;
	int			test_last;		/* SPLIT_LAST: listens a user; 0:
								 * test_fraction */
	int			test_limit;		/* limit of held-out listens; 0: none */
	bool		has_test_from;
	int64		test_from;		/* microseconds since 1970 */
	bool		user_embedding;
	int			time_buckets;	/* 0: no time inputs */
	bool		hour_of_day;
	bool		day_of_week;
	int			history_length; /* 0: no history input */
	double		history_dropout;
	int			history_pooling;	/* HistoryPooling */
	bool		history_shared; /* shares the table of the candidate tower */
	bool		history_before; /* only recordings played before the listen */
	int			batch_by;		/* BatchBy */
	int			targets;		/* recordings of a row, unless BATCH_LISTENS */
	bool		mean_loss;
	double		temperature;
	bool		logq;
	bool		streaming_logq; /* estimated during training */
	bool		normalize;
	bool		mask_hits;
	int			hard_negatives;
	int			extra_negatives;
	bool		popular_negatives;	/* negatives are drawn by popularity, not
									 * uniformly */
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
	int			evaluate_every; /* in epochs */
	int			early_stopping; /* Metric */
	int			patience;		/* in evaluations */
	int			min_listens;
	int			hash_buckets;
	ArrayType  *bucketize;		/* text[], or NULL */
	int			number_buckets;
	double		repeat_power;	/* exponent of plays' decay; 0: no repeat term */
	int			neighbours;		/* limit for each recording; 0: no such term */
	bool		refit;			/* finally train on all listens */
	bool		find_temperature;	/* by trials, because the caller set none */
	bool		require_better; /* than popular recordings, or it is not
								 * activated */
	int			keep_versions;	/* versions of the name to keep; 0: all */
	bool		activate;
	bool		make_default;
	bool		verbose;
	bool		continued;		/* starts from an older model's settings */
	uint64		given;			/* bit for each setting that was set after the
								 * preset, in the order of the table */
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
	size_t		offset;			/* offset of its field in TrainOptions */
	const char *by_default;		/* value in preset default, as text */
	const char *paper;			/* value in preset paper */
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
