/*
 * cv_kind.h
 *		What a member is, by what is in it.
 */
#ifndef CV_KIND_H
#define CV_KIND_H

#include "cv.h"

typedef enum CvKind
{
	CV_KIND_LISTENS,			/* a listen a line */
	CV_KIND_PAYLOAD,			/* the API's answer */
	CV_KIND_SCHEMA,				/* SCHEMA_SEQUENCE */
	CV_KIND_TIMESTAMP,			/* TIMESTAMP of a full dump */
	CV_KIND_START,				/* START_TIMESTAMP, END_TIMESTAMP */
	CV_KIND_END,
	CV_KIND_USER,				/* user.json of an export */
	CV_KIND_SPOTIFY,			/* a JSON array of plays */
	CV_KIND_SCROBBLER,			/* .scrobbler.log */
	CV_KIND_LIBREFM,			/* CSV */
	CV_KIND_CANONICAL,			/* MusicBrainz metadata, CSV */
	CV_KIND_REDIRECT,			/* merged recordings, CSV */
	CV_KIND_OTHER,				/* nothing of ours, to be left alone */
	CV_KIND_PARQUET,			/* the spark dump */
	CV_KIND_UNKNOWN				/* a file that is no input at all */
} CvKind;

/*
 * name as in the archive or folder; head the first bytes, whole if there are
 * no more.  archive: the member is one of several.
 */
extern CvKind cv_kind(const char *name, bool archive, const char *head,
					  size_t len);

/* A .listens file of the layout of 2018 to 2020. */
extern bool cv_kind_is_uuid_named(const char *name);

#endif							/* CV_KIND_H */
