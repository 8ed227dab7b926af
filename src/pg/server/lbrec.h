/*
 * lbrec.h
 *		Included by every file of src/pg: PostgreSQL's basics and the
 *		settings.
 */
#ifndef LBREC_SERVER_LBREC_H
#define LBREC_SERVER_LBREC_H

#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/uuid.h"

#define LBREC_MAX_THREADS 64

/* Settings (GUCs); memory in kB. */
extern int	lbrec_threads;
extern int	lbrec_max_threads;
extern int	lbrec_max_model_memory;
extern int	lbrec_spool_mem;
extern bool lbrec_shared_images;

/* Returns the memory for the listens of a training run, in bytes. */
extern Size lbrec_spool_bytes(void);

#endif							/* LBREC_SERVER_LBREC_H */
