/*
 * validate.h
 *		Checks that the stored arrays of a model are complete and consistent.
 */
#ifndef LBREC_MODEL_VALIDATE_H
#define LBREC_MODEL_VALIDATE_H

#include "pg/model/part_values.h"
#include "pg/model/parts.h"
#include "pg/store/check.h"

/* The state of one version's checks. */
typedef struct Validator
{
	Checker		checker;
	CheckReport report;
	void	   *arg;
	ChunkVisitor visit;			/* gets each checked chunk, or NULL */
	void	   *visit_arg;
	bool		passes_over;	/* ignore tensors that the model does not
								 * have, as the file format allows */
	const char *config_text;
	ModelConfig config;
	StoredParts *parts;			/* NULL: the configuration is invalid */
	PartValues *seen;			/* by part */
	bool	   *found;			/* by part: seen with a valid shape */
	bool	   *broken;			/* by part: a problem was reported */
	int			current;		/* index of the current chunk's part, or -1 */
} Validator;

extern void lbrec_validator_init(Validator *v, const char *config,
								 int64 n_users, int64 n_recordings,
								 CheckReport report, void *arg);
extern bool lbrec_validate_chunk(Validator *v, const char *name,
								 const TensorShape *shape, int32 chunk,
								 const char *data, Size len);
extern void lbrec_validator_end(Validator *v);
extern void lbrec_report_part(Validator *v, int part, const char *problem);
extern void lbrec_validate_rows(Validator *v, const ModelRow *row);
extern void lbrec_validate_model(Validator *v, const ModelRow *row,
								 CheckReport report, void *arg,
								 ChunkVisitor visit, void *visit_arg);

#endif							/* LBREC_MODEL_VALIDATE_H */
