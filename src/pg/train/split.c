/*
 * split.c
 *		Divides listens into those to train on and those held out.
 *
 * Splits scan the listens once or twice and keep one bit for each, so they
 * work on a temporary file, too.
 */
#include "pg/train/split.h"

#include "utils/memutils.h"

#include "core/model/lb_split.h"

#include "pg/listens/dataset.h"
#include "pg/listens/histories.h"
#include "pg/listens/read.h"
#include "pg/listens/spool.h"
#include "pg/listens/vocabulary.h"
#include "pg/train/options.h"

/* The preprint's split: shuffle buffer, take and skip of its notebook. */
#define PAPER_BUFFER 40000
#define PAPER_TRAIN 40000
#define PAPER_TEST 10000

#define STREAM_SPLIT 1001

#define BINS 65536
#define SORTABLE ((int64) 1 << 17)

typedef struct Splitter
{
	Split	   *split;
	const Dataset *data;
	const TrainOptions *options;
	MemoryContext context;
	LbRandom	rng;
} Splitter;

static void
exclude(Split *split, int64 i)
{
	split->excluded[i / 8] |= (uint8) (1 << (i % 8));
}

/* Excludes a listen from training without holding it out. */
void
lbrec_exclude(Split *split, int64 listen)
{
	if (lbrec_bit(split->excluded, listen))
		return;
	exclude(split, listen);
	split->n_train--;
}

static void
allocate_bits(Splitter *s)
{
	s->split->excluded = MemoryContextAllocExtended(s->context,
													(s->data->n_listens + 8) / 8,
													MCXT_ALLOC_HUGE |
													MCXT_ALLOC_ZERO);
}

static int64
wanted(const Splitter *s)
{
	int64		n = (int64) (s->data->n_listens * s->options->test_fraction);

	return s->options->test_limit > 0 ? Min(n, s->options->test_limit) : n;
}

/*
 * Reads the test listens, given the bits of the excluded: all of them, or
 * test_limit of them at random (Knuth's algorithm S).
 */
static void
collect_test(Splitter *s, int64 excluded)
{
	int64		limit = s->options->test_limit > 0 ?
		Min(excluded, s->options->test_limit) : excluded;
	int64		left = excluded;
	SpoolScan	scan;

	s->split->test = MemoryContextAllocHuge(s->context,
											Max(limit, 1) * sizeof(Listen));
	s->split->n_test = 0;
	lbrec_scan_begin(&scan, s->data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			if (!lbrec_bit(s->split->excluded, scan.from + i))
				continue;
			if ((int64) lb_random_below(&s->rng, left--) <
				limit - s->split->n_test)
				s->split->test[s->split->n_test++] = scan.block[i];
		}
}

static void
split_paper(Splitter *s)
{
	int64		n = s->data->n_listens;
	int64		take = Min(n, PAPER_TRAIN + PAPER_TEST);
	int64		n_train = PAPER_TRAIN;
	uint32	   *order = palloc(take * sizeof(uint32));
	uint32	   *buffer = palloc(PAPER_BUFFER * sizeof(uint32));

	/* with fewer listens than the preprint's, keep its proportion */
	if (n < PAPER_TRAIN + PAPER_TEST)
		n_train = n * PAPER_TRAIN / (PAPER_TRAIN + PAPER_TEST);
	lb_shuffle_buffer(order, take, n, buffer, PAPER_BUFFER, &s->rng);
	allocate_bits(s);
	memset(s->split->excluded, 0xff, (n + 8) / 8);
	for (int64 i = 0; i < n_train; i++)
		s->split->excluded[order[i] / 8] &= (uint8) ~(1 << (order[i] % 8));
	s->split->n_train = n_train;
	s->split->n_test = take - n_train;
	s->split->test = MemoryContextAllocHuge(s->context,
											Max(take - n_train, 1) *
											sizeof(Listen));
	for (int64 i = n_train; i < take; i++)
		lbrec_spool_read(s->data->listens, order[i], 1,
						 &s->split->test[i - n_train]);
	pfree(order);
	pfree(buffer);
}

static void
split_random(Splitter *s)
{
	int64		left = s->data->n_listens;
	int64		want = wanted(s);
	int64		need = want;

	allocate_bits(s);
	for (int64 i = 0; i < s->data->n_listens; i++, left--)
	{
		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		if (need > 0 && (int64) lb_random_below(&s->rng, left) < need)
		{
			exclude(s->split, i);
			need--;
		}
	}
	s->split->n_train = s->data->n_listens - want;
	collect_test(s, want);
}

static int
compare_places(const void *a, const void *b)
{
	const Listen *x = a;
	const Listen *y = b;

	CHECK_FOR_INTERRUPTS();
	/* latest first; at the same time, the last row first */
	if (x->time != y->time)
		return x->time > y->time ? -1 : 1;
	if (x->recording != y->recording)
		return x->recording > y->recording ? -1 : 1;
	return x->user > y->user ? -1 : x->user < y->user;
}

/*
 * Finds the `want` latest listens.  A histogram of times finds the bin with
 * the border, again and again until the bin can be sorted.
 */
static void
split_latest(Splitter *s, int64 want)
{
	int64		low = s->data->first_time;
	int64		high = s->data->last_time;
	int64		need = want;	/* latest listens wanted between low and high */
	int64		inside = s->data->n_listens;
	int64	   *bins = palloc(BINS * sizeof(int64));
	Listen	   *border;
	int64		n = 0;
	SpoolScan	scan;

	while (inside > SORTABLE && high - low >= BINS)
	{
		int64		width = (high - low) / BINS + 1;
		int			b = BINS - 1;

		memset(bins, 0, BINS * sizeof(int64));
		lbrec_scan_begin(&scan, s->data->listens);
		while (lbrec_scan_next(&scan))
			for (int64 i = 0; i < scan.n; i++)
				if (scan.block[i].time >= low && scan.block[i].time <= high)
					bins[(scan.block[i].time - low) / width]++;
		while (b > 0 && bins[b] < need)
			need -= bins[b--];
		inside = bins[b];
		high = Min(high, low + (b + 1) * width - 1);
		low += b * width;
	}
	border = palloc_extended(Max(inside, 1) * sizeof(Listen),
							 MCXT_ALLOC_HUGE);
	allocate_bits(s);
	lbrec_scan_begin(&scan, s->data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			int64		t = scan.block[i].time;
			int64		place = scan.from + i;

			if (t > high)
				exclude(s->split, place);
			else if (t >= low)
			{
				/* stores the index in the recording field of a listen */
				border[n].time = t;
				border[n].recording = (int32) (place >> 31);
				border[n++].user = (int32) (place & PG_INT32_MAX);
			}
		}
	qsort(border, n, sizeof(Listen), compare_places);
	for (int64 i = 0; i < Min(need, n); i++)
		exclude(s->split, ((int64) border[i].recording << 31) +
				border[i].user);
	pfree(border);
	pfree(bins);
	s->split->n_train = s->data->n_listens - want;
	collect_test(s, want);
}

static void
split_from(Splitter *s)
{
	int64		n = 0;
	SpoolScan	scan;

	allocate_bits(s);
	lbrec_scan_begin(&scan, s->data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
			if (scan.block[i].time >= s->options->test_from)
			{
				exclude(s->split, scan.from + i);
				n++;
			}
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("no listen is at or after test_from"),
				 errdetail("Nothing would be held out to measure on."),
				 errhint("Choose an earlier time, or split => 'none'.")));
	s->split->n_train = s->data->n_listens - n;
	collect_test(s, n);
}

/*
 * Takes the latest listens of users, in random order until test_limit is
 * reached.
 */
static void
split_last(Splitter *s)
{
	const TrainOptions *o = s->options;
	ListRequest request = {.sequence = true};
	MemoryContext scratch = AllocSetContextCreate(s->context, "lbrec split",
												  ALLOCSET_DEFAULT_SIZES);
	UserLists  *lists = lbrec_make_lists(s->data, &request, scratch);
	int64		n_users = lists->n_users;
	uint32	   *order = MemoryContextAllocHuge(scratch,
											   (n_users + 1) * sizeof(uint32));
	int64	   *border = MemoryContextAllocHuge(scratch,
												(n_users + 1) * sizeof(int64));
	int32	   *quota = MemoryContextAllocExtended(scratch,
												   (n_users + 1) * sizeof(int32),
												   MCXT_ALLOC_HUGE |
												   MCXT_ALLOC_ZERO);
	int64		total = 0;
	SpoolScan	scan;

	for (int64 u = 0; u < n_users; u++)
		order[u] = (uint32) (u + 1);
	lb_random_shuffle(&s->rng, order, n_users);
	for (int64 k = 0; k < n_users; k++)
	{
		int32		u = (int32) order[k];
		int64		to = lists->offsets[u + 1];
		int			n = lbrec_list_length(lists, u);
		int			take = o->test_last > 0 ? o->test_last :
		(int) (n * o->test_fraction);

		CHECK_FOR_INTERRUPTS();
		/* a user whose listens would all be held out keeps all */
		if (take == 0 || take >= n ||
			(o->test_limit > 0 && total + take > o->test_limit))
			continue;
		total += take;
		border[u] = lists->times[to - take];
		for (int64 i = to - take; i < to; i++)
			if (lists->times[i] == border[u])
				quota[u]++;
		/* zero means that the user is not chosen */
		quota[u]++;
	}
	allocate_bits(s);
	lbrec_scan_begin(&scan, s->data->listens);
	while (lbrec_scan_next(&scan))
		for (int64 i = 0; i < scan.n; i++)
		{
			int32		u = scan.block[i].user;
			int64		t = scan.block[i].time;

			if (quota[u] == 0 || t < border[u])
				continue;
			if (t == border[u] && quota[u] == 1)
				continue;
			if (t == border[u])
				quota[u]--;
			exclude(s->split, scan.from + i);
		}
	MemoryContextDelete(scratch);
	s->split->n_train = s->data->n_listens - total;
	collect_test(s, total);
}

/*
 * Reads the listens of another query, in this one's codes; unknown users get
 * 0.
 */
static void
split_query(Splitter *s, const char *listens)
{
	MemoryContext scratch = AllocSetContextCreate(s->context, "lbrec test",
												  ALLOCSET_DEFAULT_SIZES);
	ListenSource source = {.listens = listens};
	Dataset    *test = lbrec_read_listens(&source, scratch);
	Split		held = {0};
	Splitter	other = *s;

	other.split = &held;
	other.data = test;
	allocate_bits(&other);
	memset(held.excluded, 0xff, (test->n_listens + 8) / 8);
	collect_test(&other, test->n_listens);
	for (int64 i = 0; i < held.n_test; i++)
	{
		Listen	   *l = &held.test[i];

		CHECK_FOR_INTERRUPTS();
		l->user = lbrec_vocabulary_find(s->data->users,
										lbrec_vocabulary_key(test->users, l->user, NULL),
										sizeof(int64));
		l->recording = lbrec_vocabulary_find(s->data->recordings,
											 lbrec_vocabulary_key(test->recordings, l->recording, NULL),
											 UUID_LEN);
	}
	lbrec_spool_free(test->listens);
	MemoryContextDelete(scratch);
	s->split->test = held.test;
	s->split->n_test = held.n_test;
	s->split->n_train = s->data->n_listens;
}

/* Divides the listens into those to train on and those held out. */
void
lbrec_split(Split *split, const Dataset *data, const TrainOptions *options,
			const char *test_listens, MemoryContext context)
{
	Splitter	s = {split, data, options, context};

	memset(split, 0, sizeof(Split));
	lb_random_seed(&s.rng, options->seed, STREAM_SPLIT);
	switch ((SplitKind) options->split)
	{
		case SPLIT_PAPER:
			split_paper(&s);
			break;
		case SPLIT_RANDOM:
			split_random(&s);
			break;
		case SPLIT_TIME:
			if (options->has_test_from)
				split_from(&s);
			else
				split_latest(&s, wanted(&s));
			break;
		case SPLIT_LAST:
			split_last(&s);
			break;
		case SPLIT_QUERY:
			split_query(&s, test_listens);
			break;
		case SPLIT_NONE:
			split->n_train = data->n_listens;
			break;
	}
	if (split->n_train < 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("too few listens to train on"),
				 errdetail("Of %lld listens, %lld are left beside those held out.",
						   (long long) data->n_listens,
						   (long long) split->n_train),
				 errhint("Widen the query of listens, or lower test_fraction.")));
}
