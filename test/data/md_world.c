/*
 * md_world.c
 *		Artists with catalogues, users with tastes, and what they play.
 *
 * The structure that a model can learn, and that real listens have:
 *
 * - An artist belongs to a genre.  Within it popularity follows Zipf's law, as
 *	 the recordings of an artist do.
 * - A user likes four genres unequally and follows some artists of them, more
 *	 if they listen more.  A new choice is mostly of a followed artist.
 * - Most choices are not new: people replay what they have played.  Half of
 *	 the replays draw from all earlier plays, so favourites grow (Simon 1955:
 *	 this gives the long-tailed play counts), half from the last weeks.
 * - Each recording has one user of a fitting taste who plays it for sure, a
 *	 release at a time: so the number of distinct recordings is exact, and half
 *	 of them are played by one or two users, as in real dumps.
 * - The players whose clock starts at 0 each time are small and old: their
 *	 users replay more, and nothing rare is on them.  The preprint trained on
 *	 these alone, the first 90,000 lines.
 *
 * md_play.c does the replaying and choosing.
 */
#include "md.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the listens in 1970, those of clocks that start at 0 again and again. */
#define RESETS_SHARE 0.088
#define RESETS_PER_USER 1600

/* Streams of random numbers, below MD_FIRST_USER. */
enum
{
	STREAM_ARTISTS = 1, STREAM_RECORDINGS, STREAM_USERS, STREAM_OWNERS
};

static const double taste_weight[MD_TASTES] = {0.6, 0.25, 0.1, 0.05};

static double
gauss(MdRng *rng)
{
	double		r = sqrt(-2 * log(1 - md_real(rng)));

	return r * cos(6.283185307179586 * md_real(rng));
}

/* Cuts total into n parts of at least one, the i-th near weight[i]'s share. */
static void
share_out(int32_t *part, const double *weight, int64_t n, int64_t total)
{
	double		sum = 0;
	double		seen = 0;
	int64_t		given = 0;

	for (int64_t i = 0; i < n; i++)
		sum += weight[i];
	for (int64_t i = 0; i < n; i++)
	{
		int64_t		until;

		seen += weight[i];
		until = (int64_t) ((double) (total - n) * (seen / sum));
		if (i == n - 1 || until > total - n)
			until = total - n;
		part[i] = (int32_t) (1 + until - given);
		given = until;
	}
}

int64_t
md_pick(const MdGroup *group, MdRng *rng)
{
	double		x = md_real(rng) * group->sum[group->n - 1];
	int64_t		low = 0;
	int64_t		high = group->n - 1;

	while (low < high)
	{
		int64_t		middle = (low + high) / 2;

		if (group->sum[middle] > x)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int
pick_genre(MdRng *rng)
{
	/* Zipf's law again: the first genre has 13%, the last 1%. */
	static double sum[MD_GENRES];
	MdGroup		group = {NULL, sum, MD_GENRES};

	if (sum[0] == 0)
		for (int g = 0; g < MD_GENRES; g++)
			sum[g] = (g > 0 ? sum[g - 1] : 0) + 1 / (double) (g + 2);
	return (int) md_pick(&group, rng);
}

static void
group_add(MdGroup *group, int32_t member, double weight)
{
	double		before = group->n > 0 ? group->sum[group->n - 1] : 0;

	if ((group->n & (group->n - 1)) == 0)
	{
		size_t		room = group->n > 0 ? 2 * (size_t) group->n : 1;

		group->member = realloc(group->member, room * sizeof(int32_t));
		group->sum = realloc(group->sum, room * sizeof(double));
		if (group->member == NULL || group->sum == NULL)
			md_fail("out of memory");
	}
	group->member[group->n] = member;
	group->sum[group->n] = before + weight;
	group->n++;
}

static void
groups_free(MdGroup *groups)
{
	for (int g = 0; g < MD_GENRES; g++)
	{
		free(groups[g].member);
		free(groups[g].sum);
	}
}

static void
make_artists(MdWorld *world, const MdOptions *options, MdGroup *by_genre)
{
	MdRng		rng = md_rng(options->seed, STREAM_ARTISTS);
	int64_t		n = options->artists;
	double	   *weight = md_alloc((size_t) n, sizeof(double));
	int32_t    *size = md_alloc((size_t) n, sizeof(int32_t));

	world->artists = md_alloc((size_t) n + 1, sizeof(MdArtist));
	for (int64_t a = 0; a < n; a++)
		weight[a] = pow((double) a + 5, -0.3) * exp(0.8 * gauss(&rng));
	share_out(size, weight, n, options->recordings);
	for (int64_t a = 0; a < n; a++)
	{
		MdArtist   *artist = &world->artists[a];

		artist->genre = pick_genre(&rng);
		artist->name = md_artist_name(world, options->format, &rng,
									  artist->genre);
		artist->known = md_chance(&rng, 0.6);
		artist[1].first = artist->first + size[a];
		group_add(&by_genre[artist->genre], (int32_t) a,
				  pow((double) a + 5, -0.9));
	}
	free(weight);
	free(size);
}

static void
make_recordings(MdWorld *world, const MdOptions *options)
{
	MdRng		rng = md_rng(options->seed, STREAM_RECORDINGS);

	world->recordings = md_alloc((size_t) options->recordings,
								 sizeof(MdRecording));
	for (int64_t a = 0; a < options->artists; a++)
	{
		const MdArtist *artist = &world->artists[a];
		MdText		release = {0, 0};
		int32_t		release_first = 0;
		int			left = 0;

		for (int32_t r = artist->first; r < artist[1].first; r++, left--)
		{
			MdRecording *recording = &world->recordings[r];

			if (left == 0)
			{
				left = md_chance(&rng, 0.2) ? 1 : 7 + (int) md_below(&rng, 8);
				release = md_release_name(world, options->format, &rng,
										  artist->genre);
				release_first = r;
			}
			recording->artist = (int32_t) a;
			recording->release = release;
			recording->release_first = release_first;
			recording->track = md_track_name(world, options->format, &rng,
											 artist->genre);
		}
	}
}

/* Users of one kind of clock, who share out the given listens. */
static void
make_users_of(MdWorld *world, const MdOptions *options, MdClock clock,
			  int64_t first, int64_t n, int64_t listens, MdRng *rng)
{
	double	   *weight = md_alloc((size_t) n, sizeof(double));
	int32_t    *size = md_alloc((size_t) n, sizeof(int32_t));
	double		spread = clock == MD_CLOCK_RESETS ? 0.4 : 1.1;

	for (int64_t i = 0; i < n; i++)
		weight[i] = exp(spread * gauss(rng));
	share_out(size, weight, n, listens);
	for (int64_t i = 0; i < n; i++)
	{
		MdUser	   *user = &world->users[first + i];

		user->clock = clock;
		user->listens = size[i];
		user->name = md_user_name(world, options->format, rng);
		/* Most are there early: fewer listens each month would be odd. */
		user->joined = (int32_t) (pow(md_real(rng), 2.5) *
								  options->months);
		for (int t = 0; t < MD_TASTES; t++)
			user->genre[t] = pick_genre(rng);
		user->client = (uint8_t) md_below(rng, 8);
		user->tagged = md_chance(rng, 0.1);
	}
	free(weight);
	free(size);
}

typedef struct Arrival
{
	double		when;
	int32_t		user;
} Arrival;

static int
compare_arrivals(const void *a, const void *b)
{
	const Arrival *x = a;
	const Arrival *y = b;

	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	return x->user < y->user ? -1 : 1;
}

static void
make_users(MdWorld *world, const MdOptions *options)
{
	MdRng		rng = md_rng(options->seed, STREAM_USERS);
	int64_t		n = options->users;
	int64_t		bad = options->bad_clocks;
	int64_t		good = options->listens - bad;
	int64_t		resets = (int64_t) ((double) bad * RESETS_SHARE);
	int64_t		n_resets = resets > 0 ? 1 + resets / RESETS_PER_USER : 0;
	int64_t		n_1970;
	Arrival    *arrivals = md_alloc((size_t) n, sizeof(Arrival));
	int64_t		id = 0;

	/* Each clock that has listens needs a user, and a user a listen. */
	if (n_resets > n - 2)
	{
		n_resets = 0;
		resets = 0;
	}
	n_1970 = (int64_t) ((double) (n - n_resets) * (double) bad /
						(double) options->listens);
	if (bad > resets && n_1970 == 0)
		n_1970 = 1;
	if (good > 0 && n_resets + n_1970 == n)
		n_1970--;
	if (n_1970 == 0 && bad > resets)
		md_fail("two users at least are needed for --bad-clocks");

	world->users = md_alloc((size_t) n, sizeof(MdUser));
	if (n_resets > 0)
		make_users_of(world, options, MD_CLOCK_RESETS, 0, n_resets, resets,
					  &rng);
	if (n_1970 > 0)
		make_users_of(world, options, MD_CLOCK_1970, n_resets, n_1970,
					  bad - resets, &rng);
	if (n - n_resets - n_1970 > 0)
		make_users_of(world, options, MD_CLOCK_RIGHT, n_resets + n_1970,
					  n - n_resets - n_1970, good, &rng);

	/* Numbers grow with the day of arrival, with gaps as in real dumps. */
	for (int64_t u = 0; u < n; u++)
	{
		arrivals[u].user = (int32_t) u;
		arrivals[u].when = world->users[u].clock == MD_CLOCK_RIGHT
			? world->users[u].joined + md_real(&rng)
			: md_real(&rng) * options->months;
	}
	qsort(arrivals, (size_t) n, sizeof(Arrival), compare_arrivals);
	for (int64_t i = 0; i < n; i++)
	{
		id += 1 + md_below(&rng, 8);
		world->users[arrivals[i].user].user_id = id;
	}
	free(arrivals);
}

/*
 * Finds for each release a user of its genre who has room for it.  The room
 * is a part of the user's listens, so that everybody still has their own will.
 */
static void
make_owners(const MdWorld *world, const MdOptions *options, MdOwned *owned)
{
	MdRng		rng = md_rng(options->seed, STREAM_OWNERS);
	int64_t		n_users = options->users;
	int32_t		n = (int32_t) options->recordings;
	MdGroup		fans[MD_GENRES] = {0};
	int32_t    *room = md_alloc((size_t) n_users, sizeof(int32_t));
	int32_t    *owner = md_alloc((size_t) n, sizeof(int32_t));
	int32_t    *order = md_alloc((size_t) n, sizeof(int32_t));
	int64_t    *fill = md_alloc((size_t) n_users, sizeof(int64_t));
	int64_t		others = 0;
	double		part;
	int32_t		releases = 0;
	int64_t		any = 0;

	for (int32_t u = 0; u < n_users; u++)
		if (world->users[u].clock != MD_CLOCK_RESETS)
			others += world->users[u].listens;
	part = others > 0 ? 1.6 * (double) n / (double) others : 1;
	for (int32_t u = 0; u < n_users; u++)
	{
		const MdUser *user = &world->users[u];

		if (part >= 1)
			room[u] = user->listens;
		else if (user->clock != MD_CLOCK_RESETS)
			room[u] = (int32_t) ceil(user->listens * part);
		for (int t = 0; t < MD_TASTES; t++)
			group_add(&fans[user->genre[t]], u,
					  user->listens * taste_weight[t]);
	}
	for (int32_t r = 0; r < n; r++)
		if (world->recordings[r].release_first == r)
			order[releases++] = r;
	for (int32_t i = releases - 1; i > 0; i--)
	{
		int32_t		j = (int32_t) md_below(&rng, i + 1);
		int32_t		r = order[i];

		order[i] = order[j];
		order[j] = r;
	}
	for (int32_t i = 0; i < releases; i++)
	{
		int32_t		first = order[i];
		const MdGroup *group =
			&fans[world->artists[world->recordings[first].artist].genre];
		int32_t		end = first + 1;
		int64_t		u = -1;

		while (end < n && world->recordings[end].release_first == first)
			end++;
		for (int tries = 0; tries < 20 && group->n > 0; tries++)
		{
			u = group->member[md_pick(group, &rng)];
			if (room[u] >= end - first)
				break;
			u = -1;
		}
		for (int32_t r = first; r < end; r++)
		{
			/* Nobody fits: take users with room, in turn. */
			while (u < 0 || room[u] == 0)
				u = any++ % n_users;
			room[u]--;
			owner[r] = (int32_t) u;
		}
	}

	owned->start = md_alloc((size_t) n_users + 1, sizeof(int64_t));
	owned->recording = md_alloc((size_t) n, sizeof(int32_t));
	for (int32_t r = 0; r < n; r++)
		owned->start[owner[r] + 1]++;
	for (int64_t u = 0; u < n_users; u++)
		owned->start[u + 1] += owned->start[u];
	memcpy(fill, owned->start, (size_t) n_users * sizeof(int64_t));
	for (int32_t i = 0; i < releases; i++)
		for (int32_t r = order[i];
			 r < n && world->recordings[r].release_first == order[i]; r++)
			owned->recording[fill[owner[r]]++] = r;
	groups_free(fans);
	free(room);
	free(owner);
	free(order);
	free(fill);
}

void
md_world_make(MdWorld *world, const MdOptions *options)
{
	MdGroup		by_genre[MD_GENRES] = {0};
	MdOwned		owned;

	make_artists(world, options, by_genre);
	make_recordings(world, options);
	make_users(world, options);
	make_owners(world, options, &owned);
	md_play(world, options, by_genre, &owned);
	groups_free(by_genre);
	free(owned.start);
	free(owned.recording);
}
