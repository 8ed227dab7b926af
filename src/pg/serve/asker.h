/*
 * asker.h
 *		Who asks: a user of the model, somebody with listens, or nobody known.
 */
#ifndef LBREC_SERVE_ASKER_H
#define LBREC_SERVE_ASKER_H

#include "pg/image/image.h"
#include "pg/model/score.h"

typedef enum Basis
{
	BASIS_MODEL,				/* the model knows the user */
	BASIS_LISTENS,				/* folded in from listens of now */
	BASIS_POPULAR				/* nothing is known */
} Basis;

/*
 * The score of candidate i is the product of query with row i of vectors, and
 * what is added to it.  For BASIS_POPULAR a row is one number, how popular the
 * candidate is, and the query is 1.
 */
typedef struct Asker
{
	Basis		basis;
	int32		user;			/* code; 0 but for BASIS_MODEL */
	int			D;
	const float *query;			/* (D) */
	const float *vectors;		/* (n_recordings, D) */
	const void *index;			/* of vectors, or NULL */
	Boosts		boosts;
} Asker;

/* When somebody asks, and how to learn what they played. */
typedef struct Occasion
{
	int64		time;			/* microseconds since 1970 */
	bool		dated;			/* the caller gave it: later listens do not
								 * count */
	const char *listens;		/* table or query */
} Occasion;

extern float *lbrec_user_vector(const ServingModel *serving, int32 user,
								int64 time);
extern const char *lbrec_basis_name(Basis basis);
extern Occasion lbrec_occasion(FunctionCallInfo fcinfo, int at, int listens);
extern bool lbrec_fold_in(Asker *asker, const ServingModel *serving,
						  int64 user_id, const Occasion *occasion);
extern void lbrec_ask_popular(Asker *asker, const ServingModel *serving,
							  const Occasion *occasion);
extern void lbrec_identify(Asker *asker, const ServingModel *serving,
						   int64 user_id, const Occasion *occasion);
extern float lbrec_asked_score(const Asker *asker, int64 candidate);

#endif							/* LBREC_SERVE_ASKER_H */
