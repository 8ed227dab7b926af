/*
 * layout.h
 *		Lays out a model in memory by its configuration.
 */
#ifndef LBREC_MODEL_LAYOUT_H
#define LBREC_MODEL_LAYOUT_H

#include "pg/model/parts.h"
#include "pg/model/twotower.h"

extern void lbrec_lay_out(TwoTower *model, const ModelConfig *config,
						  bool both_towers, const StoredParts *parts,
						  int64 n_users, int64 n_recordings);

#endif							/* LBREC_MODEL_LAYOUT_H */
