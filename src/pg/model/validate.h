/*
 * validate.h
 *		Checks that the stored arrays of a model are those of a model.
 */
#ifndef LBREC_MODEL_VALIDATE_H
#define LBREC_MODEL_VALIDATE_H

#include "pg/model/part_values.h"
#include "pg/model/parts.h"
#include "pg/store/check.h"

/* The checks of one version, as its chunks pass by. */
typedef struct Validator
{
	Checker		checker;
	CheckReport report;
	void	   *arg;
	ChunkVisitor visit;			/* gets each chunk after its checks, or NULL */
	void	   *visit_arg;
	bool		passes_over;	/* tensors that the model has not are ignored,
								 * as the format of files says */
	const char *config_text;
	ModelConfig config;
	StoredParts *parts;			/* NULL: the configuration is no one */
	PartValues *seen;			/* by part */
	bool	   *found;			/* by part: with a right shape */
	bool	   *broken;			/* by part: a problem was reported */
	int			current;		/* the part of the chunks at hand, or -1 */
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
