/*
 * lb_scan.c
 *		One query against all candidates, or those that a filter allows.
 *
 * Plain float32 scan in blocks: chains of a block, one vector comparison with
 * the k-th best so far, and only then single candidates.  Without a filter and
 * with an index, lb_scan_index.c finds the few that matter first; the answer
 * is the same.  A narrow bitmap is turned into rows: reading few rows by number
 * is cheaper than reading all codes.
 */
#include "core/lb_scan.h"

#include "core/lb_cpu.h"
#include "core/lb_scan_int.h"

/*
 * Below one allowed candidate in so many, rows are read by number even when
 * there is an index.  518,540 x 32, AVX-512: one in 8 takes 0.77 ms by number
 * and 0.74 by the index, one in 16 takes 0.47 and 0.81.
 */
#define NARROW_FILTER 10

/* Above this share of all candidates an index cannot leave out enough. */
#define WIDE_K 4

const LbScanKernel *
lb_scan_kernel(void)
{
#if defined(__x86_64__)
	if (lb_cpu_vnni())
		return &lb_scan_vnni;
	if (lb_cpu_level() >= LB_CPU_AVX512)
		return &lb_scan_avx512;
	if (lb_cpu_level() >= LB_CPU_AVX2)
		return &lb_scan_avx2;
#endif
	return &lb_scan_portable;
}

float
lb_score(const float *q, const float *c, int D)
{
	float		raw;

	lb_scan_kernel()->score_range(&raw, q, c, D, 1);
	return lb_score_finish(raw);
}

void
lb_score_rows(float *out, const float *q, const float *c, int D,
			  const int32_t *rows, int n)
{
	lb_scan_kernel()->score_rows(out, q, c, D, rows, n);
	for (int i = 0; i < n; i++)
		out[i] = lb_score_finish(out[i]);
}

static bool
set_is_sound(const LbCandidates *set)
{
	return set->n >= 0 && set->n <= LB_SCAN_MAX_N && set->D >= 1 &&
		set->D <= LB_SCAN_MAX_D &&
		!(set->allow != NULL && set->list != NULL);
}

size_t
lb_topk_bytes(const LbCandidates *set, int64_t k)
{
	int64_t		most = set->list != NULL ? set->n_list : set->n;

	if (k > most)
		k = most;
	return LB_ALIGN_UP(lb_top_room(k, most) * sizeof(uint64_t)) +
		(set->index != NULL ? lb_index_scan_bytes(set->n, k) : 0);
}

/* chains of one block to the collector */
static void
take_block(LbTop *top, const float *chains, int n, const int32_t *rows,
		   int64_t first)
{
	float		floor = top->floor_score;
	uint32_t	any = 0;

	for (int i = 0; i < n; i++)
		any |= !(chains[i] < floor);
	if (!any)
		return;
	for (int i = 0; i < n; i++)
	{
		if (!(chains[i] < top->floor_score))
			lb_top_push(top, chains[i],
						(uint32_t) (rows != NULL ? rows[i] : first + i));
	}
	/* a threshold as soon as there can be one */
	if (top->floor == LB_KEY_NONE && top->n >= top->k)
		lb_top_sift(top);
}

static LbStatus
scan_all(LbTop *top, const float *q, const LbCandidates *set, LbCancel cancel)
{
	const LbScanKernel *kernel = lb_scan_kernel();
	float		chains[LB_SCAN_BLOCK];

	for (int64_t j = 0; j < set->n; j += LB_SCAN_BLOCK)
	{
		int64_t		left = set->n - j;
		int			n = left < LB_SCAN_BLOCK ? (int) left : LB_SCAN_BLOCK;

		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		kernel->score_range(chains, q, set->c + (size_t) j * set->D, set->D,
							n);
		take_block(top, chains, n, NULL, j);
	}
	return LB_OK;
}

static LbStatus
scan_list(LbTop *top, const float *q, const LbCandidates *set, LbCancel cancel)
{
	const LbScanKernel *kernel = lb_scan_kernel();
	float		chains[LB_SCAN_BLOCK];

	for (int64_t j = 0; j < set->n_list; j += LB_SCAN_BLOCK)
	{
		int64_t		left = set->n_list - j;
		int			n = left < LB_SCAN_BLOCK ? (int) left : LB_SCAN_BLOCK;

		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		kernel->score_rows(chains, q, set->c, set->D, set->list + j, n);
		take_block(top, chains, n, set->list + j, 0);
	}
	return LB_OK;
}

/* bit by bit, a block of row numbers at a time */
static LbStatus
scan_allowed(LbTop *top, const float *q, const LbCandidates *set,
			 LbCancel cancel)
{
	const LbScanKernel *kernel = lb_scan_kernel();
	float		chains[LB_SCAN_BLOCK];
	int32_t		rows[LB_SCAN_BLOCK];
	int64_t		n_words = (set->n + 63) / 64;
	int			n = 0;

	for (int64_t w = 0; w < n_words; w++)
	{
		uint64_t	bits = set->allow[w];

		if (w == n_words - 1 && set->n % 64 != 0)
			bits &= (UINT64_C(1) << set->n % 64) - 1;
		while (bits != 0)
		{
			rows[n++] = (int32_t) (w * 64 + __builtin_ctzll(bits));
			bits &= bits - 1;
			if (n == LB_SCAN_BLOCK)
			{
				if (LB_CANCEL_REQUESTED(cancel))
					return LB_CANCELLED;
				kernel->score_rows(chains, q, set->c, set->D, rows, n);
				take_block(top, chains, n, rows, 0);
				n = 0;
			}
		}
	}
	if (LB_CANCEL_REQUESTED(cancel))
		return LB_CANCELLED;
	kernel->score_rows(chains, q, set->c, set->D, rows, n);
	take_block(top, chains, n, rows, 0);
	return LB_OK;
}

static int64_t
count_allowed(const LbCandidates *set)
{
	int64_t		n = 0;

	if (set->allow == NULL)
		return set->n;
	for (int64_t w = 0; w < (set->n + 63) / 64; w++)
		n += __builtin_popcountll(set->allow[w]);
	return n;
}

bool
lb_index_pays(const LbCandidates *set, int64_t k)
{
	int64_t		allowed;

	if (set->index == NULL || set->list != NULL)
		return false;
	allowed = count_allowed(set);
	return k <= allowed / WIDE_K && allowed >= set->n / NARROW_FILTER;
}

LbStatus
lb_scan_plain(LbTop *top, const float *q, const LbCandidates *set,
			  LbCancel cancel)
{
	if (set->list != NULL)
		return scan_list(top, q, set, cancel);
	if (set->allow != NULL)
		return scan_allowed(top, q, set, cancel);
	return scan_all(top, q, set, cancel);
}

static LbStatus
scan_index(LbIndexScan *scan, const LbCandidates *set, LbCancel cancel)
{
	const LbScanKernel *kernel = lb_scan_kernel();
	int64_t		n_groups = (set->n + LB_GROUP - 1) / LB_GROUP;

	for (int64_t g = 0; g < n_groups; g += LB_GROUPS_PER_BLOCK)
	{
		if (LB_CANCEL_REQUESTED(cancel))
			return LB_CANCELLED;
		lb_index_block(scan, kernel, g);
	}
	lb_index_end(scan);
	return LB_OK;
}

LbStatus
lb_topk(int64_t *found, int64_t *ids, float *scores, const float *q,
		const LbCandidates *set, int64_t k, void *scratch, LbCancel cancel)
{
	int64_t		most = set->list != NULL ? set->n_list : set->n;
	LbIndexScan *scan = NULL;
	LbTop		top;
	LbStatus	status;
	int64_t		room;

	*found = 0;
	if (k < 1 || !set_is_sound(set))
		return LB_BAD_ARGUMENT;
	if (k > most)
		k = most;
	if (k == 0)
		return LB_OK;
	room = lb_top_room(k, most);
	lb_top_init(&top, scratch, k, room);
	if (lb_index_pays(set, k))
		scan = lb_index_begin(&top, q, set, (char *) scratch +
							  LB_ALIGN_UP(room * sizeof(uint64_t)));
	status = scan != NULL ? scan_index(scan, set, cancel) :
		lb_scan_plain(&top, q, set, cancel);
	if (status == LB_OK)
		*found = lb_top_finish(&top, ids, scores);
	return status;
}
