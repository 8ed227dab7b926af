/*
 * fuzz_seen.c
 *		cv_seen for the fuzzers: a short list in place of 34 MB of tables, which
 *		would be most of a run's time.
 *
 * Bytes beyond its end count as forgotten.
 */
#include "fuzz.h"
#include "cv_seen.h"

#include <string.h>

#define ROOM 1024

struct CvSeen
{
	CvUuid		uuid[ROOM];
	bool		rich[ROOM];
	int			n;
	bool		forgot;
};

CvSeen *
cv_seen_create(void)
{
	CvSeen	   *seen = cv_alloc(sizeof(*seen));

	seen->n = 0;
	seen->forgot = false;
	return seen;
}

void
cv_seen_free(CvSeen *seen)
{
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
	for (int i = 0; i < seen->n; i++)
	{
		bool		known = seen->rich[i] || !rich;

		if (memcmp(&seen->uuid[i], uuid, sizeof(*uuid)) != 0)
			continue;
		seen->rich[i] = seen->rich[i] || rich;
		return known;
	}
	if (seen->n == ROOM)
		seen->forgot = true;
	else
	{
		seen->uuid[seen->n] = *uuid;
		seen->rich[seen->n++] = rich;
	}
	return false;
}
