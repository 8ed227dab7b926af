/*
 * follow.h
 *		Rows of directed transitions between recordings.
 */
#ifndef LBREC_MODEL_FOLLOW_H
#define LBREC_MODEL_FOLLOW_H

#include "pg/model/counted.h"

extern void lbrec_count_followers(Counted *counted,
								  const CountRequest *request);

#endif							/* LBREC_MODEL_FOLLOW_H */
