/*
 * spool.c
 *		An array of listens that moves to a temporary file when it grows.
 *
 * The file is one of PostgreSQL's own (BufFile): temp_file_limit,
 * temp_tablespaces and log_temp_files apply, and it is gone after the
 * transaction however that ends.
 */
#include "pg/listens/spool.h"

#include "lib/binaryheap.h"
#include "storage/buffile.h"
#include "utils/memutils.h"

/* Listens read at a time by a scan. */
#define SCAN_ROWS 8192

struct ListenSpool
{
	MemoryContext context;
	int64		n;
	int64		max_rows;		/* limit in memory */
	int64		allocated;
	Listen	   *listens;		/* NULL once they are in the file */
	BufFile    *file;
	int64		tail;			/* offset for the next write, or -1 */
};

/* Number of listens that fit in lbrec.spool_mem. */
int64
lbrec_spool_rows(void)
{
	return Max((int64) (lbrec_spool_bytes() / sizeof(Listen)), 1);
}

ListenSpool *
lbrec_spool_create(MemoryContext context, int64 max_rows)
{
	ListenSpool *spool = MemoryContextAllocZero(context, sizeof(ListenSpool));

	spool->context = context;
	spool->max_rows = max_rows;
	spool->allocated = Min(max_rows, 16384);
	spool->listens = MemoryContextAllocHuge(context,
											spool->allocated * sizeof(Listen));
	return spool;
}

static void
seek(ListenSpool *spool, int64 row)
{
	int64		at = row * (int64) sizeof(Listen);
	int64		segment = (int64) 1 << 30;	/* fixed by BufFile's API */

	if (BufFileSeek(spool->file, (int) (at / segment), (off_t) (at % segment),
					SEEK_SET) != 0)
		elog(ERROR, "could not seek in a temporary file of listens");
}

static void
write_rows(ListenSpool *spool, const Listen *listens, int64 n)
{
	BufFileWrite(spool->file, unconstify(Listen *, listens),
				 n * sizeof(Listen));
}

static void
move_to_file(ListenSpool *spool)
{
	MemoryContext old = MemoryContextSwitchTo(spool->context);

	spool->file = BufFileCreateTemp(false);
	MemoryContextSwitchTo(old);
	write_rows(spool, spool->listens, spool->n);
	pfree(spool->listens);
	spool->listens = NULL;
	spool->tail = spool->n;
}

void
lbrec_spool_append(ListenSpool *spool, const Listen *listens, int64 n)
{
	if (spool->listens != NULL && spool->n + n > spool->max_rows)
		move_to_file(spool);
	if (spool->listens != NULL)
	{
		if (spool->n + n > spool->allocated)
		{
			spool->allocated = Min(Max(spool->allocated * 2, spool->n + n),
								   spool->max_rows);
			spool->listens = repalloc_huge(spool->listens,
										   spool->allocated * sizeof(Listen));
		}
		memcpy(spool->listens + spool->n, listens, n * sizeof(Listen));
	}
	else
	{
		if (spool->tail != spool->n)
			seek(spool, spool->n);
		write_rows(spool, listens, n);
		spool->tail = spool->n + n;
	}
	spool->n += n;
}

int64
lbrec_spool_count(const ListenSpool *spool)
{
	return spool->n;
}

/* Returns all listens if they are in memory, else NULL. */
Listen *
lbrec_spool_array(ListenSpool *spool)
{
	return spool->listens;
}

void
lbrec_spool_read(ListenSpool *spool, int64 from, int64 n, Listen *out)
{
	if (spool->listens != NULL)
	{
		memcpy(out, spool->listens + from, n * sizeof(Listen));
		return;
	}
	spool->tail = -1;
	seek(spool, from);
#if PG_VERSION_NUM >= 160000
	BufFileReadExact(spool->file, out, n * sizeof(Listen));
#else
	if (BufFileRead(spool->file, out, n * sizeof(Listen)) !=
		n * sizeof(Listen))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read a temporary file of listens: %m")));
#endif
}

/* Overwrites n existing listens. */
void
lbrec_spool_write(ListenSpool *spool, int64 from, int64 n,
				  const Listen *listens)
{
	if (spool->listens != NULL)
	{
		memmove(spool->listens + from, listens, n * sizeof(Listen));
		return;
	}
	spool->tail = -1;
	seek(spool, from);
	write_rows(spool, listens, n);
}

static inline int
compare_listens(const Listen *a, const Listen *b)
{
	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	if (a->user != b->user)
		return a->user < b->user ? -1 : 1;
	return a->recording < b->recording ? -1 : a->recording > b->recording;
}

#define ST_SORT sort_listens
#define ST_ELEMENT_TYPE Listen
#define ST_COMPARE(a, b) compare_listens(a, b)
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Gives listens their new codes, and sorts them. */
static void
order_block(Listen *listens, int64 n, const int32 *users,
			const int32 *recordings)
{
	bool		sorted = true;

	for (int64 i = 0; i < n; i++)
	{
		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		listens[i].user = users[listens[i].user];
		listens[i].recording = recordings[listens[i].recording];
		if (i > 0 && compare_listens(&listens[i - 1], &listens[i]) > 0)
			sorted = false;
	}
	if (!sorted)
		sort_listens(listens, n);
}

/* A sorted part of the file, read block by block. */
typedef struct SortedRun
{
	int64		next;			/* next listen to read from the file */
	int64		end;
	Listen	   *block;
	int64		at;				/* place in the block */
	int64		n;
} SortedRun;

/* The next listen of a run to merge, or NULL. */
static const Listen *
run_head(ListenSpool *spool, SortedRun *run, int64 block_rows)
{
	if (run->at == run->n)
	{
		run->n = Min(block_rows, run->end - run->next);
		if (run->n == 0)
			return NULL;
		lbrec_spool_read(spool, run->next, run->n, run->block);
		run->next += run->n;
		run->at = 0;
	}
	return &run->block[run->at];
}

/* The heap's order: the run with the earliest listen is on top. */
static int
compare_runs(Datum a, Datum b, void *arg)
{
	const SortedRun *x = (const SortedRun *) DatumGetPointer(a);
	const SortedRun *y = (const SortedRun *) DatumGetPointer(b);

	return compare_listens(&y->block[y->at], &x->block[x->at]);
}

/*
 * Merges the sorted runs of a file into a new one.  The blocks of all runs
 * share lbrec.spool_mem, but have a few rows at least.
 */
static void
merge_runs(ListenSpool *spool, int64 run_rows)
{
	int			n_runs = (int) ((spool->n + run_rows - 1) / run_rows);
	int64		block_rows = Max(run_rows / (n_runs + 1), 64);
	SortedRun  *runs = palloc(n_runs * sizeof(SortedRun));
	Listen	   *blocks = palloc_extended((Size) (n_runs + 1) * block_rows *
										 sizeof(Listen), MCXT_ALLOC_HUGE);
	Listen	   *out = blocks + n_runs * block_rows;
	int64		n_out = 0;
	binaryheap *heap = binaryheap_allocate(n_runs, compare_runs, NULL);
	ListenSpool merged = *spool;
	MemoryContext old = MemoryContextSwitchTo(spool->context);

	merged.file = BufFileCreateTemp(false);
	merged.n = merged.tail = 0;
	MemoryContextSwitchTo(old);
	for (int r = 0; r < n_runs; r++)
	{
		runs[r] = (SortedRun)
		{
			.next = r * run_rows, .end = Min((r + 1) * run_rows, spool->n),
				.block = blocks + r * block_rows
		};
		if (run_head(spool, &runs[r], block_rows))
			binaryheap_add_unordered(heap, PointerGetDatum(&runs[r]));
	}
	binaryheap_build(heap);
	while (!binaryheap_empty(heap))
	{
		SortedRun  *run = (SortedRun *) DatumGetPointer(binaryheap_first(heap));

		out[n_out++] = run->block[run->at++];
		if (n_out == block_rows)
		{
			CHECK_FOR_INTERRUPTS();
			lbrec_spool_append(&merged, out, n_out);
			n_out = 0;
		}
		if (run_head(spool, run, block_rows))
			binaryheap_replace_first(heap, PointerGetDatum(run));
		else
			binaryheap_remove_first(heap);
	}
	lbrec_spool_append(&merged, out, n_out);
	binaryheap_free(heap);
	pfree(blocks);
	pfree(runs);
	BufFileClose(spool->file);
	*spool = merged;
}

/*
 * Gives all listens new codes, by the old ones, and sorts them by time, user
 * and recording, so that training does not depend on the order of rows.
 */
void
lbrec_spool_order(ListenSpool *spool, const int32 *users,
				  const int32 *recordings)
{
	int64		run_rows = Min(Max(spool->max_rows, SCAN_ROWS), spool->n);
	Listen	   *run;
	Listen		last = {0};
	bool		sorted = true;

	if (spool->listens != NULL)
	{
		order_block(spool->listens, spool->n, users, recordings);
		return;
	}
	run = palloc_extended(run_rows * sizeof(Listen), MCXT_ALLOC_HUGE);
	for (int64 from = 0; from < spool->n; from += run_rows)
	{
		int64		n = Min(run_rows, spool->n - from);

		lbrec_spool_read(spool, from, n, run);
		order_block(run, n, users, recordings);
		if (from > 0 && compare_listens(&last, &run[0]) > 0)
			sorted = false;
		last = run[n - 1];
		lbrec_spool_write(spool, from, n, run);
	}
	pfree(run);
	/* most queries return listens in the order of time */
	if (!sorted)
		merge_runs(spool, run_rows);
}

/*
 * Call this on success: the server warns of temporary files that a statement
 * leaves open.  After an error it closes them itself.
 */
void
lbrec_spool_free(ListenSpool *spool)
{
	if (spool->listens)
		pfree(spool->listens);
	if (spool->file)
		BufFileClose(spool->file);
	pfree(spool);
}

void
lbrec_scan_begin(SpoolScan *scan, ListenSpool *spool)
{
	memset(scan, 0, sizeof(SpoolScan));
	scan->spool = spool;
	if (spool->listens == NULL)
		scan->buffer = palloc(SCAN_ROWS * sizeof(Listen));
}

/* Returns false at the end; the scan then holds nothing. */
bool
lbrec_scan_next(SpoolScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	scan->from = scan->next;
	scan->n = Min(SCAN_ROWS, scan->spool->n - scan->from);
	if (scan->n <= 0)
	{
		lbrec_scan_end(scan);
		return false;
	}
	if (scan->buffer != NULL)
	{
		lbrec_spool_read(scan->spool, scan->from, scan->n, scan->buffer);
		scan->block = scan->buffer;
	}
	else
		scan->block = scan->spool->listens + scan->from;
	scan->next = scan->from + scan->n;
	return true;
}

void
lbrec_scan_end(SpoolScan *scan)
{
	if (scan->buffer)
		pfree(scan->buffer);
	scan->buffer = NULL;
}
