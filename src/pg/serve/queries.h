/*
 * queries.h
 *		Reads listens and recordings from the caller's queries.
 */
#ifndef LBREC_SERVE_QUERIES_H
#define LBREC_SERVE_QUERIES_H

#include "pg/server/lbrec.h"

#include "executor/spi.h"
#include "tcop/dest.h"

#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"

/* Recordings that a query returned. */
typedef struct RecordingList
{
	int64		n;
	pg_uuid_t  *keys;
} RecordingList;

/*
 * Rankings of users.  A row's user is a code of the given vocabulary, its
 * recording a code of recordings, its time the rank.  The rows of a user are
 * adjacent, by rank.
 */
typedef struct RankingRows
{
	ListenSpool *spool;
	Vocabulary *recordings;
} RankingRows;

extern SPIPlanPtr lbrec_prepare_reading(const char *sql, const char *argument,
										int n_args, Oid *types);
extern Oid	lbrec_column_type(SPIPlanPtr plan);
extern void lbrec_execute_reading(SPIPlanPtr plan, const char *argument,
								  int n_args, const Oid *types,
								  const Datum *values, DestReceiver *dest);
extern RecordingList lbrec_listened_recordings(const char *listens,
											   int64 user_id);
extern RecordingList lbrec_query_recordings(const char *query,
											const char *argument);
extern RankingRows lbrec_query_rankings(const char *query, Vocabulary *users,
										MemoryContext context);

#endif							/* LBREC_SERVE_QUERIES_H */
