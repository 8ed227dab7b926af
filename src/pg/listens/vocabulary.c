/*
 * vocabulary.c
 *		Open-addressing tables from keys to dense codes.
 *
 * The table holds codes and part of each hash only; keys lie in an arena in
 * code order, which is also how a model stores them.  An entry is eight
 * bytes, so a million recordings need 16 MB of table beside their 16 MB of
 * keys.
 *
 * Keys of one width are one array, which moves when it grows; keys of varying
 * width lie in blocks that never move, found through a table of pointers.
 */
#include "pg/listens/vocabulary.h"

#include "common/hashfn.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

#define BLOCK_BYTES ((Size) 1 << 20)

typedef struct Slot
{
	uint32		hash;
	int32		code;			/* 0: empty slot */
} Slot;

struct Vocabulary
{
	MemoryContext context;
	int			width;
	int32		size;
	uint64		seed;			/* random, because users may choose keys that
								 * collide */
	uint32		mask;			/* number of slots - 1; that number is a power
								 * of two */
	Slot	   *slots;
	char	   *fixed;			/* (allocated, width) keys of one width, or
								 * NULL */
	char	  **keys;			/* (allocated) key of code i + 1, or NULL */
	uint32	   *lengths;		/* (allocated) lengths of keys of varying
								 * width */
	int32		allocated;
	char	   *block;
	Size		block_used;
	Size		block_size;
};

Vocabulary *
lbrec_vocabulary_create(MemoryContext context, int width)
{
	Vocabulary *v = MemoryContextAllocZero(context, sizeof(Vocabulary));

	v->context = context;
	v->width = width;
	if (!pg_strong_random(&v->seed, sizeof(v->seed)))
		v->seed = 0;			/* without a seed, chosen keys are slow, but
								 * nothing worse */
	v->mask = 1023;
	v->slots = MemoryContextAllocZero(context,
									  (v->mask + 1) * sizeof(Slot));
	v->allocated = 1024;
	if (width > 0)
	{
		v->fixed = MemoryContextAlloc(context, v->allocated * width);
		return v;
	}
	v->keys = MemoryContextAlloc(context, v->allocated * sizeof(char *));
	v->lengths = MemoryContextAlloc(context, v->allocated * sizeof(uint32));
	return v;
}

int32
lbrec_vocabulary_size(const Vocabulary *v)
{
	return v->size;
}

const char *
lbrec_vocabulary_key(const Vocabulary *v, int32 code, uint32 *len)
{
	Assert(code >= 1 && code <= v->size);
	if (len)
		*len = v->width > 0 ? v->width : v->lengths[code - 1];
	return v->width > 0 ? v->fixed + (Size) (code - 1) * v->width :
		v->keys[code - 1];
}

/* The finaliser of splitmix64: every bit of x reaches every bit of the hash. */
static inline uint64
mix(uint64 x)
{
	x = (x ^ (x >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline uint32
hash_with(uint64 seed, int width, const void *key, uint32 len)
{
	if (width == sizeof(int64))
	{
		uint64		x;

		memcpy(&x, key, sizeof(x));
		return (uint32) mix(x ^ seed);
	}
	if (width == UUID_LEN)
	{
		uint64		x[2];

		memcpy(x, key, sizeof(x));
		/* MSIDs and MBIDs are random, but other UUIDs need mixing */
		return (uint32) mix(mix(x[0] ^ seed) + x[1]);
	}
	return (uint32) hash_bytes_extended(key, (int) len, seed);
}

/* The place of a key in the table; the seed makes it unpredictable. */
static inline uint32
hash_key(const Vocabulary *v, const void *key, uint32 len)
{
	return hash_with(v->seed, v->width, key, len);
}

/* A hash of a UUID that is the same in every run and on every machine. */
uint32
lbrec_uuid_hash(const void *key)
{
	return hash_with(0, UUID_LEN, key, UUID_LEN);
}

static inline bool
same_key(const Vocabulary *v, int32 code, const void *key, uint32 len)
{
	if (v->width == UUID_LEN)
		return memcmp(v->fixed + (Size) (code - 1) * UUID_LEN, key,
					  UUID_LEN) == 0;
	if (v->width > 0)
		return memcmp(v->fixed + (Size) (code - 1) * v->width, key,
					  v->width) == 0;
	return v->lengths[code - 1] == len &&
		memcmp(v->keys[code - 1], key, len) == 0;
}

/* Returns the slot of the key, or the empty slot for it. */
static inline Slot *
probe(const Vocabulary *v, uint32 hash, const void *key, uint32 len)
{
	uint32		i = hash & v->mask;

	for (;;)
	{
		Slot	   *slot = &v->slots[i];

		if (slot->code == 0 ||
			(slot->hash == hash && same_key(v, slot->code, key, len)))
			return slot;
		i = (i + 1) & v->mask;
	}
}

/*
 * Rebuilds the table with that many slots, a power of two.  map, unless NULL,
 * gives the new codes by the old; keys with new code 0 are dropped.
 */
static void
rehash(Vocabulary *v, uint32 n_slots, const int32 *map)
{
	Slot	   *old = v->slots;
	uint32		n_old = v->mask + 1;

	v->mask = n_slots - 1;
	v->slots = MemoryContextAllocExtended(v->context,
										  (Size) n_slots * sizeof(Slot),
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < n_old; i++)
	{
		int32		code = map ? map[old[i].code] : old[i].code;

		if (code != 0)
		{
			uint32		j = old[i].hash & v->mask;

			CHECK_FOR_INTERRUPTS();
			while (v->slots[j].code != 0)
				j = (j + 1) & v->mask;
			v->slots[j].hash = old[i].hash;
			v->slots[j].code = code;
		}
	}
	pfree(old);
}

static char *
store_key(Vocabulary *v, const void *key, uint32 len)
{
	char	   *place;

	if (v->block == NULL || v->block_used + len > v->block_size)
	{
		v->block_size = Max(BLOCK_BYTES, len);
		v->block = MemoryContextAllocHuge(v->context, v->block_size);
		v->block_used = 0;
	}
	place = v->block + v->block_used;
	memcpy(place, key, len);
	v->block_used += len;
	return place;
}

/*
 * Returns the key's hash and prefetches its slot for lbrec_vocabulary_code()
 * soon after.
 */
uint32
lbrec_vocabulary_prefetch(const Vocabulary *v, const void *key, uint32 len)
{
	uint32		hash = hash_key(v, key, len);

	__builtin_prefetch(&v->slots[hash & v->mask]);
	return hash;
}

/*
 * Returns the probable code of a key with that hash, and prefetches the stored
 * key.  A mere hint, for keys of one width.
 */
int32
lbrec_vocabulary_prefetch_key(const Vocabulary *v, uint32 hash)
{
	int32		code = v->slots[hash & v->mask].code;

	if (code > 0)
		__builtin_prefetch(v->fixed + (Size) (code - 1) * v->width);
	return code;
}

static void
grow_keys(Vocabulary *v)
{
	v->allocated *= 2;
	if (v->width > 0)
	{
		v->fixed = repalloc_huge(v->fixed, (Size) v->allocated * v->width);
		return;
	}
	v->keys = repalloc_huge(v->keys, (Size) v->allocated * sizeof(char *));
	v->lengths = repalloc_huge(v->lengths,
							   (Size) v->allocated * sizeof(uint32));
}

/* Returns the key's code; adds the key if it is new. */
int32
lbrec_vocabulary_code(Vocabulary *v, const void *key, uint32 len,
					  uint32 hash, bool *is_new)
{
	Slot	   *slot = probe(v, hash, key, len);

	*is_new = slot->code == 0;
	if (!*is_new)
		return slot->code;

	if (v->size >= PG_INT32_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many distinct keys"),
				 errdetail("A model can hold %d users and as many recordings.",
						   PG_INT32_MAX / 2)));
	if ((uint32) v->size * 2 > v->mask)
	{
		rehash(v, (v->mask + 1) * 2, NULL);
		slot = probe(v, hash, key, len);
	}
	if (v->size == v->allocated)
		grow_keys(v);
	if (v->width > 0)
		memcpy(v->fixed + (Size) v->size * v->width, key, v->width);
	else
	{
		v->keys[v->size] = store_key(v, key, len);
		v->lengths[v->size] = len;
	}
	slot->hash = hash;
	slot->code = ++v->size;
	return slot->code;
}

int32
lbrec_vocabulary_add(Vocabulary *v, const void *key, uint32 len)
{
	bool		is_new;

	return lbrec_vocabulary_code(v, key, len, hash_key(v, key, len), &is_new);
}

/* Returns the key's code, or 0. */
int32
lbrec_vocabulary_find(Vocabulary *v, const void *key, uint32 len)
{
	return probe(v, hash_key(v, key, len), key, len)->code;
}

/*
 * Returns the first keys of a vocabulary as one of its own.  It is read-only,
 * valid until v changes, and must not be asked for later keys.
 */
Vocabulary *
lbrec_vocabulary_head(const Vocabulary *v, int32 size)
{
	Vocabulary *head = palloc(sizeof(Vocabulary));

	Assert(size <= v->size);
	*head = *v;
	head->size = size;
	return head;
}

/* The first bytes of a key as numbers that compare as memcmp() does. */
typedef struct SortKey
{
	uint64		high;
	uint64		low;
	int32		code;
} SortKey;

static SortKey
sort_key(const Vocabulary *v, int32 code)
{
	uint64		head[2] = {0};
	uint32		len;
	const char *key = lbrec_vocabulary_key(v, code, &len);
	SortKey		s = {.code = code};

	if (v->width == sizeof(int64))
	{
		memcpy(head, key, sizeof(int64));
		/* negative numbers sort first */
		s.high = head[0] ^ (UINT64CONST(1) << 63);
		return s;
	}
	memcpy(head, key, Min(len, sizeof(head)));
	s.high = pg_ntoh64(head[0]);
	s.low = pg_ntoh64(head[1]);
	return s;
}

/* Compares two keys as bytes; a prefix sorts first. */
int
lbrec_vocabulary_compare(const Vocabulary *v, int32 a, int32 b)
{
	uint32		len_a;
	uint32		len_b;
	const char *key_a = lbrec_vocabulary_key(v, a, &len_a);
	const char *key_b = lbrec_vocabulary_key(v, b, &len_b);
	int			order = memcmp(key_a, key_b, Min(len_a, len_b));

	return order != 0 ? order : len_a < len_b ? -1 : len_a > len_b;
}

static inline int
compare_sort_keys(const SortKey *a, const SortKey *b, const Vocabulary *v)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return v->width > 0 ? 0 : lbrec_vocabulary_compare(v, a->code, b->code);
}

#define ST_SORT sort_keys
#define ST_ELEMENT_TYPE SortKey
#define ST_COMPARE(a, b, v) compare_sort_keys(a, b, v)
#define ST_COMPARE_ARG_TYPE const Vocabulary
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Gives keys new codes (map, by the old ones, 1 to size); those with 0 are
 * dropped.
 */
void
lbrec_vocabulary_renumber(Vocabulary *v, const int32 *map, int32 size)
{
	char	   *fixed = NULL;
	char	  **keys = NULL;
	uint32	   *lengths = NULL;

	if (v->width > 0)
		fixed = MemoryContextAllocHuge(v->context,
									   (Size) v->allocated * v->width);
	else
	{
		keys = MemoryContextAllocHuge(v->context,
									  (Size) v->allocated * sizeof(char *));
		lengths = MemoryContextAllocHuge(v->context,
										 (Size) v->allocated * sizeof(uint32));
	}
	rehash(v, v->mask + 1, map);
	for (int32 i = 1; i <= v->size; i++)
	{
		int32		to = map[i];

		CHECK_FOR_INTERRUPTS();
		if (to == 0)
			continue;
		if (fixed)
			memcpy(fixed + (Size) (to - 1) * v->width,
				   v->fixed + (Size) (i - 1) * v->width, v->width);
		else
		{
			keys[to - 1] = v->keys[i - 1];
			lengths[to - 1] = v->lengths[i - 1];
		}
	}
	if (fixed)
	{
		pfree(v->fixed);
		v->fixed = fixed;
	}
	else
	{
		pfree(v->keys);
		pfree(v->lengths);
		v->keys = keys;
		v->lengths = lengths;
	}
	v->size = size;
}

/*
 * Numbers keys in the order of their bytes, user ids in the order of numbers,
 * so that codes do not depend on the order of rows.  The first known keys keep
 * their codes; of the others, those whose used (size + 1, by code) is false
 * are dropped.  NULL keeps all.  Returns the new codes by the old ones, 0 to
 * 0, in the current context.
 */
int32 *
lbrec_vocabulary_sort(Vocabulary *v, int32 known, const bool *used)
{
	int32	   *map = palloc_extended(((Size) v->size + 1) * sizeof(int32),
									  MCXT_ALLOC_HUGE);
	SortKey    *keys = palloc_extended(((Size) v->size + 1) * sizeof(SortKey),
									   MCXT_ALLOC_HUGE);
	int32		n = 0;

	for (int32 code = 0; code <= v->size; code++)
		map[code] = code <= known ? code : 0;
	for (int32 code = known + 1; code <= v->size; code++)
	{
		CHECK_FOR_INTERRUPTS();
		if (used == NULL || used[code])
			keys[n++] = sort_key(v, code);
	}
	sort_keys(keys, n, v);
	for (int32 i = 0; i < n; i++)
		map[keys[i].code] = known + 1 + i;
	pfree(keys);
	lbrec_vocabulary_renumber(v, map, known + n);
	return map;
}
