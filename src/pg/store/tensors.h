/*
 * tensors.h
 *		Models in their tables: lbrec.model, lbrec.epoch, lbrec.tensor.
 */
#ifndef LBREC_STORE_TENSORS_H
#define LBREC_STORE_TENSORS_H

#include "pg/store/versions.h"
#include "executor/spi.h"

/* Bytes of each chunk except the last. */
#define TENSOR_CHUNK_BYTES ((Size) 1 << 20)

typedef enum TensorType
{
	TENSOR_FLOAT4,
	TENSOR_INT4,
	TENSOR_INT8,
	TENSOR_UUID,
	TENSOR_BYTES
} TensorType;

/* The type and shape of a stored tensor. */
typedef struct TensorShape
{
	TensorType	type;
	int64		rows;
	int			cols;
} TensorShape;

/*
 * Gets a chunk of a tensor; data NULL: the chunk is damaged, which was
 * reported.
 */
typedef void (*ChunkVisitor) (const char *name, const TensorShape *shape,
							  int32 chunk, const char *data, Size len,
							  void *arg);

extern const char *lbrec_tensor_type_name(TensorType type);
extern bool lbrec_tensor_type(const char *name, TensorType *type);
extern bool lbrec_shape_in_range(const TensorShape *shape);
extern uint32 lbrec_chunk_crc(int64 model, const char *name, int32 chunk,
							  const TensorShape *shape, const char *data,
							  Size len);
extern Size lbrec_tensor_size(const TensorShape *shape);
extern bool lbrec_tensor_shape(const ModelRow *model, const char *name,
							   TensorShape *shape);
extern uint64 lbrec_chunk_hash(uint32 crc, int32 chunk);
extern void lbrec_check_sum(const ModelRow *model);
extern Size lbrec_load_chunk(const ModelRow *model, const char *name,
							 const TensorShape *shape, int32 chunk, char *out);
extern void lbrec_load_tensor(const ModelRow *model, const char *name,
							  const TensorShape *shape, char *out,
							  ChunkVisitor visit, void *arg);

#endif							/* LBREC_STORE_TENSORS_H */
