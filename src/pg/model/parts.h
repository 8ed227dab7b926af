/*
 * parts.h
 *		The arrays that a stored model consists of.
 *
 * One table (parts.c) has a row for each kind of array: its name, type and
 * shape, which of its values are right, what needs it, and where it lies in
 * memory.  From a model's configuration follows the list of its arrays.
 * Saving, warm start, serving images, lbrec_check and lbrec_import all walk
 * that list, so a new array is one row, the code that computes it and the code
 * that uses it.
 */
#ifndef LBREC_MODEL_PARTS_H
#define LBREC_MODEL_PARTS_H

#include "pg/model/config.h"
#include "pg/model/twotower.h"
#include "pg/store/tensors.h"

/* Features of a model that need an array. */
#define PART_SERVES 1			/* serving images */
#define PART_TRAINS 2			/* a training that continues the model */

/* The problem of an array with keys that are not unique. */
#define TWO_ALIKE "Two of its keys are alike."

/* Arrays of a model with all inputs, layers and columns that there can be. */
#define MAX_PARTS 512

/* The arrays of the query tower, of users and of recordings among them. */
#define MAX_SERVING_PARTS 192

typedef enum PartCheck
{
	CHECK_NONE,
	CHECK_FINITE,
	CHECK_NUMBERS,				/* finite, or NaN where a value is unknown */
	CHECK_COUNTS,				/* finite and not negative */
	CHECK_ASCENDING,			/* finite, each above the one before */
	CHECK_OFFSETS,				/* ascend from 0 to the length of another
								 * array */
	CHECK_CODES,				/* of a vocabulary, 0 is unknown */
	CHECK_KNOWN_CODES,			/* from 1 on */
	CHECK_WEEKS,				/* pairs of a week and a number of listens */
	CHECK_TIMES					/* microseconds since 1970, or none */
} PartCheck;

typedef struct PartKind PartKind;

/* One array of one model. */
typedef struct StoredPart
{
	const PartKind *kind;
	char		name[LB_NAME_LEN + 8];
	TensorShape shape;			/* rows -1: as stored */
	PartCheck	check;
	int			uses;			/* PART_SERVES, PART_TRAINS */
	char		subject[LB_NAME_LEN];	/* the column or the matrix, or "" */
	int			cut_by;			/* the part of offsets whose last value is the
								 * number of rows, or -1 */
	int			cuts;			/* CHECK_OFFSETS: the part that is cut */
	int			vocabulary;		/* codes, tables: the part that tells how many
								 * codes or rows there are, or -1 */
	int64		beyond;			/* rows, or the highest code, beyond what that
								 * part tells */
	bool		unique;			/* no two rows are alike */
	bool		weight;			/* a matrix of weights, or a state of it */
	int			first_user;		/* the row of the user with code 1, of offsets
								 * the one where theirs begin; -1: rows are
								 * not of users */
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
