/*
 * cv_seen.c
 *		Which recordings were written already: a set of UUIDs of fixed size.
 *
 * Today's dump has over 111 million recordings: an exact set would be 2.8 GB.
 * Listening is so uneven that a small memory saves most of the repeats: buckets
 * of four slots, where a new UUID takes a free slot or the oldest one's
 * place.  What is forgotten is written again, and the database merges it.
 * Up to about a million recordings nearly nothing is forgotten.
 */
#include "cv_seen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WAYS 4
#define BUCKETS ((size_t) 1 << 19)	
#define SLOT_BYTES (BUCKETS * WAYS * sizeof(CvUuid))	/* 32 MiB */

struct CvSeen
{
	CvUuid	   *slot;			/* BUCKETS * WAYS; all zero: free */
	uint8_t    *rich;			/* a bit per slot of the bucket */
	bool		zero_seen;		/* the UUID of zeros marks a free slot */
	bool		zero_rich;
	bool		forgot;
};

CvSeen *
cv_seen_create(void)
{
	CvSeen	   *seen = cv_alloc(sizeof(*seen));

	memset(seen, 0, sizeof(*seen));
	/*
	 * Zeroed by the kernel, and pages that are never touched cost nothing.
	 * Huge pages because each look-up is a random one: 4 kB pages made the
	 * whole program a tenth slower.
	 */
	seen->slot = mmap(NULL, SLOT_BYTES, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	seen->rich = calloc(BUCKETS, 1);
	if (seen->slot == MAP_FAILED || seen->rich == NULL)
	{
		cv_error("out of memory: could not remember recordings");
		exit(2);
	}
	madvise(seen->slot, SLOT_BYTES, MADV_HUGEPAGE);
	return seen;
}

void
cv_seen_free(CvSeen *seen)
{
	if (seen == NULL)
		return;
	munmap(seen->slot, SLOT_BYTES);
	free(seen->rich);
	free(seen);
}

bool
cv_seen_forgot(const CvSeen *seen)
{
	return seen->forgot;
}

bool
cv_seen_add(CvSeen *seen, const CvUuid *uuid, bool rich)
{
	static const CvUuid zero;
	uint64_t	half[2];
	uint64_t	hash;
	CvUuid	   *slot;
	uint8_t    *bits;

	memcpy(half, uuid, sizeof(half));
	if (half[0] == 0 && half[1] == 0)
	{
		bool		known = seen->zero_seen && (seen->zero_rich || !rich);

		seen->zero_seen = true;
		seen->zero_rich = seen->zero_rich || rich;
		return known;
	}

	/* Not every client's UUID is random: mix (a round of splitmix64). */
	hash = half[0] ^ (half[1] * UINT64_C(0x9e3779b97f4a7c15));
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash ^= hash >> 27;
	slot = seen->slot + (hash % BUCKETS) * WAYS;
	bits = seen->rich + hash % BUCKETS;
	for (int i = 0; i < WAYS; i++)
	{
		if (memcmp(&slot[i], uuid, sizeof(*uuid)) == 0)
		{
			bool		was_rich = (*bits >> i) & 1;

			if (rich)
				*bits |= (uint8_t) (1 << i);
			return was_rich || !rich;
		}
	}
	/* Newest first; the last of the bucket falls out. */
	if (memcmp(&slot[WAYS - 1], &zero, sizeof(zero)) != 0)
		seen->forgot = true;
	memmove(&slot[1], &slot[0], (WAYS - 1) * sizeof(*slot));
	slot[0] = *uuid;
	*bits = (uint8_t) (((*bits << 1) | rich) & ((1 << WAYS) - 1));
	return false;
}
