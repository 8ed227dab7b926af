/*
 * store.h
 *		Models in their tables: lbrec.model, lbrec.epoch, lbrec.tensor.
 */
#ifndef LBREC_STORE_H
#define LBREC_STORE_H

#include "options.h"
#include "trainer.h"

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

/* save.c */
extern int64 lbrec_save_model(const char *name, const Trained *trained,
							  const Dataset *data,
							  const TrainOptions *options,
							  const EpochReport *epochs, int n_epochs);

/* store.c */
extern const char *lbrec_tensor_type_name(TensorType type);
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
