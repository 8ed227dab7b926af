/*
 * stored_config.h
 *		Reads and verifies the configuration of a stored model.
 */
#ifndef LBREC_MODEL_STORED_CONFIG_H
#define LBREC_MODEL_STORED_CONFIG_H

#include "pg/model/config.h"
#include "pg/store/versions.h"

extern char *lbrec_row_config(const ModelRow *row);
extern char *lbrec_stored_config(const ModelRow *row);
extern void lbrec_load_config(ModelConfig *config, const ModelRow *row);

#endif							/* LBREC_MODEL_STORED_CONFIG_H */
