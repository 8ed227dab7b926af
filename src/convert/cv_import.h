/*
 * cv_import.h
 *		Listens in other services' line formats, as ListenBrainz imports them.
 */
#ifndef CV_IMPORT_H
#define CV_IMPORT_H

#include "cv.h"

#ifdef __cplusplus
extern "C"
{
#endif

/* MessyBrainz has given no MSID: the one that we give instead. */
extern void cv_import_msid(CvListen *listen);

/* Does this line name the columns of a Libre.fm export? */
extern bool cv_import_is_librefm_header(const char *line, size_t len);

/* Which column of a Libre.fm export is what; -1: none. */
typedef struct CvColumns
{
	int			time;
	int			artist;
	int			track;
	int			album;
} CvColumns;

typedef enum CvImported
{
	CV_IMPORTED,				/* a listen, or a reject with its reason */
	CV_IMPORT_LEFT_OUT,			/* ListenBrainz leaves it out: not listened */
	CV_IMPORT_COMMENT			/* no listen meant: counts as blank */
} CvImported;

/*
 * One line.  The texts of *listen lie in the line or in scratch, until the
 * next call.
 */
extern CvImported cv_import_scrobbler(const char *line, size_t len,
									  int64_t user_id, CvReason *reason,
									  CvListen *listen);
extern CvImported cv_import_librefm(const char *line, size_t len,
									int64_t user_id, CvColumns *columns,
									CvBuf *scratch, CvReason *reason,
									CvListen *listen);

#ifdef __cplusplus
}
#endif

#endif							/* CV_IMPORT_H */
