/*
 * evaluation.c
 *		Reads the listens of an evaluation, and ranks them.
 */
#include "pg/sql/evaluation.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/evaluate/ranks.h"
#include "pg/image/cache.h"
#include "pg/listens/default.h"
#include "pg/listens/query.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/candidates.h"
#include "pg/model/twotower.h"
#include "pg/serve/arguments.h"
#include "pg/serve/listener.h"
#include "pg/serve/popularity.h"
#include "pg/server/kernels.h"
#include "pg/server/time.h"
#include "pg/sql/wishes.h"

static const char *const recommender_names[] = {
	[BY_MODEL] = "model",
	[BY_POPULARITY] = "popular",
	[BY_OWN_PLAYS] = "most_played",
	[BY_RANKINGS] = "rankings",
};

const char *
lbrec_recommender_name(Recommender recommender)
{
	return recommender_names[recommender];
}

/*
 * Looks up the candidates (size + 1) of a vocabulary of recordings, by code.
 */
static int32 *
find_candidates(const ServingModel *serving, const Vocabulary *recordings)
{
	int32		n = lbrec_vocabulary_size(recordings);
	int32	   *candidates = palloc_extended(((Size) n + 1) * sizeof(int32),
											 MCXT_ALLOC_HUGE);

	candidates[0] = -1;
	for (int32 i = 1; i <= n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		candidates[i] = lbrec_candidate_of(serving, (const pg_uuid_t *)
										   lbrec_vocabulary_key(recordings, i,
																NULL));
	}
	return candidates;
}

/* Looks up the listens' users in the model. */
static void
map_people(Evaluation *e, const Vocabulary *people)
{
	e->n_people = lbrec_vocabulary_size(people);
	e->person_ids = palloc_extended(((Size) e->n_people + 1) * sizeof(int64),
									MCXT_ALLOC_HUGE);
	e->person_users = palloc_extended(((Size) e->n_people + 1) *
									  sizeof(int32), MCXT_ALLOC_HUGE);
	for (int32 i = 1; i <= e->n_people; i++)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(&e->person_ids[i], lbrec_vocabulary_key(people, i, NULL),
			   sizeof(int64));
		e->person_users[i] = lbrec_user_code(e->serving, e->person_ids[i]);
	}
}

/* Reads the listens into arrays, with the model's codes. */
static void
map_listens(Evaluation *e, const Dataset *data)
{
	int32	   *candidates = find_candidates(e->serving, data->recordings);
	SpoolScan	scan;

	lbrec_scan_begin(&scan, data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			int64		at = scan.from + i;

			e->people[at] = scan.block[i].user;
			e->users[at] = e->person_users[scan.block[i].user];
			e->truth[at] = candidates[scan.block[i].recording];
			e->times[at] = scan.block[i].time;
			e->unknown += e->truth[at] < 0;
		}
	pfree(candidates);
}

/* Groups the listens by person. */
static void
group_listens(Evaluation *e)
{
	int64	   *next;

	e->person_starts = palloc_extended(((Size) e->n_people + 3) *
									   sizeof(int64),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	/*
	 * needs two more entries, because the starts advance while they are used
	 */
	next = e->person_starts + 1;
	for (int64 i = 0; i < e->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		next[e->people[i] + 1]++;
	}
	for (int32 p = 0; p <= e->n_people; p++)
		next[p + 1] += next[p];
	e->by_person = palloc_extended(e->n * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < e->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		e->by_person[next[e->people[i]]++] = i;
	}
}

static char *
read_text(FunctionCallInfo fcinfo, int place)
{
	return place == NO_ARGUMENT || PG_ARGISNULL(place) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(place));
}

/* The arguments since and as_of: listens from the one on, before the other. */
static void
read_period(ListenSource *source, FunctionCallInfo fcinfo,
			const EvaluationPlaces *places)
{
	source->has_since = places->since != NO_ARGUMENT &&
		!PG_ARGISNULL(places->since);
	source->bounded = places->as_of != NO_ARGUMENT &&
		!PG_ARGISNULL(places->as_of);
	if (source->has_since)
		source->since =
			lbrec_argument_time(PG_GETARG_TIMESTAMPTZ(places->since), "since");
	if (source->bounded)
		source->until =
			lbrec_argument_time(PG_GETARG_TIMESTAMPTZ(places->as_of),
								"as_of") - 1;
	if (source->has_since && source->bounded &&
		source->since > source->until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since is not before as_of"),
				 errdetail("Listens from since on and before as_of are evaluated."),
				 errhint("Leave one of the two out, or give an earlier since.")));
}

/*
 * Reads a call's arguments, its listens and rankings, and then opens the
 * model: queries may call lbrec functions that open other models.  Everything
 * is allocated in context, which is the current one.
 */
void
lbrec_begin_evaluation(Evaluation *e, FunctionCallInfo fcinfo,
					   const EvaluationPlaces *places, MemoryContext context)
{
	ListenSource source = {0};
	char	   *listens = read_text(fcinfo, places->listens);
	char	   *rankings = read_text(fcinfo, places->rankings);
	Dataset    *data;

	memset(e, 0, sizeof(Evaluation));
	e->context = context;
	if (PG_ARGISNULL(places->ks))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("ks must not be null"),
				 errhint("Leave the argument out to use its default.")));
	e->ks = lbrec_read_ks(PG_GETARG_ARRAYTYPE_P(places->ks), &e->n_ks);
	source.listens = lbrec_listens_columns(listens ? listens :
										   lbrec_needed_listens(), "listens",
										   "user_id, listened_at, recording_msid");
	read_period(&source, fcinfo, places);
	data = lbrec_read_listens(&source, context);
	if (data->n_listens == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no listen is in the period from since to as_of"),
				 errdetail("%lld listens are earlier and %lld are later.",
						   (long long) data->n_earlier,
						   (long long) data->n_later),
				 errhint("Widen the period.")));
	e->data = data;
	if (rankings)
		e->rankings = lbrec_query_rankings(rankings, data->users, context);
	e->serving = lbrec_open_argument(fcinfo, places->model, places->version);
	e->n = data->n_listens;
	e->people = MemoryContextAllocHuge(context, e->n * sizeof(int32));
	e->users = MemoryContextAllocHuge(context, e->n * sizeof(int32));
	e->truth = MemoryContextAllocHuge(context, e->n * sizeof(int32));
	e->times = MemoryContextAllocHuge(context, e->n * sizeof(int64));
	e->ranks = MemoryContextAllocHuge(context, e->n * sizeof(int64));
	e->new_ranks = MemoryContextAllocHuge(context, e->n * sizeof(int64));
	for (int j = 0; j < e->n_ks; j++)
		e->most = Max(e->most, e->ks[j]);
	e->most = Min(e->most, e->serving->tower.n_recordings);
	map_people(e, data->users);
	map_listens(e, data);
	lbrec_spool_free(data->listens);
	group_listens(e);
	if (rankings)
		e->ranking_truth = find_candidates(e->serving,
										   e->rankings.recordings);
	e->pool = lbrec_start_threads(context);
	lbrec_baselines_init(&e->baselines, &e->serving->tower);
}

/* Allocates the spreads of lists at each of ks. */
Spread *
lbrec_make_spreads(const Evaluation *e)
{
	Size		words = (e->serving->tower.n_recordings + 63) / 64;
	Spread	   *spreads = palloc0(e->n_ks * sizeof(Spread));

	for (int j = 0; j < e->n_ks; j++)
		spreads[j].shown = palloc_extended(words * sizeof(uint64),
										   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	return spreads;
}

/* Counts a list of n candidates; -1 stands for none. */
void
lbrec_add_list(Spread *spreads, const Evaluation *e, const int64 *ids,
			   int64 n)
{
	for (int j = 0; j < e->n_ks; j++)
	{
		Spread	   *s = &spreads[j];

		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < Min(n, e->ks[j]); i++)
		{
			uint64		bit = UINT64CONST(1) << (ids[i] % 64);

			s->entries++;
			if (ids[i] < 0)
				continue;
			if (!(s->shown[ids[i] / 64] & bit))
				s->n_shown++;
			s->shown[ids[i] / 64] |= bit;
			s->listens += e->serving->tower.recording_listens[ids[i]];
		}
	}
}

/* One person's list while it is read. */
typedef struct RankingList
{
	int64		n;
	int64		room;
	int32	   *recordings;		/* (n) codes in the rankings' vocabulary */
	int64	   *numbers;		/* (n) values of the column rank */
	int64	   *ids;			/* (n) candidates, or -1 */
	int64	   *above;			/* (n) number of entries with a lower rank */
	int64	   *new_above;		/* (n) number of those that are new to the
								 * user */
	int32	   *seen;			/* by recording: the last person with it */
	int64	   *at;				/* (candidates) index plus one, 0: not in the
								 * list */
} RankingList;

static void
add_entry(RankingList *l, int32 person, const Listen *row)
{
	if (l->seen[row->recording] == person)
		return;
	l->seen[row->recording] = person;
	if (l->n == l->room)
	{
		l->room *= 2;
		l->recordings = repalloc_huge(l->recordings, l->room * sizeof(int32));
		l->numbers = repalloc_huge(l->numbers, l->room * sizeof(int64));
		l->ids = repalloc_huge(l->ids, l->room * sizeof(int64));
		l->above = repalloc_huge(l->above, l->room * sizeof(int64));
		l->new_above = repalloc_huge(l->new_above, l->room * sizeof(int64));
	}
	l->recordings[l->n] = row->recording;
	l->numbers[l->n++] = row->time;
}

/* Ranks a person's listens in the list, and empties it. */
static void
take_list(Evaluation *e, Spread *spreads, RankingList *l, int32 person)
{
	const int32 *own = e->baselines.place;
	int64		n_new = 0;

	lbrec_baseline_user(&e->baselines, e->person_users[person]);
	for (int64 i = 0; i < l->n; i++)
	{
		int64		id = e->ranking_truth[l->recordings[i]];
		bool		tied = i > 0 && l->numbers[i] == l->numbers[i - 1];

		CHECK_FOR_INTERRUPTS();
		l->above[i] = tied ? l->above[i - 1] : i;
		l->new_above[i] = tied ? l->new_above[i - 1] : n_new;
		l->ids[i] = id;
		n_new += id < 0 || own[id] == 0;
		if (id >= 0)
			l->at[id] = i + 1;
	}
	for (int64 j = e->person_starts[person];
		 j < e->person_starts[person + 1]; j++)
	{
		int64		i = e->by_person[j];
		int32		truth = e->truth[i];

		if (truth < 0)
			continue;
		if (own[truth] > 0)
			e->new_ranks[i] = -1;
		if (l->at[truth] == 0)
			continue;
		e->ranks[i] = l->above[l->at[truth] - 1];
		if (own[truth] == 0)
			e->new_ranks[i] = l->new_above[l->at[truth] - 1];
	}
	if (spreads)
		lbrec_add_list(spreads, e, l->ids, l->n);
	for (int64 i = 0; i < l->n; i++)
		if (l->ids[i] >= 0)
			l->at[l->ids[i]] = 0;
	l->n = 0;
}

/*
 * Ranks the listens in the lists of the rankings, as lbrec_rank_listens() does
 * in the model's; spreads, unless NULL, counts the lists.  A recording outside
 * the list is a miss.
 */
void
lbrec_rank_in_rankings(Evaluation *e, Spread *spreads)
{
	int32		n_listed = lbrec_vocabulary_size(e->rankings.recordings);
	RankingList l = {.room = 64};
	bool	   *has_list = palloc0(e->n_people + 1);
	int32		person = 0;
	SpoolScan	scan;

	l.recordings = palloc(l.room * sizeof(int32));
	l.numbers = palloc(l.room * sizeof(int64));
	l.ids = palloc(l.room * sizeof(int64));
	l.above = palloc(l.room * sizeof(int64));
	l.new_above = palloc(l.room * sizeof(int64));
	l.seen = palloc_extended(((Size) n_listed + 1) * sizeof(int32),
							 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	l.at = palloc_extended(e->serving->tower.n_recordings * sizeof(int64),
						   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int64 i = 0; i < e->n; i++)
		e->ranks[i] = e->new_ranks[i] = PG_INT64_MAX;
	lbrec_scan_begin(&scan, e->rankings.spool);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			const Listen *row = &scan.block[i];

			CHECK_FOR_INTERRUPTS();
			if (row->user != person && person > 0)
				take_list(e, spreads, &l, person);
			person = row->user;
			has_list[person] = true;
			add_entry(&l, person, row);
		}
	if (person > 0)
		take_list(e, spreads, &l, person);
	/* persons without a list miss all that is new to them */
	for (person = 1; person <= e->n_people; person++)
		if (!has_list[person])
			take_list(e, spreads, &l, person);
	pfree(l.recordings);
	pfree(l.numbers);
	pfree(l.ids);
	pfree(l.above);
	pfree(l.new_above);
	pfree(l.seen);
	pfree(l.at);
	pfree(has_list);
}

static void
rank_by_baseline(Evaluation *e, bool own)
{
	for (int32 person = 1; person <= e->n_people; person++)
	{
		lbrec_baseline_user(&e->baselines, e->person_users[person]);
		for (int64 j = e->person_starts[person];
			 j < e->person_starts[person + 1]; j++)
		{
			int64		i = e->by_person[j];

			CHECK_FOR_INTERRUPTS();
			lbrec_baseline_rank(&e->ranks[i], &e->new_ranks[i],
								&e->baselines, own, e->truth[i]);
		}
	}
}

/*
 * True if the listen's user has played its recording before.  If no tastes are
 * known, lists are so short that this does not matter.
 */
static bool
has_played(const Evaluation *e, int64 listen)
{
	const Counted *c = &e->serving->tower.counted;
	int32		user = e->users[listen];

	for (int64 i = c->history_offsets[user];
		 user > 0 && i < c->history_offsets[user + 1]; i++)
		if (lbrec_candidate_with(c->history_codes[i]) == e->truth[listen])
			return true;
	return false;
}

/*
 * Ranks listens of users without known tastes, in the popular list that
 * serving gives them at that time.
 */
static void
rank_strangers(Evaluation *e)
{
	int64	   *places = palloc_extended(e->n * sizeof(int64),
										 MCXT_ALLOC_HUGE);
	int64	   *times = palloc_extended(e->n * sizeof(int64),
										MCXT_ALLOC_HUGE);
	int32	   *truth = palloc_extended(e->n * sizeof(int32),
										MCXT_ALLOC_HUGE);
	int64	   *ranks = palloc_extended(e->n * sizeof(int64),
										MCXT_ALLOC_HUGE);
	int64		n = 0;

	for (int64 i = 0; i < e->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (e->truth[i] < 0 || lbrec_is_warm(e->serving, e->users[i]))
			continue;
		places[n] = i;
		times[n] = e->times[i];
		truth[n++] = e->truth[i];
	}
	lbrec_popular_ranks(ranks, e->serving, times, truth, n);
	for (int64 i = 0; i < n; i++)
	{
		e->ranks[places[i]] = ranks[i];
		e->new_ranks[places[i]] = has_played(e, places[i]) ? -1 : ranks[i];
	}
	pfree(places);
	pfree(times);
	pfree(truth);
	pfree(ranks);
}

/* Fills ranks and new_ranks, as lbrec_rank_listens() defines them. */
void
lbrec_find_ranks(Evaluation *e, Recommender recommender)
{
	RankRequest request = {.model = &e->serving->tower,
		.candidates = e->serving->tower.candidates, .n = e->n,
		.users = e->users, .times = e->times, .truth = e->truth,
	.most = e->most, .ranks = e->ranks, .new_ranks = e->new_ranks};

	switch (recommender)
	{
		case BY_MODEL:
			lbrec_rank_listens(&request, e->pool, e->context);
			rank_strangers(e);
			break;
		case BY_POPULARITY:
		case BY_OWN_PLAYS:
			rank_by_baseline(e, recommender == BY_OWN_PLAYS);
			break;
		case BY_RANKINGS:
			lbrec_rank_in_rankings(e, NULL);
			break;
	}
}
