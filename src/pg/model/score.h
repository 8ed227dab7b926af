/*
 * score.h
 *		The parts of a score, and the scores of one user.
 *
 *		found = <q,c> + sum over SCORE_FOUND of weight * value
 *		score = found							of a recording new to the user
 *			  = found + sum over SCORE_PLAYED of weight * value
 *					  + sum over SCORE_SHARE of weight * found
 *												of one that the user has played
 *
 * The table lbrec_score_parts describes each part completely: fitting the
 * weights, making lists, ranking, explaining and storing loop over it.
 */
#ifndef LBREC_MODEL_SCORE_H
#define LBREC_MODEL_SCORE_H

#include "pg/model/candidates.h"
#include "pg/model/twotower.h"

/*
 * Only a user's latest MAX_SOURCES recordings contribute neighbours: those of
 * ten thousand would cover the catalogue.
 */
#define MAX_SOURCES 500

/*
 * The inputs of a user's scores.  The score of a recording unrelated to the
 * user is its dot product.
 */
typedef struct Scorer
{
	const TwoTower *model;
	int			n_own;			/* the user's own recordings, latest first */
	const int32 *codes;			/* (n_own) */
	const float *plays;			/* (n_own) number of plays */
	const float *recency;		/* (n_own) log of the plays' decayed weight,
								 * or NULL */
	LbRelated	related;		/* the own recordings and their neighbours;
								 * filled by lbrec_find_related() */
} Scorer;

typedef enum ScoreKind
{
	SCORE_FOUND,				/* applies to every recording */
	SCORE_PLAYED,				/* applies to recordings that the user has
								 * played */
	SCORE_SHARE					/* applies to the same; its value is found */
} ScoreKind;

/*
 * Called with each share of a value that comes from one of the user's
 * recordings.
 */
typedef void (*PartSource) (int32 code, double share, void *arg);

typedef struct ScorePart
{
	const char *name;			/* name of its weight in a model's config */
	const char *line;			/* name of its row in lbrec_explain; NULL:
								 * spread over the rows of found */
	ScoreKind	kind;
	bool		lowers;			/* may lower a score; SCORE_FOUND must not */
	double		least;			/* lower bound of the weight in the sum above */

	/* Prior of the fitted weight, see src/pg/train/score_fit.c: */
	double		prior;
	double		precision;
	double		fitted_least;

	/* true if the model has the arrays for the values */
	bool		(*present) (const TwoTower *model);

	/*
	 * Adds weight times the value to sums (n) of related recordings at places
	 * (n).  The value of SCORE_PLAYED is 0 unless the user has played the
	 * recording.  NULL for SCORE_SHARE.
	 */
	void		(*add) (double *sums, double weight, const Scorer *scorer,
						const int32 *places, int n);

	/*
	 * Divides a value other than 0 at a place among the user's recordings
	 * that it comes from.  NULL: it comes from the recording itself.
	 */
	void		(*sources) (const Scorer *scorer, int64 place, double value,
							PartSource source, void *arg);
} ScorePart;

extern const ScorePart lbrec_score_parts[LB_N_PARTS];

/* Returns the number of own recordings that contribute neighbours. */
static inline int
lbrec_n_sources(const Scorer *s)
{
	return Min(s->n_own, MAX_SOURCES);
}

extern Scorer lbrec_scorer(const TwoTower *model, int32 user);
extern void lbrec_find_related(Scorer *scorer);
extern void lbrec_free_related(Scorer *scorer);
extern int64 lbrec_related_place(const Scorer *scorer, int64 candidate);
extern bool lbrec_is_own(const Scorer *scorer, int64 candidate);
extern void lbrec_related_scores(float *scores, const Scorer *scorer,
								 const int32 *places, const float *dots,
								 int n);
extern void lbrec_least_scores(float *scores, const Scorer *scorer,
							   const int32 *places, const float *dots, int n);
extern float lbrec_full_score(const Scorer *scorer, int64 candidate,
							  float dot);
extern double lbrec_part_value(const ScorePart *part, const Scorer *scorer,
							   int64 place);
extern LbMix lbrec_mix_of_members(LbMix one, int n_members);
extern LbMix lbrec_mix_of_one(LbMix all, int n_members);

#endif							/* LBREC_MODEL_SCORE_H */
