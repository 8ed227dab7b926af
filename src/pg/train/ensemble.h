/*
 * ensemble.h
 *		The towers that a run trains: the wide model and its members.
 */
#ifndef LBREC_TRAIN_ENSEMBLE_H
#define LBREC_TRAIN_ENSEMBLE_H

#include "pg/model/twotower.h"
#include "pg/train/batches.h"
#include "pg/train/plan.h"

typedef struct Member
{
	TwoTower   *model;
	LbOptimizer optimizer;
	Batcher		batcher;
	MemoryContext context;		/* of its weights and batches */
} Member;

typedef struct Ensemble
{
	const RunPlan *plan;
	MemoryContext context;
	TwoTower   *model;			/* the wide one */
	BatchShape	shape;
	LbWorkspace workspace;		/* of a step of any member */
	States		states;			/* of members that have ended */
	int			n;
	Member	   *members;		/* (n) */
} Ensemble;

extern Ensemble *lbrec_make_ensemble(const RunPlan *plan);
extern void lbrec_begin_member(Ensemble *e, int m);
extern void lbrec_lay_member(Ensemble *e, int m);
extern void lbrec_end_member(Ensemble *e, int m);

#endif							/* LBREC_TRAIN_ENSEMBLE_H */
