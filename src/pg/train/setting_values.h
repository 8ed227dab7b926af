/*
 * setting_values.h
 *		Sets and checks the values of settings, from presets and calls.
 */
#ifndef LBREC_TRAIN_SETTING_VALUES_H
#define LBREC_TRAIN_SETTING_VALUES_H

#include "pg/train/settings.h"

extern void lbrec_preset(TrainOptions *options, const char *name);
extern int	lbrec_setting_choice(const char *name, const char *called,
								 const char *value);
extern bool lbrec_set_option(TrainOptions *options, const char *name,
							 const char *value);
extern void lbrec_set_json(TrainOptions *options, const char *name,
						   const JsonbValue *value);
extern void lbrec_set_settings(TrainOptions *options, Jsonb *settings);
extern void lbrec_check_settings(const TrainOptions *options);

#endif							/* LBREC_TRAIN_SETTING_VALUES_H */
