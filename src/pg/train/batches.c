/*
 * batches.c
 *		Fills training batches.
 *
 * A batch of listens has a row for each listen, whose recording is the row's
 * positive.  A batch of users has a row for up to `targets` recordings of a
 * user, all of them positives; its candidates are the recordings of all rows,
 * each once.  A batch of sessions has sessions in the place of users: a few
 * users cannot be told from each other, but what each plays in one evening
 * can.  Either may have further negatives, drawn uniformly or as often
 * as recordings are played (mixed negative sampling, Yang et al., WWW 2020).
 *
 * The history input of a row is a random part of the user's other recordings
 * (history_dropout), so that the towers learn to find what is missing: the
 * denoising of Liang et al., WWW 2018, in two towers.  In a batch of listens
 * the positive is left out; in a batch of users it may be in the history, and
 * leaving it out made nothing better (docs/quality.md).
 *
 * log q, what logq subtracts, is for a batch of listens the log of the share
 * of a recording among the candidates drawn; for a batch of users, whose
 * candidates are distinct, the log of the probability that it is among them.
 * It follows from the counts, or is estimated from the batches themselves
 * (lb_gap.c), which a constant factor in batches of listens does not change.
 * A value added to it appears in the dot products: so they learn trends.
 *
 * If items name a catalogue, a random part of the candidates (id_dropout) have
 * row 0 in the place of the embedding of their own, so that the features and
 * that row learn what can be said of a recording that nobody has played
 * (DropoutNet, Volkovs et al., NIPS 2017).  As log q stays the recording's,
 * such a vector scores as recordings of these features do in the mean.
 * Recordings that nobody has played are no negatives: they would learn that
 * nobody wants them.
 */
#include "pg/train/batches.h"

#include <math.h>

#include "utils/memutils.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/model/twotower.h"
#include "pg/server/search.h"
#include "pg/train/feeder.h"
#include "pg/train/options.h"
#include "pg/train/plan.h"
#include "pg/train/split.h"

#define STREAM_BATCHES 1002

/* rate of the moving mean, the value of Yi et al., section 5 */
#define STREAMING_RATE 0.01

/*
 * Returns the size of batches.  A batch cannot have more rows than there are
 * candidates: the softmax relies on that.
 */
BatchShape
lbrec_batch_shape(const RunPlan *plan)
{
	const TrainOptions *o = plan->options;
	const UserLists *lists = plan->inputs->rows;
	int32		n_recordings = lbrec_vocabulary_size(plan->data->recordings);
	BatchShape	shape = {.test_rows = (int) Min(TEST_BATCH,
												plan->split->n_test)};

	if (o->batch_by == BATCH_LISTENS)
	{
		shape.max_rows = (int) Min(o->batch_size,
								   Max(plan->split->n_train, 1));
		shape.max_columns = shape.max_rows + o->extra_negatives;
		return shape;
	}
	for (int32 u = 1; u <= lists->n_users; u++)
		if (lbrec_is_active(lists, u))
			shape.n_rows += (lbrec_list_length(lists, u) + o->targets - 1) /
				o->targets;
	/* one at least, also where nothing is trained */
	shape.max_rows = (int) Min(Min(o->batch_size, Max(shape.n_rows, 1)),
							   n_recordings);
	shape.max_columns = (int) Min((int64) shape.max_rows * o->targets +
								  o->extra_negatives, n_recordings);
	return shape;
}

/*
 * Counts the users with each recording (n_recordings + 1), of all users or of
 * those with rows.  Returns the sum.
 */
static double
count_pairs(double *counts, const UserLists *lists, bool active_only)
{
	double		total = 0;

	for (int32 u = 1; u <= lists->n_users; u++)
		for (int64 i = lists->offsets[u]; i < lists->offsets[u + 1] &&
			 (!active_only || lbrec_is_active(lists, u)); i++)
		{
			CHECK_FOR_INTERRUPTS();
			counts[lists->codes[i]]++;
			total++;
		}
	return total;
}

/* Computes log q of each recording; see the head of this file. */
static void
compute_log_q(Batcher *b, const float *trends, double trend,
			  MemoryContext context)
{
	int64		n = lbrec_vocabulary_size(b->data->recordings);
	double		extra = b->options->extra_negatives;
	double		total = 0;
	double	   *every = NULL;
	double		of_every = 0;
	double	   *counts = MemoryContextAllocExtended(context,
													(n + 1) * sizeof(double),
													MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	b->log_q = MemoryContextAllocHuge(context, (n + 1) * sizeof(float));
	if (b->options->batch_by != BATCH_LISTENS)
	{
		total = count_pairs(counts, b->lists, true);
		if (b->lists->active && b->options->popular_negatives)
		{
			/* further negatives are drawn from all users' lists */
			every = MemoryContextAllocExtended(context,
											   (n + 1) * sizeof(double),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
			of_every = count_pairs(every, b->lists, false);
		}
	}
	else
	{
		SpoolScan	scan;

		lbrec_scan_begin(&scan, b->data->listens);
		while (lbrec_scan_next(&scan))
			for (int64 i = 0; i < scan.n; i++)
				if (!lbrec_bit(b->split->excluded, scan.from + i))
				{
					counts[scan.block[i].recording]++;
					total++;
				}
	}
	for (int64 r = 0; r <= n; r++)
	{
		double		share = counts[r] / total;
		double		drawn = !b->options->popular_negatives ?
			1.0 / (b->played ? b->n_played : n) : every ? every[r] / of_every : share;
		double		q;

		CHECK_FOR_INTERRUPTS();
		if (b->options->batch_by != BATCH_LISTENS)
		{
			double		targets = total * b->max_rows / Max(b->n_rows, 1);

			q = 1 - exp(-share * targets - drawn * extra);
		}
		else
			q = (b->max_rows * share + extra * drawn) / (b->max_rows + extra);
		b->log_q[r] = logf(Max((float) q, 1e-6f));
		if (trend != 0)
			b->log_q[r] += (float) (trend * trends[r]);
	}
	pfree(counts);
	if (every)
		pfree(every);
}

/* The recordings that somebody has played. */
static void
find_played(Batcher *b, int64 n, MemoryContext context)
{
	b->played = MemoryContextAllocHuge(context, Max(n, 1) * sizeof(int32));
	for (int64 r = 1; r <= n; r++)
		if (b->data->recording_listens[r] > 0)
			b->played[b->n_played++] = (int32) r;
}

/* Prepares the batches of one member of an ensemble. */
void
lbrec_batcher_init(Batcher *b, const RunPlan *plan, const BatchShape *shape,
				   const TwoTower *model, uint64 seed, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	int			B = Max(shape->max_rows, shape->test_rows);
	int			N = Max(shape->max_columns, shape->test_rows);
	int64		n = lbrec_vocabulary_size(plan->data->recordings);
	bool		by_users = plan->options->batch_by != BATCH_LISTENS;

	MemSet(b, 0, sizeof(Batcher));
	b->data = plan->data;
	b->options = plan->options;
	b->split = plan->split;
	b->lists = plan->inputs->rows;
	b->row_users = plan->inputs->row_users;
	b->sequence = plan->inputs->sequence;
	b->model = model;
	b->max_rows = shape->max_rows;
	b->max_columns = shape->max_columns;
	b->n_rows = shape->n_rows;
	lb_random_seed(&b->rng, seed, STREAM_BATCHES);
	if (b->data->listed)
		find_played(b, n, context);
	if (b->options->streaming_logq)
	{
		b->gaps = MemoryContextAllocHuge(context, (n + 1) * sizeof(LbGap));
		lb_gaps_init(b->gaps, n + 1, (double) n / b->max_columns);
	}
	else
		compute_log_q(b, plan->inputs->trends, plan->trend, context);
	lbrec_make_buffers(&b->query, &model->core.query, B, context);
	lbrec_make_buffers(&b->candidate, &model->core.candidate, N, context);
	b->listens = palloc(B * sizeof(Listen));
	b->users = palloc(B * sizeof(int32));
	b->times = palloc0(B * sizeof(int64));
	b->recordings = palloc(N * sizeof(int32));
	b->batch_log_q = palloc(N * sizeof(float));
	b->histories = palloc(B * sizeof(LbSpan));
	if (lbrec_has_history(model))
		b->arena = MemoryContextAllocHuge(context, (Size) b->max_rows *
										  model->history_length *
										  sizeof(int32));
	if (b->sequence)
		b->seen = MemoryContextAllocExtended(context,
											 (n + 1) * sizeof(int32),
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	if (by_users)
	{
		int			longest = 0;
		int64		row = 0;

		b->rows = MemoryContextAllocHuge(context,
										 b->n_rows * sizeof(UserRow));
		b->row_order = MemoryContextAllocHuge(context,
											  b->n_rows * sizeof(uint32));
		for (int32 u = 1; u <= b->lists->n_users; u++)
		{
			int			length = lbrec_is_active(b->lists, u) ?
				lbrec_list_length(b->lists, u) : 0;

			longest = Max(longest, length);
			for (int part = 0; part * b->options->targets < length; part++)
			{
				b->row_order[row] = (uint32) row;
				b->rows[row++] = (UserRow)
				{
					u, part
				};
			}
		}
		Assert(row == b->n_rows);
		b->shuffled = palloc_extended(Max(longest, 1) * sizeof(uint32),
									  MCXT_ALLOC_HUGE);
		b->positives = palloc_extended((Size) b->max_rows *
									   b->options->targets * sizeof(int32),
									   MCXT_ALLOC_HUGE);
		b->positive_of = palloc((b->max_rows + 1) * sizeof(int32));
		b->weights = palloc(b->max_rows * sizeof(float));
		b->column = MemoryContextAllocExtended(context,
											   (n + 1) * sizeof(int32),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	}
	else
		lbrec_feeder_init(&b->feeder, b->data, b->split, context);
	MemoryContextSwitchTo(old);
}

void
lbrec_batcher_begin(Batcher *b)
{
	b->next = 0;
	if (b->options->batch_by != BATCH_LISTENS)
	{
		b->epoch_key = lb_random_next(&b->rng);
		lb_random_shuffle(&b->rng, b->row_order, b->n_rows);
		return;
	}
	lbrec_feeder_begin(&b->feeder, &b->rng);
	b->next = b->feeder.n;		/* makes the next batch read a window */
}

/* Returns the share of the epoch that is done, approximately. */
double
lbrec_batcher_done(const Batcher *b)
{
	if (b->options->batch_by != BATCH_LISTENS)
		return (double) b->next / b->n_rows;
	if (b->feeder.whole)
		return (double) b->next / Max(b->feeder.n, 1);
	return (double) b->feeder.next_block / b->feeder.n_blocks;
}

/* True if the dropout keeps the next recording. */
static inline bool
keeps(Batcher *b)
{
	return (lb_random_next(&b->rng) >> 11) * 0x1p-53 >=
		b->options->history_dropout;
}

/*
 * Draws a random part of a list, without the recording to leave out (0: none).
 */
static LbSpan
thin_list(Batcher *b, const int32 *codes, int n, int32 leave_out)
{
	int32	   *out = b->arena + b->arena_used;
	int			kept = 0;

	n = Min(n, b->model->history_length);
	for (int i = 0; i < n; i++)
		if (codes[i] != leave_out && keeps(b))
			out[kept++] = codes[i];
	b->arena_used += kept;
	return lbrec_history(b->model, out, kept);
}

/* Draws a random part of the recordings last played before a time. */
static LbSpan
thin_before(Batcher *b, int32 user, int64 time)
{
	const UserLists *s = b->sequence;
	int64		first = s->offsets[user];
	int64		next;
	int32	   *out = b->arena + b->arena_used;
	int			met = 0;
	int			kept = 0;

	LBREC_SEARCH(next, first, s->offsets[user + 1], s->times[next] < time);
	b->stamp++;
	for (int64 i = next - 1; i >= first && met < b->model->history_length; i--)
	{
		int32		r = s->codes[i];

		if (r == 0 || b->seen[r] == b->stamp)
			continue;
		b->seen[r] = b->stamp;
		met++;
		if (keeps(b))
			out[kept++] = r;
	}
	b->arena_used += kept;
	return lbrec_history(b->model, out, kept);
}

/* Draws a recording as a further negative. */
static int32
draw_negative(Batcher *b)
{
	int64		n = lbrec_vocabulary_size(b->data->recordings);

	if (!b->options->popular_negatives && b->played)
		return b->played[lb_random_below(&b->rng, b->n_played)];
	if (!b->options->popular_negatives)
		return 1 + (int32) lb_random_below(&b->rng, n);
	if (b->options->batch_by != BATCH_LISTENS)
		return b->lists->codes[lb_random_below(&b->rng,
											   b->lists->offsets[b->lists->n_users + 1])];
	return b->feeder.window[b->feeder.order[lb_random_below(&b->rng,
															b->feeder.n)]].recording;
}

/* Call this when the candidates of a training batch are drawn. */
static void
note_candidates(Batcher *b, int N)
{
	if (b->gaps)
		lb_gaps_see(b->gaps, b->recordings, N, ++b->step, STREAMING_RATE);
}

static void
fill_batch(Batcher *b, LbBatch *batch, const LbSpan *histories, int B, int N)
{
	for (int j = 0; j < N; j++)
		b->batch_log_q[j] = b->gaps ?
			lb_gap_log_q(&b->gaps[b->recordings[j]]) :
			b->log_q[b->recordings[j]];
	lbrec_query_inputs(&b->query, b->model, b->users, b->times, histories, B);
	lbrec_candidate_inputs(&b->candidate, b->model, b->recordings, N);
	MemSet(batch, 0, sizeof(LbBatch));
	batch->B = B;
	batch->N = N;
	memcpy(batch->query, b->query.values, sizeof(batch->query));
	memcpy(batch->candidate, b->candidate.values, sizeof(batch->candidate));
	batch->ids = b->recordings;
	batch->log_q = b->batch_log_q;
}

/* Candidates of a step lose the embedding of their own, at random. */
static void
drop_ids(Batcher *b, int N)
{
	const TwoTower *model = b->model;

	for (int i = 0; b->data->listed && i < model->core.candidate.n_inputs; i++)
	{
		int32	   *codes = b->candidate.arrays[i];

		if (model->candidate_inputs[i].source != SOURCE_RECORDING)
			continue;
		for (int j = 0; j < N; j++)
			if ((lb_random_next(&b->rng) >> 11) * 0x1p-53 <
				b->options->id_dropout)
				codes[j] = 0;
	}
}

/* Makes a batch of n held-out listens, with the histories that serving has. */
void
lbrec_batcher_test(Batcher *b, LbBatch *batch, const Listen *listens, int n)
{
	for (int i = 0; i < n; i++)
	{
		b->users[i] = listens[i].user;
		b->recordings[i] = listens[i].recording;
		b->times[i] = listens[i].time;
	}
	fill_batch(b, batch, NULL, n, n);
}

static bool
next_listens(Batcher *b, LbBatch *batch)
{
	bool		history = lbrec_has_history(b->model);
	int			B;
	int			N;

	if (b->next >= b->feeder.n)
	{
		if (!lbrec_feeder_window(&b->feeder, &b->rng))
			return false;
		b->next = 0;
	}
	B = (int) Min(b->max_rows, b->feeder.n - b->next);
	N = B + b->options->extra_negatives;
	b->arena_used = 0;
	for (int i = 0; i < B; i++)
	{
		const Listen *l = &b->feeder.window[b->feeder.order[b->next++]];

		CHECK_FOR_INTERRUPTS();
		b->users[i] = l->user;
		b->recordings[i] = l->recording;
		b->times[i] = l->time;
		if (history)
			b->histories[i] = b->sequence ?
				thin_before(b, l->user, l->time) :
				thin_list(b, b->lists->codes + b->lists->offsets[l->user],
						  lbrec_list_length(b->lists, l->user), l->recording);
	}
	for (int j = B; j < N; j++)
		b->recordings[j] = draw_negative(b);
	note_candidates(b, N);
	fill_batch(b, batch, history ? b->histories : NULL, B, N);
	drop_ids(b, N);
	return true;
}

/* Returns the column of a recording, a new one if it has none. */
static int32
take_column(Batcher *b, int *N, int32 recording)
{
	if (b->column[recording] == 0)
	{
		b->recordings[*N] = recording;
		b->column[recording] = ++*N;
	}
	return b->column[recording] - 1;
}

/* Selects the part of a user's recordings that are a row's targets. */
static int
take_targets(Batcher *b, const UserRow *row, int *N, int n_positives)
{
	const int32 *codes = b->lists->codes + b->lists->offsets[row->list];
	int			length = lbrec_list_length(b->lists, row->list);
	int			from = row->part * b->options->targets;
	int			to = Min(from + b->options->targets, length);
	LbRandom	rng;

	for (int i = 0; i < length; i++)
		b->shuffled[i] = (uint32) i;
	/* all parts of a user are cut from the same shuffle in an epoch */
	if (length > b->options->targets)
	{
		lb_random_seed(&rng, b->epoch_key, row->list);
		lb_random_shuffle(&rng, b->shuffled, length);
	}
	for (int i = from; i < to; i++)
		b->positives[n_positives++] = take_column(b, N, codes[b->shuffled[i]]);
	return n_positives;
}

static bool
next_users(Batcher *b, LbBatch *batch)
{
	bool		history = lbrec_has_history(b->model);
	int			B = (int) Min(b->max_rows, b->n_rows - b->next);
	int			N = 0;
	int			n_positives = 0;

	if (B <= 0)
		return false;
	b->arena_used = 0;
	for (int i = 0; i < B; i++)
	{
		const UserRow *row = &b->rows[b->row_order[b->next++]];

		CHECK_FOR_INTERRUPTS();
		b->users[i] = b->row_users ? b->row_users[row->list] : row->list;
		b->positive_of[i] = n_positives;
		n_positives = take_targets(b, row, &N, n_positives);
		b->weights[i] = 1;
		if (history)
			b->histories[i] =
				thin_list(b, b->lists->codes + b->lists->offsets[row->list],
						  lbrec_list_length(b->lists, row->list), 0);
	}
	b->positive_of[B] = n_positives;
	for (int k = 0; k < b->options->extra_negatives && N < b->max_columns; k++)
		take_column(b, &N, draw_negative(b));
	/* a batch cannot have fewer columns than rows */
	for (int32 r = 1; N < B; r++)
		take_column(b, &N, r);
	for (int j = 0; j < N; j++)
		b->column[b->recordings[j]] = 0;
	note_candidates(b, N);
	fill_batch(b, batch, history ? b->histories : NULL, B, N);
	drop_ids(b, N);
	batch->positives = b->positives;
	batch->positive_of = b->positive_of;
	batch->ids = NULL;			/* candidates are distinct: nothing to mask */
	return true;
}

/* Makes the next batch of the epoch; false if the epoch is over. */
bool
lbrec_batcher_next(Batcher *b, LbBatch *batch)
{
	return b->options->batch_by != BATCH_LISTENS ?
		next_users(b, batch) : next_listens(b, batch);
}
