/*
 * cv_seen.c
 *		Remembers recordings already written: a set of UUIDs of fixed size.
 *
 * Today's dump has over 111 million recordings: an exact set would take 2.8
 * GB.  Few recordings get most of the listens, so a small set catches most
 * repeats.  It is an open-addressing table with linear probing that searches
 * WINDOW slots only.  The set is exact as long as each window has a free slot,
 * up to about a million recordings.  After that a new UUID takes the place of
 * another; a forgotten recording is written again, and the database merges it.
 *
 * We tried buckets of four slots: they forget from 100,000 recordings on.
 */
#include "cv_seen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS ((size_t) 1 << 21)
#define WINDOW 64
#define SLOT_BYTES (SLOTS * sizeof(CvUuid)) /* 32 MiB */

struct CvSeen
{
	CvUuid	   *slot;			/* all zero: free */
	bool	   *rich;			/* that row had identifiers */
	bool		zero_seen;		/* zeros were added: zeros mark a free slot */
	bool		zero_rich;
	bool		forgot;
};

CvSeen *
cv_seen_create(void)
{
	CvSeen	   *seen = cv_alloc(sizeof(*seen));

	memset(seen, 0, sizeof(*seen));

	/*
	 * The kernel zeroes these pages, and untouched pages cost nothing.  Each
	 * look-up is random, so huge pages help: with 4 kB pages the whole
	 * program was a tenth slower.
	 */
	seen->slot = mmap(NULL, SLOT_BYTES, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	seen->rich = calloc(SLOTS, sizeof(bool));
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
	size_t		at;

	memcpy(half, uuid, sizeof(half));
	if (half[0] == 0 && half[1] == 0)
	{
		bool		known = seen->zero_seen && (seen->zero_rich || !rich);

		seen->zero_seen = true;
		seen->zero_rich = seen->zero_rich || rich;
		return known;
	}

	/*
	 * Some clients' UUIDs are not random, so mix the bits (a round of
	 * splitmix64).
	 */
	hash = half[0] ^ (half[1] * UINT64_C(0x9e3779b97f4a7c15));
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash ^= hash >> 27;
	for (int i = 0; i < WINDOW; i++)
	{
		at = (hash + (size_t) i) % SLOTS;
		if (memcmp(&seen->slot[at], uuid, sizeof(*uuid)) == 0)
		{
			bool		known = seen->rich[at] || !rich;

			seen->rich[at] = seen->rich[at] || rich;
			return known;
		}
		/* Slots are never freed, so the search can end at a free one. */
		if (memcmp(&seen->slot[at], &zero, sizeof(zero)) == 0)
		{
			seen->slot[at] = *uuid;
			seen->rich[at] = rich;
			return false;
		}
	}
	/* Replaces a slot of the window that other bits of the hash choose. */
	at = (hash + (hash >> 58) % WINDOW) % SLOTS;
	seen->slot[at] = *uuid;
	seen->rich[at] = rich;
	seen->forgot = true;
	return false;
}
