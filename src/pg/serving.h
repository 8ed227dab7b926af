/*
 * serving.h
 *		What the serving calls share: recordings of users' queries, scores.
 */
#ifndef LBREC_SERVING_H
#define LBREC_SERVING_H

#include "image.h"

#include "core/lb_scan.h"

/* Recordings that a query returned. */
typedef struct RecordingList
{
	int64		n;
	pg_uuid_t  *keys;
} RecordingList;

/* A user's listens, latest first, times in microseconds since 1970. */
typedef struct ListenList
{
	int64		n;
	pg_uuid_t  *keys;
	int64	   *times;
} ListenList;

extern ListenList lbrec_user_listens(const char *listens, int64 user_id,
									 const int64 *until);
extern RecordingList lbrec_listened_recordings(const char *listens,
											   int64 user_id);
extern RecordingList lbrec_query_recordings(const char *query,
											const char *argument);
extern RecordingList lbrec_array_recordings(ArrayType *array,
											const char *argument);
extern uint64 *lbrec_candidate_bits(const ServingModel *serving,
									const RecordingList *list, bool listed);
extern char *lbrec_model_argument(FunctionCallInfo fcinfo, int arg);
extern int64 lbrec_time_argument(FunctionCallInfo fcinfo, int arg);
extern int32 lbrec_bounded_k(int32 k, int64 most);
extern int32 lbrec_known_user(const ServingModel *serving, int64 user_id);
extern float *lbrec_user_vector(const ServingModel *serving, int32 user,
								int64 time);
extern ArrayType *lbrec_float_array(const float *values, int n);

#endif							/* LBREC_SERVING_H */
