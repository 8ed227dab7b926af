/*
 * md.h
 *		Shared by the files of the dump generator.
 *
 * make_dump writes a ListenBrainz listens dump of invented listens, for tests,
 * demonstrations and measurements.  The files, in the order of a listen's way:
 *
 *	md_names	invented names of artists, releases, tracks and users
 *	md_world	artists with catalogues, users with tastes
 *	md_play		what they play, and when
 *	md_lines	a listen as a line of JSON, and the lines that are damaged
 *	make_dump	options, the archive, the report
 *
 * The rule: the same options give the same bytes.  So every random number
 * comes from an MdRng seeded from --seed, and no order may depend on
 * addresses, time or threads.
 */
#ifndef MD_H
#define MD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MD_GENRES 32

/* A user has this many genres; the weights are in md_world.c. */
#define MD_TASTES 4

typedef enum MdFormat
{
	MD_2022,					/* ASCII, \/ and \uXXXX, track_name last */
	MD_CURRENT					/* raw UTF-8 */
} MdFormat;

typedef struct MdOptions
{
	uint64_t	seed;
	int64_t		listens;
	int64_t		recordings;
	int64_t		artists;
	int64_t		users;
	int64_t		bad_clocks;		/* listens in January 1970 */
	int			start;			/* year * 12 + month - 1 */
	int			months;
	int64_t		malformed;		/* percent of the usual numbers */
	MdFormat	format;
} MdOptions;

/* Text that is escaped for JSON already, in the world's arena. */
typedef struct MdText
{
	uint32_t	at;
	uint16_t	len;
} MdText;

typedef struct MdArtist
{
	MdText		name;
	int32_t		genre;
	int32_t		first;			/* its recordings are first .. next's first */
	bool		known;			/* MusicBrainz has it */
} MdArtist;

typedef struct MdRecording
{
	MdText		track;
	MdText		release;
	int32_t		artist;
	int32_t		release_first;	/* first recording of its release */
} MdRecording;

/* Faults of a user's clock. */
typedef enum MdClock
{
	MD_CLOCK_RESETS,			/* starts at 0 each time it is switched on */
	MD_CLOCK_1970,				/* started at 0 once and runs on */
	MD_CLOCK_RIGHT
} MdClock;

typedef struct MdUser
{
	int64_t		user_id;
	MdText		name;
	MdClock		clock;
	int32_t		listens;
	int32_t		joined;			/* months after the start */
	int32_t		genre[MD_TASTES];
	uint8_t		client;			/* which program sends its listens */
	bool		tagged;			/* its files carry MusicBrainz identifiers */
} MdUser;

typedef struct MdListen
{
	int64_t		time;
	int32_t		user;
	int32_t		recording;
} MdListen;

typedef struct MdWorld
{
	char	   *arena;
	size_t		arena_len;
	size_t		arena_cap;
	MdArtist   *artists;		/* one more than there are: the end */
	MdRecording *recordings;
	MdUser	   *users;
	MdListen   *listens;		/* by month, then time */
} MdWorld;

/* Users or artists of a genre, with running sums of their weights. */
typedef struct MdGroup
{
	int32_t    *member;
	double	   *sum;
	int64_t		n;
} MdGroup;

/* The recordings that a user plays for sure: start[u] .. start[u + 1]. */
typedef struct MdOwned
{
	int64_t    *start;
	int32_t    *recording;
} MdOwned;

/* Stream of the first user's random numbers; each user has one. */
#define MD_FIRST_USER 5

/* xorshift64*, seeded through splitmix64: small, fast, good enough here. */
typedef struct MdRng
{
	uint64_t	state;
} MdRng;

static inline uint64_t
md_hash(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline MdRng
md_rng(uint64_t seed, uint64_t stream)
{
	MdRng		rng = {md_hash(md_hash(seed) ^ stream) | 1};

	return rng;
}

static inline uint64_t
md_next(MdRng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* In [0, 1). */
static inline double
md_real(MdRng *rng)
{
	return (double) (md_next(rng) >> 11) / (double) (UINT64_C(1) << 53);
}

/* In 0 .. n - 1. */
static inline int64_t
md_below(MdRng *rng, int64_t n)
{
	return (int64_t) (((unsigned __int128) md_next(rng) * (uint64_t) n) >> 64);
}

static inline bool
md_chance(MdRng *rng, double p)
{
	return md_real(rng) < p;
}

/* make_dump.c */
extern void *md_alloc(size_t n, size_t size);
extern void md_fail(const char *format,...)
	__attribute__((format(printf, 1, 2), noreturn));

/* md_names.c */
extern MdText md_artist_name(MdWorld *world, MdFormat format, MdRng *rng,
							 int genre);
extern MdText md_release_name(MdWorld *world, MdFormat format, MdRng *rng,
							  int genre);
extern MdText md_track_name(MdWorld *world, MdFormat format, MdRng *rng,
							int genre);
extern MdText md_user_name(MdWorld *world, MdFormat format, MdRng *rng);

/* md_world.c */
extern void md_world_make(MdWorld *world, const MdOptions *options);
extern int64_t md_pick(const MdGroup *group, MdRng *rng);

/* md_play.c */
extern void md_play(MdWorld *world, const MdOptions *options,
					const MdGroup *by_genre, const MdOwned *owned);
extern int	md_month_of(int64_t time);
extern int64_t md_month_start(int month);

/* md_lines.c */
typedef enum MdDamage
{
	MD_WHOLE = 0,
	MD_USER_MISSING,
	MD_USER_NULL,
	MD_TIME_NULL,
	MD_TIME_NAN,
	MD_MSID_MISSING,
	MD_MSID_GARBAGE,
	MD_ARTIST_EMPTY,
	MD_ARTIST_LIST,
	MD_TRACK_MISSING,
	MD_TRACK_EMPTY,
	MD_SURROGATE,
	MD_NOT_UTF8,
	MD_CUT_OFF,
	MD_BLANK,
	MD_TWICE,
	MD_DAMAGES
} MdDamage;

typedef struct MdDamageKind
{
	const char *name;
	const char *reason;			/* lbrec-convert's; NULL: not rejected */
	int			count;
} MdDamageKind;

extern const MdDamageKind md_damage_kinds[MD_DAMAGES];

/* No line is longer. */
#define MD_LINE_MAX 16384

extern char *md_line(char *p, const MdWorld *world, const MdOptions *options,
					 const MdListen *listen, MdDamage damage);

/* Does the track's name hold a NUL, which PostgreSQL's text cannot? */
extern bool md_has_nul(const MdWorld *world, const MdListen *listen);

#endif							/* MD_H */
