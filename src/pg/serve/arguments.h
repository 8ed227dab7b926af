/*
 * arguments.h
 *		Arguments and results common to the serving calls.
 */
#ifndef LBREC_SERVE_ARGUMENTS_H
#define LBREC_SERVE_ARGUMENTS_H

#include "pg/image/image.h"
#include "pg/serve/queries.h"

#include "utils/array.h"

/* The position of an argument that a function lacks. */
#define NO_ARGUMENT (-1)

extern RecordingList lbrec_array_recordings(ArrayType *array,
											const char *argument);
extern const ServingModel *lbrec_open_argument(FunctionCallInfo fcinfo,
											   int model, int version);
extern int64 lbrec_time_argument(FunctionCallInfo fcinfo, int arg);
extern int32 *lbrec_read_ks(ArrayType *array, int *n);
extern int32 lbrec_bounded_k(int32 k, int64 most);
extern int32 lbrec_known_recording(const ServingModel *serving,
								   const pg_uuid_t *recording);
extern int32 lbrec_known_user(const ServingModel *serving, int64 user_id);
extern ArrayType *lbrec_float_array(const float *values, int n);

#endif							/* LBREC_SERVE_ARGUMENTS_H */
