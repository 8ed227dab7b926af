/*
 * versions.h
 *		Versions of models: rows of lbrec.model.
 */
#ifndef LBREC_STORE_VERSIONS_H
#define LBREC_STORE_VERSIONS_H

#include "pg/server/lbrec.h"

#include "executor/spi.h"

/*
 * The number of a new activation, as SQL: above all visible ones, even if rows
 * were restored without their sequence.
 */
#define NEXT_ACTIVATION \
	"GREATEST(pg_catalog.nextval('lbrec.activation_seq'), " \
	"(SELECT 1 OPERATOR(pg_catalog.+) pg_catalog.max(a.activation) " \
	"FROM lbrec.model AS a))"

/* A row of lbrec.model. */
typedef struct ModelRow
{
	int64		id;
	char		name[256];
	int32		version;
	int64		checksum;
	int64		n_users;
	int64		n_recordings;
} ModelRow;

extern void lbrec_read_model_row(ModelRow *row, SPITupleTable *table,
								 uint64 place);

extern bool lbrec_find_model(ModelRow *row, const char *name);
extern bool lbrec_look_for_version(ModelRow *row, const char *name,
								   int32 version);
extern void lbrec_find_version(ModelRow *row, const char *name,
							   int32 version);
extern void lbrec_settle_default(const char *name, bool make_default);
extern void lbrec_tell_default(const char *name, int32 version);

extern void lbrec_damaged(const ModelRow *model, const char *tensor,
						  int chunk, const char *detail);

extern void lbrec_no_such_model(const char *name);
extern void lbrec_check_name(const char *name);
extern void lbrec_no_such_version(const char *name, int32 version);
extern void lbrec_hold_version(int64 model);
extern int	lbrec_prune_model(const char *name, int keep, int64 **pruned);

#endif							/* LBREC_STORE_VERSIONS_H */
