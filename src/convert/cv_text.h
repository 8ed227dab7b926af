/*
 * cv_text.h
 *		UUIDs, times and COPY's text format.
 */
#ifndef CV_TEXT_H
#define CV_TEXT_H

#include "cv.h"

#ifdef __cplusplus
extern "C"
{
#endif

extern bool cv_uuid_parse(const char *text, size_t len, CvUuid *uuid);

/* True for the nil and the max UUID (RFC 9562), which name nothing. */
extern bool cv_uuid_is_special(const CvUuid *uuid);
extern void cv_uuid_format(char out[36], const CvUuid *uuid);

extern bool cv_time_from_seconds(double seconds, int64_t *micros);
extern bool cv_time_from_integer(int64_t seconds, int64_t *micros);
extern bool cv_time_from_text(const char *text, size_t len, int64_t *micros);
extern bool cv_time_from_iso(const char *text, size_t len, int64_t *micros);

/* Reads Last.fm's "05 Apr 2010 11:59" or "5 Apr 2010, 11:59", UTC. */
extern bool cv_time_from_words(const char *text, size_t len, int64_t *micros);

/*
 * Returns the length of the UTF-8 character at p, or 0 if there is none by RFC
 * 3629 (no overlong form, no surrogate, nothing over U+10FFFF) or it is NUL.
 */
extern size_t cv_utf8_length(const char *p, const char *end);

/* Room for the longest time that cv_time_format() writes, NUL included. */
#define CV_TIME_LEN 33
extern size_t cv_time_format(char *out, int64_t micros);

extern void cv_copy_int64(CvBuf *buf, int64_t value);
extern void cv_copy_time(CvBuf *buf, int64_t micros);
extern void cv_copy_uuid(CvBuf *buf, const CvUuid *uuid);
extern void cv_copy_text(CvBuf *buf, const char *data, size_t len);
extern void cv_copy_bytes(CvBuf *buf, const char *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif							/* CV_TEXT_H */
