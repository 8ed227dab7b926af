/*
 * cv_repair.h
 *		Parses by hand the lines that simdjson and ListenBrainz read
 *		differently.
 */
#ifndef CV_REPAIR_H
#define CV_REPAIR_H

#include "cv.h"

#ifdef __cplusplus
extern "C"
{
#endif

/* True if one of the line's \u escapes is half of a surrogate pair. */
extern bool cv_repair_has_lone_surrogate(const char *line, size_t len);

/*
 * Copies the line to *out and replaces each number that fits no type by 9e99.
 * CV_PADDING zeros follow.  Returns false if there is no such number, so the
 * line is bad for another reason.
 */
extern bool cv_repair_numbers(CvBuf *out, const char *line, size_t len);

#ifdef __cplusplus
}
#endif

#endif							/* CV_REPAIR_H */
