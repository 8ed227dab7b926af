/*
 * report_image.c
 *		The parts of a report that come from a model's image: the map of the
 *		most played recordings, the users whose lists it shows, and the
 *		popularity of recommended recordings.
 */
#include "pg/sql/report_image.h"

#include "lib/binaryheap.h"

#include "pg/model/candidates.h"

#include "core/score/lb_axes.h"

/* Limit of steps in the search for axes, and the turn at which it ends. */
#define MOST_STEPS 60
#define TURNED 1e-6

/* The order of the heap of the most played: the least played is on top. */
static int
compare_listens(Datum a, Datum b, void *arg)
{
	const int64 *listens = arg;
	int64		x = listens[DatumGetInt32(a)];
	int64		y = listens[DatumGetInt32(b)];

	if (x != y)
		return x < y ? 1 : -1;
	return DatumGetInt32(a) > DatumGetInt32(b) ? 1 : -1;
}

/* Finds the candidates with the most listens, sorted. */
static int
most_played(int32 *ids, const TwoTower *tower)
{
	const int64 *listens = tower->recording_listens;
	int			n = (int) Min(tower->n_recordings, MOST_POINTS);
	binaryheap *heap = binaryheap_allocate(n, compare_listens,
										   unconstify(int64 *, listens));

	for (int32 c = 0; c < tower->n_recordings; c++)
	{
		CHECK_FOR_INTERRUPTS();
		if (c < n)
			binaryheap_add(heap, Int32GetDatum(c));
		else if (listens[c] > listens[DatumGetInt32(binaryheap_first(heap))])
			binaryheap_replace_first(heap, Int32GetDatum(c));
	}
	for (int i = n - 1; i >= 0; i--)
		ids[i] = DatumGetInt32(binaryheap_remove_first(heap));
	binaryheap_free(heap);
	return n;
}

static void
draw_map(ReportImage *r, const ServingModel *serving)
{
	const TwoTower *tower = &serving->tower;
	int			D = serving->image->D;
	int32	   *ids = palloc(MOST_POINTS * sizeof(int32));
	float	   *x;
	LbAxes		axes;

	r->n_points = most_played(ids, tower);
	r->points = palloc(Max(r->n_points, 1) * sizeof(ReportPoint));
	x = palloc(Max(r->n_points, 1) * (Size) D * sizeof(float));
	for (int i = 0; i < r->n_points; i++)
		memcpy(x + (Size) i * D, lbrec_candidate_vector(serving, ids[i]),
			   D * sizeof(float));
	lb_axes_begin(&axes, x, r->n_points, D, palloc(lb_axes_bytes(D)));
	for (int step = 0; step < MOST_STEPS; step++)
	{
		CHECK_FOR_INTERRUPTS();
		if (lb_axes_step(&axes) < TURNED)
			break;
	}
	for (int i = 0; i < r->n_points; i++)
	{
		ReportPoint *p = &r->points[i];

		p->key = tower->recording_keys[ids[i]];
		p->listens = tower->recording_listens[ids[i]];
		lb_axes_place(p->place, &axes, x + (Size) i * D);
	}
	r->shares[0] = axes.shares[0];
	r->shares[1] = axes.shares[1];
	pfree(x);
}

static int
compare_users(const void *a, const void *b)
{
	const ReportUser *x = a;
	const ReportUser *y = b;

	if (x->recordings != y->recordings)
		return x->recordings < y->recordings ? -1 : 1;
	return x->key < y->key ? -1 : x->key > y->key;
}

/* Reads the recordings that a user has played, at most MOST_PLAYED. */
static void
add_played(ReportUser *user, const TwoTower *tower, int32 code)
{
	int64		from;

	user->recordings = Min(user->recordings, MOST_PLAYED);
	if (user->recordings == 0)
		return;
	from = tower->counted.history_offsets[code];
	user->played = palloc(user->recordings * sizeof(pg_uuid_t));
	for (int64 i = 0; i < user->recordings; i++)
		user->played[i] = tower->recording_keys[lbrec_candidate_with(tower->counted.history_codes[from + i])];
}

/* Selects users from the whole model, with few and with many plays. */
static void
choose_users(ReportImage *r, const ServingModel *serving)
{
	const TwoTower *tower = &serving->tower;
	const int64 *offsets = tower->counted.history_offsets;

	r->n_sample = (int) Min(tower->n_users, MOST_SAMPLED);
	r->sample = palloc(Max(r->n_sample, 1) * sizeof(ReportUser));
	for (int i = 0; i < r->n_sample; i++)
	{
		int64		place = i * tower->n_users / r->n_sample;
		int32		code = serving->user_codes[place];

		r->sample[i] = (ReportUser)
		{
			.key = tower->user_keys[place], .recordings = offsets ?
				offsets[code + 1] - offsets[code] : 0
		};
	}
	qsort(r->sample, r->n_sample, sizeof(ReportUser), compare_users);
	r->n_users = Min(r->n_sample, MAX_USERS_SHOWN);
	for (int i = 0; i < r->n_users; i++)
	{
		ReportUser *u = &r->users[i];

		*u = r->sample[r->n_users == 1 ? 0 :
					   i * (r->n_sample - 1) / (r->n_users - 1)];
		add_played(u, tower, lbrec_user_code(serving, u->key));
	}
}

/* Reads everything into context; the model may then be released. */
void
lbrec_report_image(ReportImage *r, const ServingModel *serving,
				   MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	draw_map(r, serving);
	choose_users(r, serving);
	MemoryContextSwitchTo(old);
}

static int
group_of(int64 listens)
{
	int			group = 0;

	for (; listens >= 10 && group < N_GROUPS - 1; listens /= 10)
		group++;
	return group;
}

/*
 * Adds up the popularity of the recordings (n) in lists; unknown ones do not
 * count.
 */
void
lbrec_report_spread(Spread *spread, const ServingModel *serving,
					const pg_uuid_t *keys, int64 n)
{
	const TwoTower *tower = &serving->tower;
	uint8	   *seen = palloc_extended(tower->n_recordings + 1,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	double		all = 0;
	int64		listed = 0;

	memset(spread, 0, sizeof(Spread));
	for (int64 i = 0; i < tower->n_recordings; i++)
	{
		double		listens = tower->recording_listens[i];

		CHECK_FOR_INTERRUPTS();
		all += listens;
		spread->mean_listened += listens * listens;
		spread->listens[group_of(tower->recording_listens[i])] += listens;
	}
	for (int64 i = 0; i < n; i++)
	{
		int32		candidate = lbrec_candidate_of(serving, &keys[i]);

		CHECK_FOR_INTERRUPTS();
		if (candidate < 0)
			continue;
		spread->distinct += !seen[candidate];
		seen[candidate] = 1;
		listed++;
		spread->mean_listed += tower->recording_listens[candidate];
		spread->listed[group_of(tower->recording_listens[candidate])]++;
	}
	spread->mean_listened /= Max(all, 1);
	spread->mean_listed /= Max(listed, 1);
	for (int64 g = 0, begins = 1; g < N_GROUPS; g++, begins *= 10)
	{
		spread->begins[g] = begins;
		spread->ends[g] = g < N_GROUPS - 1 ? 10 * begins - 1 : 0;
		spread->listens[g] /= Max(all, 1);
		spread->listed[g] /= Max(listed, 1);
	}
	pfree(seen);
}
