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
 * No listen has the same user, time and recording as another: that is
 * ListenBrainz's identity of a listen, unique on its server.
 */
#include "md.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)

/* Tracks to a session: geometric with this mean, cut at the second. */
#define SESSION_MEAN 12
#define SESSION_MAX 60

/* Of the listens in 1970, those of clocks that start at 0 again and again. */
#define RESETS_SHARE 0.088
#define RESETS_PER_USER 1600

/* Streams of random numbers; a user's is FIRST_USER + its number. */
enum
{
	STREAM_ARTISTS = 1, STREAM_RECORDINGS, STREAM_USERS, STREAM_OWNERS,
	STREAM_FIRST_USER
};

static const double taste_weight[MD_TASTES] = {0.6, 0.25, 0.1, 0.05};

/* Users or artists of a genre, with running sums of their weights. */
typedef struct Group
{
	int32_t    *member;
	double	   *sum;
	int64_t		n;
} Group;

/* The recordings that a user plays for sure: start[u] .. start[u + 1]. */
typedef struct Owned
{
	int64_t    *start;
	int32_t    *recording;
} Owned;

/* Days since 1970 of the first of a month (Hinnant's days_from_civil). */
int64_t
md_month_start(int month)
{
	int64_t		year = month / 12;
	int			m = month % 12 + 1;
	int64_t		era,
				of_era,
				of_year;

	year -= m <= 2;
	era = year / 400;
	of_era = year - era * 400;
	of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5;
	return (era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
			of_year - 719468) * DAY;
}

/* Only called for times that are near each other: a step or none, mostly. */
int
md_month_of(int64_t time)
{
	int			month = (int) (1970 * 12 + time / (30 * DAY + 10 * HOUR));

	while (md_month_start(month) > time)
		month--;
	while (md_month_start(month + 1) <= time)
		month++;
	return month;
}

static double
gauss(MdRng *rng)
{
	double		r = sqrt(-2 * log(1 - md_real(rng)));

	return r * cos(6.283185307179586 * md_real(rng));
}

/*
 * Cuts total into n parts of at least one, the i-th near weight[i]'s share.
 * Destroys weight.
 */
static void
share_out(int32_t *part, double *weight, int64_t n, int64_t total)
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

static int64_t
pick_by_sum(const Group *group, MdRng *rng)
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
	Group		group = {NULL, sum, MD_GENRES};

	if (sum[0] == 0)
		for (int g = 0; g < MD_GENRES; g++)
			sum[g] = (g > 0 ? sum[g - 1] : 0) + 1 / (double) (g + 2);
	return (int) pick_by_sum(&group, rng);
}

static void
group_add(Group *group, int32_t member, double weight)
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
groups_free(Group *groups)
{
	for (int g = 0; g < MD_GENRES; g++)
	{
		free(groups[g].member);
		free(groups[g].sum);
	}
}

static void
make_artists(MdWorld *world, const MdOptions *options, Group *by_genre)
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
make_owners(const MdWorld *world, const MdOptions *options, Owned *owned)
{
	MdRng		rng = md_rng(options->seed, STREAM_OWNERS);
	int64_t		n_users = options->users;
	int32_t		n = (int32_t) options->recordings;
	Group		fans[MD_GENRES] = {0};
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
		const Group *group =
			&fans[world->artists[world->recordings[first].artist].genre];
		int32_t		end = first + 1;
		int64_t		u = -1;

		while (end < n && world->recordings[end].release_first == first)
			end++;
		for (int tries = 0; tries < 20 && group->n > 0; tries++)
		{
			u = group->member[pick_by_sum(group, &rng)];
			if (room[u] >= end - first)
				break;
			u = -1;
		}
		for (int32_t r = first; r < end; r++)
		{
			/* Nobody who fits: whoever has room, in turn. */
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

static int64_t
session_start(const MdUser *user, const MdOptions *options, MdRng *rng)
{
	/* Listens of an hour of the day, in thousands. */
	static const int by_hour[24] = {
		25, 15, 9, 6, 5, 6, 11, 22, 36, 45, 49, 50,
		49, 51, 54, 56, 57, 60, 62, 64, 66, 64, 54, 38
	};
	int64_t		from,
				until,
				time,
				hour;

	if (user->clock == MD_CLOCK_RESETS)
		return (int64_t) (-90 * log(1 - md_real(rng)));
	from = user->clock == MD_CLOCK_1970 ? 0 :
		md_month_start(options->start + user->joined);
	until = user->clock == MD_CLOCK_1970 ? 31 * DAY :
		md_month_start(options->start + options->months);
	time = from + md_below(rng, until - from);
	if (user->clock == MD_CLOCK_RIGHT)
	{
		do
			hour = md_below(rng, 24);
		while (md_below(rng, 66) >= by_hour[hour]);
		time += hour * HOUR - time % DAY + md_below(rng, HOUR);
	}
	/* The longest session must end within the month. */
	return time > until - 8 * HOUR ? time - 8 * HOUR : time;
}

static int
compare_times(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

static int
compare_same(const void *a, const void *b)
{
	const MdListen *x = a;
	const MdListen *y = b;

	if (x->recording != y->recording)
		return x->recording < y->recording ? -1 : 1;
	return (x->time > y->time) - (x->time < y->time);
}

static int
compare_listens(const void *a, const void *b)
{
	const MdListen *x = a;
	const MdListen *y = b;
	uint64_t	i,
				j;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	/* Of one second, any order but that of users: so a hash's. */
	i = md_hash((uint64_t) x->user << 32 | (uint32_t) x->recording);
	j = md_hash((uint64_t) y->user << 32 | (uint32_t) y->recording);
	return (i > j) - (i < j);
}

/* A recording by taste: of a followed artist mostly. */
static int32_t
pick_recording(const MdWorld *world, const Group *by_genre,
			   const int32_t *followed, int n_followed, int genre, MdRng *rng)
{
	const MdArtist *artist;
	double		x = md_real(rng);
	int			i;

	if (by_genre[genre].n == 0 || md_chance(rng, 0.85))
	{
		i = (int) (n_followed * x * x);
		x = md_real(rng);
		artist = &world->artists[followed[i]];
	}
	else
	{
		i = (int) pick_by_sum(&by_genre[genre], rng);
		artist = &world->artists[by_genre[genre].member[i]];
	}
	return artist->first +
		(int32_t) ((artist[1].first - artist->first) * x * x * x);
}

/* One user's listens, written to out. */
static void
play(const MdWorld *world, const MdOptions *options, const Group *by_genre,
	 int32_t u, const int32_t *owned, int64_t n_owned, MdListen *out)
{
	MdRng		rng = md_rng(options->seed, STREAM_FIRST_USER + (uint64_t) u);
	const MdUser *user = &world->users[u];
	double		sums[MD_TASTES] = {0.6, 0.85, 0.95, 1};
	Group		tastes = {NULL, sums, MD_TASTES};
	int			n = user->listens;
	int			n_followed = 4 + (int) sqrt((double) n);
	double		replays = user->clock == MD_CLOCK_RESETS
		? 0.55 + 0.25 * md_real(&rng)
		: 0.35 + 0.45 * md_real(&rng);
	int64_t    *starts = md_alloc((size_t) n, sizeof(int64_t));
	int		   *sizes = md_alloc((size_t) n, sizeof(int));
	int32_t    *followed = md_alloc((size_t) n_followed, sizeof(int32_t));
	int			sessions = 0;
	int			done = 0;

	for (int i = 0; i < n_followed; i++)
	{
		const Group *group =
			&by_genre[user->genre[pick_by_sum(&tastes, &rng)]];

		followed[i] = group->n > 0
			? group->member[pick_by_sum(group, &rng)]
			: (int32_t) md_below(&rng, options->artists);
	}
	while (done < n)
	{
		int			size = 1;

		while (size < SESSION_MAX && md_chance(&rng, 1 - 1.0 / SESSION_MEAN))
			size++;
		sizes[sessions] = size < n - done ? size : n - done;
		starts[sessions] = session_start(user, options, &rng);
		done += sizes[sessions++];
	}
	qsort(starts, (size_t) sessions, sizeof(int64_t), compare_times);

	done = 0;
	for (int s = 0; s < sessions; s++)
	{
		int			genre = user->genre[pick_by_sum(&tastes, &rng)];
		int64_t		time = starts[s];
		bool		stuck = user->clock == MD_CLOCK_RESETS &&
			md_chance(&rng, 0.3);

		if (stuck)
			time = 0;
		for (int i = 0; i < sizes[s]; i++, done++)
		{
			int			left = n - done;
			double		news = left * (1 - replays);
			int32_t		recording;

			if (n_owned < left && done > 0 && md_chance(&rng, replays))
			{
				int			back = done > 200 && md_chance(&rng, 0.5)
					? 200 : done;

				recording = out[done - 1 - md_below(&rng, back)].recording;
			}
			else if (n_owned >= left ||
					 (n_owned > 0 && md_chance(&rng, (double) n_owned / news)))
			{
				recording = *owned++;
				n_owned--;
			}
			else
				recording = pick_recording(world, by_genre, followed,
										   n_followed, genre, &rng);
			out[done].time = time;
			out[done].user = u;
			out[done].recording = recording;
			if (!stuck)
				time += 120 + md_below(&rng, 240);
		}
	}

	/* The same again in the same second: a second later, then. */
	qsort(out, (size_t) n, sizeof(MdListen), compare_same);
	for (int i = 1; i < n; i++)
		if (out[i].recording == out[i - 1].recording &&
			out[i].time <= out[i - 1].time)
			out[i].time = out[i - 1].time + 1;
	free(starts);
	free(sizes);
	free(followed);
}

void
md_world_make(MdWorld *world, const MdOptions *options)
{
	Group		by_genre[MD_GENRES] = {0};
	Owned		owned;
	int64_t		done = 0;

	make_artists(world, options, by_genre);
	make_recordings(world, options);
	make_users(world, options);
	make_owners(world, options, &owned);
	world->listens = md_alloc((size_t) options->listens, sizeof(MdListen));
	for (int32_t u = 0; u < options->users; u++)
	{
		play(world, options, by_genre, u, owned.recording + owned.start[u],
			 owned.start[u + 1] - owned.start[u], world->listens + done);
		done += world->users[u].listens;
	}
	qsort(world->listens, (size_t) done, sizeof(MdListen), compare_listens);
	groups_free(by_genre);
	free(owned.start);
	free(owned.recording);
}
