/*
 * config.h
 *		A stored model's description: lbrec.model.config.
 *
 * One struct has all that serving and a warm start need of a model's
 * configuration. It has no pointers, so serving images contain it unchanged.
 * lbrec_config_json() writes it, lbrec_parse_config() reads and checks it, and
 * no other code knows its JSON form.
 */
#ifndef LBREC_MODEL_CONFIG_H
#define LBREC_MODEL_CONFIG_H

#include "pg/model/twotower.h"
#include "pg/store/check.h"
#include "pg/store/versions.h"

#include "utils/jsonb.h"

/* Limits of models and of training runs. */
#define MAX_VECTOR_WIDTH 1024
#define MAX_ENSEMBLE 64
#define MAX_HISTORY_LENGTH 10000
#define MAX_NEIGHBOURS 10000
#define MAX_HASH_BUCKETS 10000000
#define MAX_REPEAT_POWER 100
/* highest trend weight: beyond it, unit vectors have no room for tastes */
#define MAX_TREND 4
#define MIN_TEMPERATURE 1e-4
#define MAX_TEMPERATURE 1000

/* One input of a tower. */
typedef struct ConfigInput
{
	InputSource source;
	FeatureKind kind;			/* SOURCE_FEATURE */
	bool		bucketed;		/* SOURCE_FEATURE: codes are ranges of numbers */
	bool		shared;			/* SOURCE_HISTORY: shares the table of
								 * recordings */
	char		column[NAMEDATALEN];	/* SOURCE_FEATURE */
	double		mean;			/* SOURCE_FEATURE with numbers */
	double		deviation;
} ConfigInput;

typedef struct ModelConfig
{
	int			n_query;
	int			n_candidate;
	ConfigInput query[LB_MAX_INPUTS];
	ConfigInput candidate[LB_MAX_INPUTS];
	TimeScale	time;
	int			best_epoch;		/* 0: no epoch was measured */
	bool		mixed;			/* scores have parts beside the dot product */
	LbMix		mix;			/* weights of those parts */
	LbMomentWeights moment;		/* weights of the parts for next recordings */
	double		trend;			/* 0: no trial found one */
	int			steps;			/* number of the optimiser's steps, at least;
								 * Adam needs it */
	/* From the settings of the training run: */
	int			n_layers;		/* 0: towers are the sums of their inputs */
	int			layers[LB_MAX_LAYERS];
	int			ensemble;
	int			embedding_dim;
	int			history_length; /* 0: no history input */
	int			history_pooling;	/* HistoryPooling */
	double		temperature;
	bool		logq;
	bool		normalize;
	double		repeat_power;	/* 0: no repeat term */
	int			neighbours;		/* 0: no neighbour term */
	int			min_listens;
	int			hash_buckets;
	int			optimizer;		/* LbOptimizerKind */
	double		id_dropout;		/* 0: it was trained without items */
} ModelConfig;

typedef enum HistoryPooling
{
	POOL_MEAN,
	POOL_SQRT					/* sum divided by the root of the number */
} HistoryPooling;

/* The problem if lbrec.model and the tensor "config" differ. */
#define CONFIG_DIFFERS \
	"The config in lbrec.model is not the one that was saved with the tensors."

/* Names of settings' values; each list ends with NULL. */
extern const char *const lbrec_pooling_names[];
extern const char *const lbrec_optimizer_names[];

/* Receives each setting of the training run. */
typedef void (*SettingVisitor) (const char *name, const JsonbValue *value,
								void *arg);

/* Columns of the embedding tables. */
static inline int
lbrec_table_width(const ModelConfig *config)
{
	return config->embedding_dim * config->ensemble;
}

/* D, the length of the towers' vectors. */
static inline int
lbrec_vector_width(const ModelConfig *config)
{
	return config->n_layers > 0 ? config->layers[config->n_layers - 1] :
		lbrec_table_width(config);
}

extern bool lbrec_input_is_number(const ModelConfig *config,
								  const ConfigInput *input);
extern void lbrec_table_name(char *name, const ConfigInput *input);
extern void lbrec_describe(ModelConfig *config, const TwoTower *model);
extern char *lbrec_config_json(const ModelConfig *config,
							   const char *settings);
extern bool lbrec_parse_config(ModelConfig *config, const char *json,
							   CheckReport report, void *arg);
extern void lbrec_visit_settings(const char *json, SettingVisitor visit,
								 void *arg);

#endif							/* LBREC_MODEL_CONFIG_H */
