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
extern void cv_uuid_format(char out[36], const CvUuid *uuid);

extern bool cv_time_from_seconds(double seconds, int64_t *micros);
extern bool cv_time_from_integer(int64_t seconds, int64_t *micros);
extern bool cv_time_from_text(const char *text, size_t len, int64_t *micros);
extern bool cv_time_from_iso(const char *text, size_t len, int64_t *micros);

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
