/*
 * report_image.h
 *		What a report tells of a model from its image.
 */
#ifndef LBREC_SQL_REPORT_IMAGE_H
#define LBREC_SQL_REPORT_IMAGE_H

#include "pg/image/image.h"

/* Recordings on the map, and how many of them have names. */
#define MOST_POINTS 2000
#define NAMED_POINTS 200

/* Users whose lists are counted, and users whose lists are shown. */
#define MOST_SAMPLED 200
#define MAX_USERS_SHOWN 6

/* Recordings of a user who is shown, at most. */
#define MOST_PLAYED 5000

/* Groups of recordings by their listens: 1 to 9, 10 to 99, ... */
#define N_GROUPS 6

typedef struct ReportPoint
{
	pg_uuid_t	key;
	int64		listens;
	double		place[2];
} ReportPoint;

typedef struct ReportUser
{
	int64		key;
	int64		recordings;		/* that the user has played */
	pg_uuid_t  *played;			/* (recordings), of users that are shown */
} ReportUser;

typedef struct ReportImage
{
	int			n_points;		/* the most played first */
	ReportPoint *points;
	double		shares[2];		/* of the differences, along both axes */
	int			n_sample;
	ReportUser *sample;			/* few recordings first */
	int			n_users;
	ReportUser	users[MAX_USERS_SHOWN];
} ReportImage;

/* What lists hold, beside what is listened to. */
typedef struct Spread
{
	int64		distinct;
	double		mean_listed;	/* listens of a recording in a list */
	double		mean_listened;	/* of the recording of a listen */
	int64		begins[N_GROUPS];
	int64		ends[N_GROUPS]; /* 0: none */
	double		listens[N_GROUPS];	/* shares of all listens */
	double		listed[N_GROUPS];	/* and of what is in lists */
} Spread;

extern void lbrec_report_image(ReportImage *r, const ServingModel *serving,
							   MemoryContext context);
extern void lbrec_report_spread(Spread *spread, const ServingModel *serving,
								const pg_uuid_t *keys, int64 n);

#endif							/* LBREC_SQL_REPORT_IMAGE_H */
