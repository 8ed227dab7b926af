/*
 * check.h
 *		Checks the chunks of a model's tensors, one at a time.
 */
#ifndef LBREC_STORE_CHECK_H
#define LBREC_STORE_CHECK_H

#include "pg/store/tensors.h"
#include "pg/store/versions.h"

/* Reports a problem of a tensor; chunk -1 means the tensor as a whole. */
typedef void (*CheckReport) (const char *tensor, int32 chunk,
							 const char *problem, void *arg);

/* A tensor whose chunks have begun. */
typedef struct CheckedTensor
{
	char	   *name;
	TensorShape shape;
	bool		in_range;		/* the shape is in range */
	int32		next;			/* number of the next chunk */
	Size		bytes;
} CheckedTensor;

/*
 * The state of one version's checks; its memory is that of the tensors' names.
 */
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
