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
	MemoryContext context;		/* memory for its weights and batches */
} Member;

typedef struct Ensemble
{
	const RunPlan *plan;
	MemoryContext context;
	TwoTower   *model;			/* the wide model */
	BatchShape	shape;
	LbWorkspace workspace;		/* for a step of any member */
	States		states;			/* states of members that have ended */
	int			n;
	Member	   *members;		/* (n) */
} Ensemble;

extern Ensemble *lbrec_make_ensemble(const RunPlan *plan);
extern void lbrec_begin_member(Ensemble *e, int m);
extern void lbrec_lay_member(Ensemble *e, int m);
extern void lbrec_end_member(Ensemble *e, int m);

#endif							/* LBREC_TRAIN_ENSEMBLE_H */
