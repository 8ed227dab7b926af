/*
 * group.c
 *		lbrec_recommend_group(): returns the best recordings for several users
 *		together, by the mean of their scores, exactly.
 *
 * The users are processed one after another, so any number needs the memory of
 * one user and of a sum for each candidate.
 */
#include "pg/server/lbrec.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/scan/lb_scan.h"
#include "core/scan/lb_scan_top.h"

#include "pg/image/cache.h"
#include "pg/image/image.h"
#include "pg/model/candidates.h"
#include "pg/model/score.h"
#include "pg/serve/arguments.h"
#include "pg/serve/filter.h"
#include "pg/serve/listener.h"
#include "pg/serve/queries.h"
#include "pg/serve/select.h"
#include "pg/server/srf.h"
#include "pg/sql/calls.h"
#include "pg/sql/wishes.h"

PG_FUNCTION_INFO_V1(lbrec_recommend_group);

/* Candidates scored together. */
#define BLOCK 256

/* exclude_each() excludes the recordings of each user. */
static const WishPlaces wish_places = {
	.exclude_listened = NO_ARGUMENT,
	.exclude = GROUP_EXCLUDE,
	.candidates = GROUP_CANDIDATES,
	.filter = GROUP_FILTER,
	.min_listens = GROUP_MIN_LISTENS,
	.max_listens = GROUP_MAX_LISTENS,
	.per_artist = GROUP_PER_ARTIST,
	.artist_column = GROUP_ARTIST_COLUMN,
	.diversity = GROUP_DIVERSITY
};

typedef struct UserGroup
{
	const ServingModel *serving;
	int64		n_users;		/* users whose scores were summed */
	double	   *sums;			/* (n_recordings) sums of scores of allowed
								 * candidates */
	Basis		basis;			/* the weakest basis of these users */
} UserGroup;

static int
compare_users(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* Returns the users (n) of an array, distinct and without nulls. */
static int64 *
distinct_users(ArrayType *array, int64 *n)
{
	Datum	   *values;
	bool	   *nulls;
	int64	   *users;
	int			listed;
	int64		given = 0;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &values, &nulls, &listed);
	users = palloc_extended(Max(listed, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int i = 0; i < listed; i++)
		if (!nulls[i])
			users[given++] = DatumGetInt64(values[i]);
	qsort(users, given, sizeof(int64), compare_users);
	*n = 0;
	for (int64 i = 0; i < given; i++)
		if (i == 0 || users[i] != users[i - 1])
			users[(*n)++] = users[i];
	return users;
}

/* Excludes the recordings that any of the users has played. */
static void
exclude_each(Conditions *conditions, const char *listens, const int64 *users,
			 int64 n)
{
	for (int64 i = 0; i < n; i++)
	{
		RecordingList listened = lbrec_listened_recordings(listens, users[i]);

		lbrec_leave_out(&conditions->listened, &listened);
		pfree(listened.keys);
	}
}

/* Adds a listener's scores of the allowed candidates. */
static void
add_scores(UserGroup *group, const Listener *listener, const CandidateSet *allowed)
{
	CandidateWalk walk = {allowed, group->serving->tower.n_recordings, 0};
	int32		rows[BLOCK];
	float		dots[BLOCK];
	int			n;

	while ((n = lbrec_next_candidates(&walk, rows, BLOCK)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		lb_score_rows(dots, listener->query, listener->vectors, listener->D,
					  rows, n);
		for (int i = 0; i < n; i++)
			group->sums[rows[i]] += lbrec_full_score(&listener->scorer,
													 rows[i], dots[i]);
	}
}

/*
 * Sums the scores of the users.  Users without listens do not count:
 * popularity, their substitute, is no score.
 */
static void
sum_scores(UserGroup *group, const int64 *users, int64 n, const Moment *moment,
		   const CandidateSet *allowed)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "lbrec user of a group",
												  ALLOCSET_DEFAULT_SIZES);

	group->sums = palloc_extended(group->serving->tower.n_recordings *
								  sizeof(double),
								  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	group->basis = BASIS_MODEL;
	for (int64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Listener	listener;

		CHECK_FOR_INTERRUPTS();
		lbrec_find_listener(&listener, group->serving, users[i], moment);
		if (listener.basis != BASIS_POPULAR)
		{
			add_scores(group, &listener, allowed);
			group->n_users++;
			group->basis = Max(group->basis, listener.basis);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

static RankedList
rank_by_mean(const void *whom, const CandidateSet *allowed, int64 k)
{
	const UserGroup *group = whom;
	CandidateWalk walk = {allowed, group->serving->tower.n_recordings, 0};
	uint64	   *keys = palloc_extended((allowed->n + BLOCK) * sizeof(uint64),
									   MCXT_ALLOC_HUGE);
	int32		rows[BLOCK];
	int64		n = 0;
	RankedList	list;
	int			m;

	while ((m = lbrec_next_candidates(&walk, rows, BLOCK)) > 0)
		for (int i = 0; i < m; i++)
			keys[n++] = lb_key_make((float) (group->sums[rows[i]] /
											 group->n_users),
									(uint32) rows[i]);
	if (k < n)
		lb_key_select(keys, n, k);
	list.n = Min(n, k);
	lb_key_sort(keys, list.n);
	list.ids = palloc_extended((list.n + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	list.scores = palloc_extended((list.n + 1) * sizeof(float),
								  MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < list.n; i++)
	{
		list.ids[i] = lb_key_index(keys[i]);
		list.scores[i] = lb_key_score(keys[i]);
	}
	pfree(keys);
	return list;
}

/*
 * lbrec_recommend_group(user_ids, k, model, at, exclude_listened, listens,
 * exclude, candidates, filter, min_listens, max_listens, per_artist,
 * artist_column, diversity, version, fresh)
 */
Datum
lbrec_recommend_group(PG_FUNCTION_ARGS)
{
	RowSink		sink = lbrec_begin_rows(fcinfo, GROUP_ARGS, 4);
	Conditions	conditions = {0};
	Wanted		wanted = {0};
	Moment		moment = lbrec_moment(fcinfo, GROUP_AT, GROUP_LISTENS,
									  GROUP_FRESH);
	UserGroup	group = {0};
	Listener	unknown;
	int64	   *users;
	int64		n;
	RankedList	list;

	/* returns NULL for NULL, as a strict function does */
	if (PG_ARGISNULL(GROUP_USERS))
		return (Datum) 0;
	users = distinct_users(PG_GETARG_ARRAYTYPE_P(GROUP_USERS), &n);
	lbrec_read_conditions(&conditions, fcinfo, &wish_places, NULL, NULL);
	if (!PG_ARGISNULL(GROUP_EXCLUDE_LISTENED) &&
		PG_GETARG_BOOL(GROUP_EXCLUDE_LISTENED))
	{
		lbrec_read_for_exclusion(&moment);
		exclude_each(&conditions, moment.listens, users, n);
	}
	group.serving = lbrec_open_argument(fcinfo, GROUP_MODEL,
										GROUP_VERSION);
	wanted.k = lbrec_bounded_k(PG_ARGISNULL(GROUP_K) ? 10 :
							   PG_GETARG_INT32(GROUP_K),
							   group.serving->tower.n_recordings);
	lbrec_read_wishes(&wanted, fcinfo, &wish_places, group.serving);
	if (n == 0)
		return (Datum) 0;
	wanted.allowed = lbrec_filter_candidates(group.serving, &conditions);
	sum_scores(&group, users, n, &moment, &wanted.allowed);
	if (group.n_users > 0)
	{
		wanted.rank = rank_by_mean;
		wanted.whom = &group;
	}
	else
	{
		lbrec_popular_listener(&unknown, group.serving, &moment);
		group.basis = BASIS_POPULAR;
	}
	list = lbrec_select(group.serving, &unknown, &wanted);
	for (int64 i = 0; i < list.n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = Int32GetDatum((int32) (i + 1));
		values[1] = UUIDPGetDatum(&group.serving->tower.recording_keys[list.ids[i]]);
		values[2] = Float4GetDatum(list.scores[i]);
		values[3] = CStringGetTextDatum(lbrec_basis_name(lbrec_row_basis(group.serving,
																		 group.basis,
																		 list.ids[i])));
		lbrec_put_row(&sink, values, nulls);
	}
	return (Datum) 0;
}
