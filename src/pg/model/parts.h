/*
 * parts.h
 *		The arrays that a stored model consists of.
 *
 * One table (parts.c) has a row for each kind of array: its name, type and
 * shape, which of its values are right, what needs it, and where it lies in
 * memory.  A model's configuration determines the list of its arrays.  Saving,
 * warm start, serving images, lbrec_check and lbrec_import all walk that list.
 * So a new array needs one row, the code that computes it and the code that
 * uses it.
 */
#ifndef LBREC_MODEL_PARTS_H
#define LBREC_MODEL_PARTS_H

#include "pg/model/config.h"
#include "pg/model/twotower.h"
#include "pg/store/tensors.h"

/* Uses of an array: */
#define PART_SERVES 1			/* in serving images */
#define PART_TRAINS 2			/* by a training that continues the model */

/* The problem of an array whose keys are not unique. */
#define TWO_ALIKE "Two of its keys are alike."

/* Limit of arrays in a model with all possible inputs, layers and columns. */
#define MAX_PARTS 512

/* Limit of arrays in a serving image. */
#define MAX_SERVING_PARTS 192

typedef enum PartCheck
{
	CHECK_NONE,
	CHECK_FINITE,
	CHECK_NUMBERS,				/* finite, or NaN for unknown values */
	CHECK_COUNTS,				/* finite and not negative */
	CHECK_ASCENDING,			/* finite and ascending */
	CHECK_OFFSETS,				/* ascend from 0 to the length of another
								 * array */
	CHECK_CODES,				/* codes of a vocabulary, or 0 for unknown */
	CHECK_KNOWN_CODES,			/* codes of a vocabulary */
	CHECK_WEEKS,				/* pairs of a week and a number of listens */
	CHECK_TIMES					/* microseconds since 1970, or no time */
} PartCheck;

typedef struct PartKind PartKind;

/* One array of one model. */
typedef struct StoredPart
{
	const PartKind *kind;
	char		name[LB_NAME_LEN + 8];
	TensorShape shape;			/* rows -1: take the stored number */
	PartCheck	check;
	int			uses;			/* PART_SERVES and PART_TRAINS */
	char		subject[LB_NAME_LEN];	/* name of the column or the matrix,
										 * or "" */
	int			cut_by;			/* index of the part of offsets whose last
								 * value is the number of rows, or -1 */
	int			cuts;			/* CHECK_OFFSETS: index of the part that it
								 * cuts */
	int			vocabulary;		/* codes, tables: index of the part that tells
								 * the number of codes or rows, or -1 */
	int64		beyond;			/* rows, or the highest code, in addition to
								 * that part's */
	bool		unique;			/* rows must be distinct */
	bool		weight;			/* a matrix of weights, or an optimiser state */
	int			first_user;		/* row of the user with code 1, in offsets the
								 * row where that user begins; -1: rows do not
								 * belong to users */
} StoredPart;

/* All arrays of a model, in the order in which they are saved. */
typedef struct StoredParts
{
	int			n;
	StoredPart	part[MAX_PARTS];
} StoredParts;

extern StoredParts *lbrec_list_parts(const ModelConfig *config, int64 n_users,
									 int64 n_recordings);
extern const char *lbrec_check_names(const StoredParts *parts);
extern int	lbrec_find_part(const StoredParts *parts, const char *name);
extern const char *lbrec_accept_shape(StoredPart *part,
									  const TensorShape *shape);
extern const void **lbrec_part_place(const StoredPart *part, TwoTower *model);

#endif							/* LBREC_MODEL_PARTS_H */
