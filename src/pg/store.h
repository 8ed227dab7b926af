/*
 * store.h
 *		Models in their tables: lbrec.model, lbrec.epoch, lbrec.tensor.
 */
#ifndef LBREC_STORE_H
#define LBREC_STORE_H

#include "options.h"
#include "trainer.h"

#include "executor/spi.h"

/* Bytes of a chunk but for the last. */
#define TENSOR_CHUNK_BYTES ((Size) 1 << 20)

typedef enum TensorType
{
	TENSOR_FLOAT4,
	TENSOR_INT4,
	TENSOR_INT8,
	TENSOR_UUID,
	TENSOR_BYTES
} TensorType;

/* A tensor as it is stored, without its data. */
typedef struct TensorShape
{
	TensorType	type;
	int64		rows;
	int			cols;
} TensorShape;

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

/* A row of lbrec.model that is to be. */
typedef struct NewModel
{
	const char *name;
	const char *query;
	const char *config;			/* JSON */
	int64		n_listens;
	int64		n_users;
	int64		n_recordings;
	bool		activate;
} NewModel;

/* Tensors on their way into lbrec.tensor. */
typedef struct TensorWriter
{
	int64		id;				/* of the model */
	SPIPlanPtr	insert;
	uint64		checksum;
} TensorWriter;

/* sql_model.c */
extern void lbrec_check_name(const char *name);
extern void lbrec_no_such_version(const char *name, int32 version);
extern void lbrec_hold_version(int64 model);
extern int	lbrec_prune_model(const char *name, int keep);

/* save.c */
extern void lbrec_begin_model(TensorWriter *writer, int32 *version,
							  char **config, const NewModel *model);
extern void lbrec_write_chunk(TensorWriter *writer, const char *name,
							  const TensorShape *shape, int32 chunk,
							  const char *data, Size len);
extern void lbrec_end_model(const TensorWriter *writer);
extern int64 lbrec_save_model(const char *name, const Trained *trained,
							  const Dataset *data,
							  const TrainOptions *options,
							  const EpochReport *epochs, int n_epochs);

/* store.c */
extern const char *lbrec_tensor_type_name(TensorType type);
extern bool lbrec_tensor_type(const char *name, TensorType *type);
extern bool lbrec_shape_in_range(const TensorShape *shape);
extern void lbrec_read_model_row(ModelRow *row, SPITupleTable *table,
								 uint64 place);
extern uint32 lbrec_chunk_crc(int64 model, const char *name, int32 chunk,
							  const TensorShape *shape, const char *data,
							  Size len);
extern bool lbrec_find_model(ModelRow *row, const char *name);
extern void lbrec_damaged(const ModelRow *model, const char *tensor,
						  int chunk, const char *detail);
extern Size lbrec_tensor_size(const TensorShape *shape);
extern bool lbrec_tensor_shape(const ModelRow *model, const char *name,
							   TensorShape *shape);
extern void lbrec_load_tensor(const ModelRow *model, const char *name,
							  const TensorShape *shape, char *out);

#endif							/* LBREC_STORE_H */
