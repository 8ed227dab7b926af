/*
 * lb_schedule.h
 *		The learning rate over a training run.
 */
#ifndef LB_SCHEDULE_H
#define LB_SCHEDULE_H

#include "core/lb_core.h"

typedef enum LbScheduleKind
{
	LB_CONSTANT,
	LB_LINEAR,					/* to zero at the end */
	LB_COSINE,					/* to zero at the end, half a wave */
	LB_STEP						/* times gamma every so many epochs */
} LbScheduleKind;

typedef struct LbSchedule
{
	LbScheduleKind kind;
	double		rate;			/* the highest */
	double		warmup;			/* epochs of linear growth from zero */
	double		epochs;			/* of the whole run */
	double		step_epochs;	/* STEP */
	double		gamma;			/* STEP */
} LbSchedule;

extern double lb_schedule_rate(const LbSchedule *s, double epoch);

#endif							/* LB_SCHEDULE_H */
