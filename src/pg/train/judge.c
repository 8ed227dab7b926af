/*
 * judge.c
 *		Judges a trained model and an older version on the same listens.
 *
 * Neither may have seen the listens in training.  Listens in the future come
 * from wrong clocks, and the older training may have seen them, so they are
 * left out.  A listen must also be later than all that the older version has
 * of its user.
 *
 * Both must predict the same recordings: those new to the user in both models.
 * A recording that only one knows is a miss for the other.  Users unknown to
 * either are left out: they get popular recordings.
 */
#include "pg/train/judge.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "pg/evaluate/ranks.h"
#include "pg/listens/dataset.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/candidates.h"
#include "pg/serve/baselines.h"
#include "pg/server/kernels.h"
#include "pg/server/time.h"

/* The listens, in the codes of the dataset and of each model. */
typedef struct Judging
{
	const JudgeRequest *request;
	int64		n;
	Listen	   *listens;		/* (n) by user */
	int64	   *times;
	int32	   *same_users;		/* of the dataset */
	int32	   *users[2];		/* of the older version, of the candidate */
	int32	   *truth[2];
	RankedListens ranked[2];
	LbThreads  *pool;
	MemoryContext context;
} Judging;

static int
compare_listens(const void *a, const void *b)
{
	const Listen *x = a;
	const Listen *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->recording < y->recording ? -1 : x->recording > y->recording;
}

static int32
older_user(const JudgeRequest *q, int32 user)
{
	int64		key;

	memcpy(&key, lbrec_vocabulary_key(q->data->users, user, NULL),
		   sizeof(key));
	return lbrec_user_code(q->older, key);
}

/* Selects the listens that are late enough, with the older version's users. */
static void
take_listens(Judging *j)
{
	const JudgeRequest *q = j->request;
	int32		n_users = lbrec_vocabulary_size(q->data->users);
	int32	   *codes = palloc_extended(((Size) n_users + 1) * sizeof(int32),
										MCXT_ALLOC_HUGE);
	const int64 *last = q->older ? q->older->tower.counted.history_last : NULL;
	int64		now = lbrec_unix_time(GetCurrentTransactionStartTimestamp());
	int64		room = 1024;
	SpoolScan	scan;

	for (int32 u = 1; u <= n_users; u++)
	{
		CHECK_FOR_INTERRUPTS();
		codes[u] = q->older ? older_user(q, u) : 0;
	}
	j->listens = palloc(room * sizeof(Listen));
	lbrec_scan_begin(&scan, q->data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			const Listen *l = &scan.block[i];
			int32		u = codes[l->user];

			if (l->time <= q->until || l->time > now ||
				(u > 0 && l->time <= last[u]))
				continue;
			if (j->n == room)
				j->listens = repalloc_huge(j->listens,
										   (room *= 2) * sizeof(Listen));
			j->listens[j->n++] = *l;
		}
	qsort(j->listens, j->n, sizeof(Listen), compare_listens);
	for (int m = 0; m < 2; m++)
	{
		j->users[m] = palloc_extended(j->n * sizeof(int32), MCXT_ALLOC_HUGE);
		j->truth[m] = palloc_extended(j->n * sizeof(int32), MCXT_ALLOC_HUGE);
	}
	for (int64 i = 0; i < j->n; i++)
		j->users[0][i] = codes[j->listens[i].user];
}

/* Selects the listens of users that both know, in both models' codes. */
static void
map_listens(Judging *j)
{
	const JudgeRequest *q = j->request;
	const Dataset *of = q->candidate_data;
	int64		n = 0;

	j->times = palloc_extended(j->n * sizeof(int64), MCXT_ALLOC_HUGE);
	j->same_users = palloc_extended(j->n * sizeof(int32), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < j->n; i++)
	{
		const Listen *l = &j->listens[i];
		const void *recording = lbrec_vocabulary_key(q->data->recordings,
													 l->recording, NULL);
		int32		user =
			lbrec_vocabulary_find(of->users,
								  lbrec_vocabulary_key(q->data->users, l->user, NULL),
								  sizeof(int64));

		CHECK_FOR_INTERRUPTS();
		if (user == 0 || (q->older && j->users[0][i] == 0))
			continue;
		j->same_users[n] = l->user;
		j->times[n] = l->time;
		j->users[0][n] = j->users[0][i];
		j->users[1][n] = user;
		j->truth[0][n] = q->older ? lbrec_candidate_of(q->older, recording) : -1;
		j->truth[1][n] = lbrec_vocabulary_find(of->recordings, recording,
											   UUID_LEN) - 1;
		j->listens[n++] = *l;
	}
	j->n = n;
}

static void
rank(Judging *j, int m, const TwoTower *model, const float *candidates)
{
	RankRequest request = {.model = model, .candidates = candidates,
		.n = j->n, .users = j->users[m], .times = j->times,
		.truth = j->truth[m], .most = lbrec_kept_ks[N_KEPT_KS - 1],
	.ranks = j->ranked[m].ranks, .new_ranks = j->ranked[m].new_ranks};

	lbrec_rank_listens(&request, j->pool, j->context);
}

/* Counts a recording as new only if it is new in both models. */
static void
agree(Judging *j)
{
	for (int64 i = 0; i < j->n; i++)
	{
		bool		found = j->truth[0][i] >= 0 || j->truth[1][i] >= 0;
		bool		is_new = true;

		for (int m = 0; m < 2; m++)
			if (j->truth[m][i] >= 0 && j->ranked[m].new_ranks[i] < 0)
				is_new = false;
		for (int m = 0; m < 2; m++)
		{
			RankedListens *r = &j->ranked[m];

			r->truth[i] = found ? j->listens[i].recording : -1;
			if (j->truth[m][i] < 0)
				r->ranks[i] = r->new_ranks[i] = PG_INT64_MAX;
			if (!is_new)
				r->new_ranks[i] = -1;
		}
	}
}

/* Computes the measures at all K that are kept. */
static void
measure(Metrics *kept, const RankedListens *r)
{
	for (int i = 0; i < N_KEPT_KS; i++)
		lbrec_metrics(&kept[i], lbrec_kept_ks[i], r->ranks, r->new_ranks,
					  r->users, r->times, r->truth, r->n);
}

/*
 * Ranks by the baselines, with the candidate's counts.  The models' ranks
 * decide which recordings are new to a user.
 */
static void
measure_baselines(Metrics (*kept)[N_KEPT_KS], const Judging *j)
{
	const JudgeRequest *q = j->request;
	const RankedListens *agreed = &j->ranked[1];
	TwoTower	counts = {.n_users = q->candidate->model->n_users,
		.n_recordings = q->candidate->model->n_recordings,
		.recording_listens = q->candidate_data->recording_listens + 1,
	.counted = q->candidate->model->counted};
	RankedListens r = *agreed;
	Baselines	baselines = {0};

	r.ranks = palloc_extended(j->n * sizeof(int64), MCXT_ALLOC_HUGE);
	r.new_ranks = palloc_extended(j->n * sizeof(int64), MCXT_ALLOC_HUGE);
	lbrec_baselines_init(&baselines, &counts);
	for (int b = 0; b < N_BASELINES; b++)
	{
		for (int64 i = 0; i < j->n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (i == 0 || j->users[1][i] != j->users[1][i - 1])
				lbrec_baseline_user(&baselines, j->users[1][i]);
			lbrec_baseline_rank(&r.ranks[i], &r.new_ranks[i], &baselines,
								b == BASELINE_OWN_PLAYS, j->truth[1][i]);
			if (agreed->new_ranks[i] < 0)
				r.new_ranks[i] = -1;
		}
		measure(kept[b], &r);
	}
}

/*
 * Judges both on the dataset's listens after until.  The candidate was trained
 * on none of these.
 */
void
lbrec_judge(Judgement *judgement, const JudgeRequest *request,
			MemoryContext context)
{
	MemoryContext scratch = AllocSetContextCreate(context, "lbrec judgement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	TwoTower   *model = request->candidate->model;
	Judging		j = {.request = request, .context = scratch};
	float	   *candidates;

	memset(judgement, 0, sizeof(Judgement));
	take_listens(&j);
	map_listens(&j);
	judgement->n = j.n;
	if (j.n > 0)
	{
		j.pool = lbrec_start_threads(scratch);
		for (int m = 0; m < 2; m++)
		{
			RankedListens *r = &j.ranked[m];

			r->n = j.n;
			r->users = j.same_users;
			r->times = j.times;
			r->truth = palloc_extended(j.n * sizeof(int32), MCXT_ALLOC_HUGE);
			r->ranks = palloc_extended(j.n * sizeof(int64), MCXT_ALLOC_HUGE);
			r->new_ranks = palloc_extended(j.n * sizeof(int64),
										   MCXT_ALLOC_HUGE);
		}
		candidates = lbrec_alloc_aligned(scratch, (Size) model->n_recordings *
										 lb_tower_width(&model->core.query) *
										 sizeof(float), "candidate vectors");
		lbrec_candidate_vectors(candidates, model, j.pool, scratch);
		if (request->older)
			rank(&j, 0, &request->older->tower,
				 request->older->tower.candidates);
		rank(&j, 1, model, candidates);
		agree(&j);
		judgement->first_time = judgement->last_time = j.times[0];
		for (int64 i = 0; i < j.n; i++)
		{
			judgement->unknown += j.ranked[0].truth[i] < 0;
			judgement->first_time = Min(judgement->first_time, j.times[i]);
			judgement->last_time = Max(judgement->last_time, j.times[i]);
		}
		for (int m = request->older ? 0 : 1; m < 2; m++)
			measure(judgement->kept[m], &j.ranked[m]);
		measure_baselines(&judgement->kept[2], &j);
		if (request->older)
			judgement->means = lbrec_compare_paired(request->metric,
													&j.ranked[0],
													&j.ranked[1]);
		judgement->popular = lbrec_metric_kept(request->metric,
											   judgement->kept[2 + BASELINE_POPULAR]);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}
