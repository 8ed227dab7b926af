/*
 * layout.h
 *		A model in memory, laid out as its configuration tells.
 */
#ifndef LBREC_MODEL_LAYOUT_H
#define LBREC_MODEL_LAYOUT_H

#include "pg/model/parts.h"
#include "pg/model/twotower.h"

extern void lbrec_lay_out(TwoTower *model, const ModelConfig *config,
						  bool both_towers, const StoredParts *parts,
						  int64 n_users, int64 n_recordings);

#endif							/* LBREC_MODEL_LAYOUT_H */
