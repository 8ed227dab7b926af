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
	LB_LINEAR,					/* falls linearly to zero */
	LB_COSINE,					/* falls to zero along half a cosine wave */
	LB_STEP						/* multiplied by gamma every step_epochs
								 * epochs */
} LbScheduleKind;

typedef struct LbSchedule
{
	LbScheduleKind kind;
	double		rate;			/* the highest rate */
	double		warmup;			/* epochs of linear growth from zero */
	double		epochs;			/* length of the whole run */
	double		step_epochs;	/* STEP */
	double		gamma;			/* STEP */
} LbSchedule;

extern double lb_schedule_rate(const LbSchedule *s, double epoch);

#endif							/* LB_SCHEDULE_H */
