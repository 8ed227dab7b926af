/*
 * coldstart.h
 *		Who asks: a user of the model, somebody with listens, or nobody known.
 */
#ifndef LBREC_COLDSTART_H
#define LBREC_COLDSTART_H

#include "boosts.h"
#include "serving.h"

typedef enum Basis
{
	BASIS_MODEL,				/* the model knows the user */
	BASIS_LISTENS,				/* folded in from listens of now */
	BASIS_POPULAR				/* nothing is known */
} Basis;

typedef struct Asker
{
	Basis		basis;
	int32		user;			/* code; 0 but for BASIS_MODEL */
	float	   *query;			/* (D); NULL for BASIS_POPULAR */
	Boosts		boosts;
} Asker;

extern const char *lbrec_basis_name(Basis basis);
extern void lbrec_identify(Asker *asker, const ServingModel *serving,
						   int64 user_id, int64 time, const char *listens);

#endif							/* LBREC_COLDSTART_H */
