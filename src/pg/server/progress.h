/*
 * progress.h
 *		Shows other sessions the progress of a long command.
 */
#ifndef LBREC_SERVER_PROGRESS_H
#define LBREC_SERVER_PROGRESS_H

#include "pg/server/lbrec.h"

extern void lbrec_progress_start(const char *command, const char *model,
								 MemoryContext context);
extern void lbrec_progress_stage(const char *stage);
extern bool lbrec_progress_due(void);
extern void lbrec_progress(const char *phase, double seconds_left,
						   double listens_per_second);
extern void lbrec_progress_phase(const char *phase);

#endif							/* LBREC_SERVER_PROGRESS_H */
