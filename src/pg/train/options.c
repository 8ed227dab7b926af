/*
 * options.c
 *		Resolves the settings of a training run against one another.
 */
#include "pg/train/options.h"

#include "pg/evaluate/metrics.h"
#include "pg/model/config.h"
#include "pg/train/setting_values.h"
#include "pg/train/settings.h"

/* Rows in a batch of listens, if the preset has batches of users. */
#define LISTENS_BATCH 512

/* The share with items, unless the caller gives one. */
#define ID_DROPOUT 0.5

/* Without early stopping: epochs of a run, and epochs between evaluations. */
#define FIXED_EPOCHS 12
#define FIXED_EVALUATE_EVERY 5

/* Fixes the number of epochs if no measure can choose it. */
void
lbrec_fix_epochs(TrainOptions *o)
{
	if (o->early_stopping != METRIC_NONE && !lbrec_is_given(o, "epochs"))
		o->epochs = Min(o->epochs, FIXED_EPOCHS);
	if (o->early_stopping != METRIC_NONE && !o->continued &&
		!lbrec_is_given(o, "evaluate_every"))
		o->evaluate_every = FIXED_EVALUATE_EVERY;
	o->early_stopping = METRIC_NONE;
}

/*
 * Adapts settings that the caller left out to those given, where the preset's
 * would not fit: you can set layers without knowing of ensembles.  The
 * settings of a continued model stay: each may have been chosen.
 */
void
lbrec_fit_options(TrainOptions *o)
{
	bool		by_listens = o->time_buckets > 0 || o->hour_of_day ||
		o->day_of_week || o->history_before || o->hard_negatives > 0;

	if (!o->continued)
	{
		if (o->n_layers > 0 && !lbrec_is_given(o, "ensemble"))
			o->ensemble = 1;
		if (lbrec_is_given(o, "logq_estimate") && !lbrec_is_given(o, "logq"))
			o->logq = true;
		if (by_listens && !lbrec_is_given(o, "batch_by"))
			o->batch_by = BATCH_LISTENS;
		if (o->batch_by == BATCH_LISTENS && !lbrec_is_given(o, "batch_size"))
			o->batch_size = Max(o->batch_size, LISTENS_BATCH);
	}
	/* a number of epochs that the caller sets is exact */
	if ((o->split == SPLIT_NONE || lbrec_is_given(o, "epochs")) &&
		!lbrec_is_given(o, "early_stopping"))
		lbrec_fix_epochs(o);
	/* losses at different temperatures are not comparable */
	o->find_temperature = o->refit && o->normalize && !o->continued &&
		!lbrec_is_given(o, "temperature") && o->early_stopping != METRIC_NONE &&
		o->early_stopping != METRIC_TEST_LOSS;
}

/* With items, candidates lose their ids, unless the caller says otherwise. */
void
lbrec_drop_ids(TrainOptions *o)
{
	if (o->id_dropout == 0 && !lbrec_is_given(o, "id_dropout"))
		o->id_dropout = ID_DROPOUT;
}

/* Rejects settings that are valid alone but not together. */
static void
check_together(const TrainOptions *o)
{
#define REFUSE(condition, message, detail, hint) \
	if (condition) \
		ereport(ERROR, \
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), \
				 errmsg(message), errdetail(detail), errhint(hint)))

	REFUSE(!o->user_embedding && o->history_length == 0,
		   "the query tower would not see the user",
		   "Both user_embedding and history_length are off.",
		   "Set \"history_length\": 100 or \"user_embedding\": true in settings.");
	REFUSE(o->hash_buckets > 0 && o->history_length > 0 && o->history_shared,
		   "hash_buckets needs a history with a table of its own",
		   "The history's recordings would be looked up in a table in which rare ones have no row.",
		   "Set \"history_table\": \"own\" in settings, or leave hash_buckets out.");
	REFUSE(o->ensemble > 1 && o->n_layers > 0,
		   "an ensemble needs towers without layers",
		   "The vectors of its members are laid side by side, which dense layers would mix.",
		   "Leave layers out, or set \"ensemble\": 1 in settings.");
	REFUSE((int64) o->ensemble * o->embedding_dim > MAX_VECTOR_WIDTH,
		   "the ensemble's vectors are too long",
		   "ensemble times embedding_dim may be at most 1024.",
		   "Lower either of them.");
	REFUSE(o->batch_by != BATCH_LISTENS &&
		   (o->time_buckets > 0 || o->hour_of_day || o->day_of_week),
		   "time inputs need batches of listens",
		   "A row of a user or of a session has many listens, so it has no time.",
		   "Set \"batch_by\": \"listens\" in settings.");
	REFUSE(o->batch_by != BATCH_LISTENS && o->history_before,
		   "history_window \"before\" needs batches of listens",
		   "A row of a user or of a session has many listens, so there is no time before it.",
		   "Set \"batch_by\": \"listens\" in settings.");
	REFUSE(o->batch_by != BATCH_LISTENS && o->hard_negatives > 0,
		   "hard_negatives needs batches of listens",
		   "Rows of users or of sessions have several positives each.",
		   "Set \"batch_by\": \"listens\" in settings, or leave hard_negatives out.");
	REFUSE(o->split == SPLIT_NONE && o->early_stopping != METRIC_NONE,
		   "early_stopping needs listens held out",
		   "With split \"none\" nothing is measured.",
		   "Set split => 'time'.");
	REFUSE(o->warmup_epochs >= o->epochs,
		   "warmup_epochs must be less than epochs",
		   "The learning rate would never reach its value.",
		   "Lower warmup_epochs.");
#undef REFUSE
}

/* Raises an error unless each setting is in its range and all fit together. */
void
lbrec_check_options(const TrainOptions *o)
{
	lbrec_check_settings(o);
	check_together(o);
}
