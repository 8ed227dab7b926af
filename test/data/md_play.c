/*
 * md_play.c
 *		The users' plays and their times.
 *
 * A user's listens are cut into sessions.  Each choice is a replay, a recording
 * of a release that only this user is sure to play, or a new one by taste; see
 * md_world.c for the reasons.
 *
 * No listen has the same user, time and recording as another: that is
 * ListenBrainz's identity of a listen, unique on its server.
 */
#include "md.h"

#include <math.h>
#include <stdlib.h>

#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)

/* Tracks to a session: geometric with this mean, cut at the second. */
#define SESSION_MEAN 12
#define SESSION_MAX 60

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
pick_recording(const MdWorld *world, const MdGroup *by_genre,
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
		i = (int) md_pick(&by_genre[genre], rng);
		artist = &world->artists[by_genre[genre].member[i]];
	}
	return artist->first +
		(int32_t) ((artist[1].first - artist->first) * x * x * x);
}

/* One user's listens, written to out. */
static void
play(const MdWorld *world, const MdOptions *options, const MdGroup *by_genre,
	 int32_t u, const int32_t *owned, int64_t n_owned, MdListen *out)
{
	MdRng		rng = md_rng(options->seed, MD_FIRST_USER + (uint64_t) u);
	const MdUser *user = &world->users[u];
	double		sums[MD_TASTES] = {0.6, 0.85, 0.95, 1};
	MdGroup		tastes = {NULL, sums, MD_TASTES};
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
		const MdGroup *group =
			&by_genre[user->genre[md_pick(&tastes, &rng)]];

		followed[i] = group->n > 0
			? group->member[md_pick(group, &rng)]
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
		int			genre = user->genre[md_pick(&tastes, &rng)];
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
md_play(MdWorld *world, const MdOptions *options, const MdGroup *by_genre,
		const MdOwned *owned)
{
	int64_t		done = 0;

	world->listens = md_alloc((size_t) options->listens, sizeof(MdListen));
	for (int32_t u = 0; u < options->users; u++)
	{
		play(world, options, by_genre, u, owned->recording + owned->start[u],
			 owned->start[u + 1] - owned->start[u], world->listens + done);
		done += world->users[u].listens;
	}
	qsort(world->listens, (size_t) done, sizeof(MdListen), compare_listens);
}
