/*
 * check.h
 *		Are the chunks of a model's tensors those that its tensors have?
 */
#ifndef LBREC_STORE_CHECK_H
#define LBREC_STORE_CHECK_H

#include "pg/store/tensors.h"
#include "pg/store/versions.h"

/* Called with each problem of a tensor, chunk -1: of the tensor as a whole. */
typedef void (*CheckReport) (const char *tensor, int32 chunk,
							 const char *problem, void *arg);

/* A tensor that was seen. */
typedef struct CheckedTensor
{
	char	   *name;
	TensorShape shape;
	bool		in_range;		/* the shape */
	int32		next;			/* chunk */
	Size		bytes;
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
} Checker;

extern void lbrec_checker_init(Checker *checker, CheckReport report,
							   void *arg);
extern bool lbrec_check_chunk(Checker *checker, const char *name,
							  const TensorShape *shape, int32 chunk,
							  Size len);
extern void lbrec_checker_end(Checker *checker);
extern void lbrec_visit_chunks(const ModelRow *row, CheckReport report,
							   void *report_arg, ChunkVisitor visit,
							   void *arg);

#endif							/* LBREC_STORE_CHECK_H */
