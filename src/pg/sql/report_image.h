/*
 * report_image.h
 *		The parts of a report that come from a model's image.
 */
#ifndef LBREC_SQL_REPORT_IMAGE_H
#define LBREC_SQL_REPORT_IMAGE_H

#include "pg/image/image.h"

/* Number of recordings on the map, and of those with names. */
#define MOST_POINTS 2000
#define NAMED_POINTS 200

/*
 * Number of users whose lists are counted, and of those whose lists are shown.
 */
#define MOST_SAMPLED 200
#define MAX_USERS_SHOWN 6

/* Limit of recordings read of a shown user. */
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
	int64		recordings;		/* number of the user's recordings */
	pg_uuid_t  *played;			/* (recordings), for shown users */
} ReportUser;

typedef struct ReportImage
{
	int			n_points;		/* most played first */
	ReportPoint *points;
	double		shares[2];		/* shares of the variance along both axes */
	int			n_sample;
	ReportUser *sample;			/* users with few recordings first */
	int			n_users;
	ReportUser	users[MAX_USERS_SHOWN];
} ReportImage;

/* Popularity of recordings in lists, and of those listened to. */
typedef struct Spread
{
	int64		distinct;
	double		mean_listed;	/* mean listens of a recording in a list */
	double		mean_listened;	/* mean listens of the recording of a listen */
	int64		begins[N_GROUPS];
	int64		ends[N_GROUPS]; /* 0: none */
	double		listens[N_GROUPS];	/* share of each group in all listens */
	double		listed[N_GROUPS];	/* share of each group in lists */
} Spread;

extern void lbrec_report_image(ReportImage *r, const ServingModel *serving,
							   MemoryContext context);
extern void lbrec_report_spread(Spread *spread, const ServingModel *serving,
								const pg_uuid_t *keys, int64 n);

#endif							/* LBREC_SQL_REPORT_IMAGE_H */
