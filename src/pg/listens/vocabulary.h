/*
 * vocabulary.h
 *		Keys become dense codes, in order of first appearance, from 1.
 */
#ifndef LBREC_LISTENS_VOCABULARY_H
#define LBREC_LISTENS_VOCABULARY_H

#include "pg/server/lbrec.h"

typedef struct Vocabulary Vocabulary;

/* width > 0: every key has that many bytes; 0: lengths vary */
extern Vocabulary *lbrec_vocabulary_create(MemoryContext context, int width);
extern uint32 lbrec_vocabulary_prefetch(const Vocabulary *v, const void *key,
										uint32 len);
extern int32 lbrec_vocabulary_prefetch_key(const Vocabulary *v, uint32 hash);
extern int32 lbrec_vocabulary_code(Vocabulary *v, const void *key,
								   uint32 len, uint32 hash, bool *is_new);
extern int32 lbrec_vocabulary_add(Vocabulary *v, const void *key, uint32 len);
extern uint32 lbrec_uuid_hash(const void *key);
extern int32 lbrec_vocabulary_find(Vocabulary *v, const void *key,
								   uint32 len);
extern int32 lbrec_vocabulary_size(const Vocabulary *v);
extern Vocabulary *lbrec_vocabulary_head(const Vocabulary *v, int32 size);
extern void lbrec_vocabulary_renumber(Vocabulary *v, const int32 *map,
									  int32 size);
extern int	lbrec_vocabulary_compare(const Vocabulary *v, int32 a, int32 b);
extern int32 *lbrec_vocabulary_sort(Vocabulary *v, int32 known,
									const bool *used);

/* Returns all keys joined by code; offsets (size + 1) if lengths vary. */
extern const char *lbrec_vocabulary_key(const Vocabulary *v, int32 code,
										uint32 *len);

#endif							/* LBREC_LISTENS_VOCABULARY_H */
