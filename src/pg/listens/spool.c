/*
 * spool.c
 *		An array of listens that moves to a temporary file when it grows.
 *
 * The file is one of PostgreSQL's own (BufFile): temp_file_limit,
 * temp_tablespaces and log_temp_files apply, and it is gone after the
 * transaction however that ends.
 */
#include "pg/listens/spool.h"

#include "storage/buffile.h"
#include "utils/memutils.h"

/* Listens that a scan takes at a time. */
#define SCAN_ROWS 8192

struct ListenSpool
{
	MemoryContext context;
	int64		n;
	int64		max_rows;		/* in memory */
	int64		allocated;
	Listen	   *listens;		/* NULL when they are in the file */
	BufFile    *file;
	int64		tail;			/* where the file is to be written next, or -1 */
};

/* The listens that lbrec.spool_mem holds. */
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
	int64		segment = (int64) 1 << 30;	/* BufFile's, fixed by its API */

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

/* All listens where they are in memory, else NULL. */
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

/* Writes over n listens that are there already. */
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

/*
 * To be called when all went well: the server warns of temporary files that a
 * statement leaves open.  After an error it closes them itself.
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

/* False at the end, after which the scan holds nothing. */
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
