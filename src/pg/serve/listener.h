/*
 * listener.h
 *		The user of a call: known to the model, known by listens, or unknown.
 */
#ifndef LBREC_SERVE_LISTENER_H
#define LBREC_SERVE_LISTENER_H

#include "pg/image/image.h"
#include "pg/model/score.h"

typedef enum Basis
{
	BASIS_MODEL,				/* the model has the user's plays */
	BASIS_FRESH,				/* and later listens were read during the call */
	BASIS_LISTENS,				/* all listens were read during the call */
	BASIS_POPULAR,				/* the user has no listens */
	BASIS_FEATURES				/* of a row: nobody has played its recording */
} Basis;

/*
 * The score of candidate i is the scorer's, given the dot product of query and
 * row i of vectors.  For BASIS_POPULAR a row is a single number, the
 * candidate's popularity, the query is 1, and the scorer adds nothing.
 */
typedef struct Listener
{
	Basis		basis;
	int32		user;			/* code; 0: unknown to the model */
	LbSpan		history;		/* bag of the history input */
	int			D;
	const float *query;			/* (D) */
	const float *vectors;		/* (n_recordings, D) */
	const void *index;			/* index over vectors, or NULL */
	Scorer		scorer;
} Listener;

/* The time of a call, and the source of the listens before it. */
typedef struct Moment
{
	int64		time;			/* microseconds since 1970 */
	bool		dated;			/* the caller gave it: later listens do not
								 * count */
	const char *listens;		/* table or query; NULL: there is no default
								 * table */
	bool		named;			/* the caller named them: if they cannot be
								 * read, it is an error */
	bool		fresh;			/* listens after the training count for known
								 * users, too */
} Moment;

extern bool lbrec_has_listens(const Moment *moment);
extern bool lbrec_is_warm(const ServingModel *serving, int32 user);
extern int32 lbrec_warm_user(const ServingModel *serving, int64 user_id);
extern const char *lbrec_basis_name(Basis basis);
extern Basis lbrec_row_basis(const ServingModel *serving, Basis basis,
							 int64 candidate);
extern Moment lbrec_moment(FunctionCallInfo fcinfo, int at, int listens,
						   int fresh);
extern void lbrec_read_for_exclusion(Moment *moment);
extern bool lbrec_know(Listener *listener, const ServingModel *serving,
					   int32 user, int64 user_id, const Moment *moment);
extern bool lbrec_fold_in(Listener *listener, const ServingModel *serving,
						  int64 user_id, const Moment *moment);
extern void lbrec_popular_listener(Listener *listener, const ServingModel *serving,
								   const Moment *moment);
extern void lbrec_find_listener(Listener *listener, const ServingModel *serving,
								int64 user_id, const Moment *moment);
extern float lbrec_listener_score(const Listener *listener, int64 candidate);

#endif							/* LBREC_SERVE_LISTENER_H */
