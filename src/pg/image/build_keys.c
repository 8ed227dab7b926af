/*
 * build_keys.c
 *		The parts of a serving image that find users and recordings by key.
 */
#include "pg/image/build.h"

#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/model/load.h"

typedef struct UserKey
{
	int64		key;
	int32		code;
} UserKey;

static int
compare_user_keys(const void *a, const void *b)
{
	int64		x = ((const UserKey *) a)->key;
	int64		y = ((const UserKey *) b)->key;

	/* sorting millions of keys takes longer than a cancel may wait */
	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

/*
 * Users are stored by code and looked up by key: sorts keys (n) and writes
 * their codes (n).
 */
static void
sort_users(ImageBuilder *b, int64 *keys, int32 *codes, int64 n)
{
	UserKey    *pairs = palloc_extended(n * sizeof(UserKey), MCXT_ALLOC_HUGE);

	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		pairs[i].key = keys[i];
		pairs[i].code = lbrec_code_of(i);
	}
	qsort(pairs, n, sizeof(UserKey), compare_user_keys);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		keys[i] = pairs[i].key;
		codes[i] = pairs[i].code;
		if (i > 0 && keys[i] == keys[i - 1])
			lbrec_bad_array(b->loaded.row, "user_key", TWO_ALIKE);
	}
	pfree(pairs);
}

/* A candidate and the first bytes of its key. */
typedef struct KeyPlace
{
	uint64		head;
	int32		candidate;
} KeyPlace;

/* Average number of recordings in a bucket. */
#define BUCKET_SIZE 8

static int
compare_places(const void *a, const void *b, void *keys)
{
	const KeyPlace *x = a;
	const KeyPlace *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return memcmp(((const pg_uuid_t *) keys)[x->candidate].data,
				  ((const pg_uuid_t *) keys)[y->candidate].data, UUID_LEN);
}

/*
 * Writes candidates in the order of their keys, the heads of these keys, and
 * the first head of each bucket (2^bits + 1).  UUIDs are mostly random, so
 * their first bits spread them evenly over buckets, and sorting the small
 * buckets is fast.  If all fell into one bucket, it would be an ordinary sort.
 */
static void
sort_recordings(int32 *order, uint64 *heads, int32 *buckets, int bits,
				const pg_uuid_t *keys, int64 n)
{
	KeyPlace   *places = palloc_extended(n * sizeof(KeyPlace),
										 MCXT_ALLOC_HUGE);
	int64		n_buckets = INT64CONST(1) << bits;
	int32	   *next;

	memset(buckets, 0, (n_buckets + 1) * sizeof(int32));
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		buckets[lbrec_key_bucket(lbrec_key_head(&keys[i]), bits) + 1]++;
	}
	for (int64 b = 0; b < n_buckets; b++)
		buckets[b + 1] += buckets[b];
	next = palloc_extended(n_buckets * sizeof(int32), MCXT_ALLOC_HUGE);
	memcpy(next, buckets, n_buckets * sizeof(int32));
	for (int64 i = 0; i < n; i++)
	{
		uint64		head = lbrec_key_head(&keys[i]);
		KeyPlace   *place = &places[next[lbrec_key_bucket(head, bits)]++];

		CHECK_FOR_INTERRUPTS();
		place->head = head;
		place->candidate = (int32) i;
	}
	for (int64 b = 0; b < n_buckets; b++)
	{
		CHECK_FOR_INTERRUPTS();
		if (buckets[b + 1] - buckets[b] > 1)
			qsort_arg(places + buckets[b], buckets[b + 1] - buckets[b],
					  sizeof(KeyPlace), compare_places,
					  unconstify(pg_uuid_t *, keys));
	}
	for (int64 i = 0; i < n; i++)
	{
		order[i] = places[i].candidate;
		heads[i] = places[i].head;
	}
	pfree(places);
	pfree(next);
}

void
lbrec_plan_keys(ImageBuilder *b)
{
	ImageHeader *h = b->header;
	int64		n = h->row.n_recordings;

	h->user_codes = lbrec_reserve_part(b, h->row.n_users * sizeof(int32));
	h->recording_order = lbrec_reserve_part(b, n * sizeof(int32));
	h->recording_heads = lbrec_reserve_part(b, n * sizeof(uint64));
	h->bucket_bits = 0;
	while (n >> h->bucket_bits > BUCKET_SIZE)
		h->bucket_bits++;
	h->recording_buckets =
		lbrec_reserve_part(b, ((INT64CONST(1) << h->bucket_bits) + 1) *
						   sizeof(int32));
}

void
lbrec_make_keys(ImageBuilder *b, ServingModel *serving)
{
	int64		n = serving->tower.n_recordings;
	const int32 *order = serving->recording_order;
	const pg_uuid_t *keys = serving->tower.recording_keys;

	sort_users(b, unconstify(int64 *, serving->tower.user_keys),
			   unconstify(int32 *, serving->user_codes),
			   serving->tower.n_users);
	sort_recordings(unconstify(int32 *, order),
					unconstify(uint64 *, serving->recording_heads),
					unconstify(int32 *, serving->recording_buckets),
					b->header->bucket_bits, keys, n);
	for (int64 i = 1; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (serving->recording_heads[i] == serving->recording_heads[i - 1] &&
			memcmp(&keys[order[i]], &keys[order[i - 1]], UUID_LEN) == 0)
			lbrec_bad_array(b->loaded.row, "recording_key", TWO_ALIKE);
	}
}
