/*
 * write.h
 *		Writes a version's row and its tensors.
 */
#ifndef LBREC_STORE_WRITE_H
#define LBREC_STORE_WRITE_H

#include "pg/store/tensors.h"

/* A row to insert into lbrec.model. */
typedef struct NewModel
{
	const char *name;
	const char *query;
	const char *config;			/* JSON */
	int64		n_listens;
	int64		n_users;
	int64		n_recordings;
	bool		activate;
	bool		make_default;
} NewModel;

/* Writes tensors into lbrec.tensor. */
typedef struct TensorWriter
{
	int64		id;				/* id of the model */
	SPIPlanPtr	insert;
	uint64		checksum;
} TensorWriter;

extern void lbrec_begin_model(TensorWriter *writer, int32 *version,
							  char **config, const NewModel *model);
extern void lbrec_write_chunk(TensorWriter *writer, const char *name,
							  const TensorShape *shape, int32 chunk,
							  const char *data, Size len);
extern void lbrec_end_model(const TensorWriter *writer);

#endif							/* LBREC_STORE_WRITE_H */
