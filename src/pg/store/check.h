/*
 * check.h
 *		Is what is stored of a model what a model is?
 */
#ifndef LBREC_STORE_CHECK_H
#define LBREC_STORE_CHECK_H

#include "pg/store/tensors.h"
#include "pg/store/versions.h"

/* Called with each problem of a tensor, chunk -1: of the tensor as a whole. */
typedef void (*CheckReport) (const char *tensor, int32 chunk,
							 const char *problem, void *arg);

/* Gets each chunk; data NULL: it is damaged, which was reported. */
typedef void (*ChunkVisitor) (const char *name, const TensorShape *shape,
							  int32 chunk, const char *data, Size len,
							  void *arg);

/* A tensor that was seen. */
typedef struct CheckedTensor
{
	char	   *name;
	TensorShape shape;
	bool		in_range;		/* the shape */
	int32		next;			/* chunk */
	Size		bytes;
	bool		ascends;
	int64		previous;		/* integers: the last value so far */
	int64		least;
	int64		most;
} CheckedTensor;

/* The checks of one version; memory is that of its tensors' names. */
typedef struct Checker
{
	MemoryContext context;
	CheckReport report;
	void	   *arg;
	int			n;
	int			allocated;
	CheckedTensor *tensors;
	char	   *manifest;		/* what was saved, as JSON, or NULL */
} Checker;

extern void lbrec_checker_init(Checker *checker, CheckReport report,
							   void *arg);
extern void lbrec_check_chunk(Checker *checker, const char *name,
							  const TensorShape *shape, int32 chunk,
							  const char *data, Size len);
extern void lbrec_check_chunks(Checker *checker, const ModelRow *row,
							   ChunkVisitor visit, void *arg);
extern void lbrec_check_together(Checker *checker, const ModelRow *row);

#endif							/* LBREC_STORE_CHECK_H */
